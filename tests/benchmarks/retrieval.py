"""Fusion of words and meaning beside its alternatives, on a data set in SQuAD's format.

`python -m tests.benchmarks.retrieval xquad.en.json [--base-url http://127.0.0.1:8000/v1 --name e5]`

Without an address it is the built-in model. The columns are the data set's own questions, and with XQuAD's
English part our own ones about 40 of its paragraphs (`questions/xquad.tsv`): in English with other words, in
German and in Chinese. Each cell is recall@1/recall@5.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from agents.embeddings.builtin import FLOOR, UNRELATED, BuiltinEncoder
from agents.embeddings.local import LocalEmbeddings
from agents.embeddings.protocol import Embeddings, Prefixes
from agents.embeddings.server import OpenAIEmbeddings
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.fusion import ALIKE, CANDIDATES, Fusion
from schemas.document import Document

OWN = Path(__file__).parent / "questions" / "xquad.tsv"
OWN_FOR = "xquad.en.json"

RANK_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

Search = Callable[[str], Awaitable[list[str]]]


@dataclass(frozen=True)
class Asked:
    question: str
    document_id: str


@dataclass
class Remembering:
    """Embeds each text once: several indexes ask for the same ones."""

    inner: Embeddings

    def __post_init__(self) -> None:
        self.model = self.inner.model
        self._known: dict[tuple[bool, str], list[float]] = {}

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        missing = [text for text in dict.fromkeys(texts) if (False, text) not in self._known]
        for text, vector in zip(missing, await self.inner.aembed(missing), strict=True):
            self._known[False, text] = vector
        return [self._known[False, text] for text in texts]

    async def aembed_search(self, text: str) -> list[float]:
        if (True, text) not in self._known:
            self._known[True, text] = await self.inner.aembed_search(text)
        return self._known[True, text]


def read(dataset: Path, limit: int | None) -> tuple[list[Document], dict[str, list[Asked]]]:
    documents: list[Document] = []
    asked: list[Asked] = []
    for article in orjson.loads(dataset.read_bytes())["data"]:
        for paragraph in article["paragraphs"]:
            name = f"paragraph-{len(documents)}"
            title = article.get("title", "").replace("_", " ")
            documents.append(Document(id=name, title=title, text=paragraph["context"]))
            asked += [Asked(entry["question"], name) for entry in paragraph["qas"]]
    columns = {"own": asked[:limit]}
    if dataset.name == OWN_FOR:
        rows = [line.split("\t") for line in OWN.read_text("utf-8").splitlines() if line[0] != "#"]
        for place, language in enumerate(("de", "zh", "other words"), 1):
            columns[language] = [Asked(row[place], f"paragraph-{row[0]}") for row in rows]
    return documents, columns


def searching(index: EmbeddedIndex) -> Search:
    async def search(question: str) -> list[str]:
        return [passage.document_id for passage in await index.asearch("default", question, CANDIDATES)]

    return search


def by_rank(searches: Sequence[Search]) -> Search:
    async def search(question: str) -> list[str]:
        scores: dict[str, float] = {}
        for each in searches:
            for rank, found in enumerate(dict.fromkeys(await each(question))):
                scores[found] = scores.get(found, 0.0) + 1 / (RANK_K + rank)
        return sorted(scores, key=lambda found: -scores[found])

    return search


async def recall(search: Search, asked: Sequence[Asked]) -> str:
    ranked = [list(dict.fromkeys(await search(one.question))) for one in asked]
    within = [
        sum(one.document_id in found[:top] for one, found in zip(asked, ranked, strict=True)) / len(asked)
        for top in (1, 5)
    ]
    return "/".join(f"{share:.4f}" for share in within)


async def run(dataset: Path, limit: int | None, embeddings: Embeddings, fusion: Fusion) -> None:
    documents, columns = read(dataset, limit)
    shared = Remembering(embeddings)

    async def filled(fusion: Fusion | None) -> EmbeddedIndex:
        index = await asyncio.to_thread(
            EmbeddedIndex.open, embeddings=None if fusion is None else shared, fusion=fusion or ALIKE
        )
        await index.aupsert(documents)
        while fusion is not None and index.lacking:
            await index.aembed_lacking()
        return index

    words, meaning = await filled(None), await filled(Fusion(1.0))
    fused = {
        weight: await filled(Fusion(weight, fusion.floor, fusion.unrelated))
        for weight in (0.3, 0.4, 0.5, 0.6)
    }
    searches = {
        "BM25": searching(words),
        "meaning alone": searching(meaning),
        "fused by rank": by_rank([searching(words), searching(meaning)]),
        **{f"fused by scores, {weight}": searching(index) for weight, index in fused.items()},
    }
    print(f"{'':22}", *(f"{column:>15}" for column in columns))
    for name, search in searches.items():
        print(f"{name:22}", *[f"{await recall(search, asked):>15}" for asked in columns.values()])
    for index in (words, meaning, *fused.values()):
        await index.aclose()


async def measure(options: argparse.Namespace) -> None:
    if options.base_url:
        pool = HttpPool("embeddings", allowed={endpoint(options.base_url)})
        prefixes = Prefixes(options.query_prefix, options.passage_prefix)
        server = OpenAIEmbeddings(pool, options.base_url, options.name, "", prefixes)
        await run(options.dataset, options.limit, server, ALIKE)
        await pool.aclose()
    else:
        local = LocalEmbeddings(await asyncio.to_thread(BuiltinEncoder))
        await run(options.dataset, options.limit, local, Fusion(floor=FLOOR, unrelated=UNRELATED))
        await local.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description="Fusion of words and meaning beside its alternatives.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--limit", type=int, help="ask only the first N of its own questions")
    parser.add_argument("--base-url", default="", help="an embeddings server, in place of the built-in model")
    parser.add_argument("--name", default="default", help="the model's name on the server")
    parser.add_argument("--query-prefix", default="")
    parser.add_argument("--passage-prefix", default="")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
