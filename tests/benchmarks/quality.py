"""Quality of retrieval and answers on a data set in SQuAD's format, in any language.

`make bench-quality DATASET=…`, or `python -m tests.benchmarks.quality DATASET [--embeddings none builtin]`.

Paragraphs become documents of the embedded index, and the questions go through the real pipeline with
the offline model as a process of its own. An answer counts as found if one of its gold texts is in the
answer's text without its citations; a citation is valid if its quote is in the cited chunk. With
`--questions` the questions are another language's. In the bench environment (`make bench-quality PEERS=1`),
Haystack searches the same paragraphs with the same vectors.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import orjson

from agents.components import Passage
from schemas.answer import Answer
from schemas.document import Document
from schemas.question import Question
from tests.benchmarks.squad import Asking, read_squad
from tests.quality.peers import has_peers, searched
from tests.quality.system import System, running

TOP_K = 5
LONG = 400
"""Characters that an extractive answer may have."""
MARK = re.compile(r"\s*\[\d+\]")


def measure(askings: Sequence[Asking], answers: Sequence[tuple[Answer, Sequence[Passage]]]) -> dict[str, Any]:
    count = len(askings)
    gold = answered = long = citations = valid = 0
    for asking, (answer, passages) in zip(askings, answers, strict=True):
        text = MARK.sub("", answer.text)
        gold += any(piece in text for piece in asking.gold)
        answered += bool(answer.citations)
        long += len(text) > LONG
        chunks = {passage.chunk_id: passage.text for passage in passages}
        citations += len(answer.citations)
        valid += sum(bool(c.quote) and c.quote in chunks.get(c.chunk_id, "") for c in answer.citations)
    found = [[passage.document_id for passage in passages] for _, passages in answers]
    return {
        "questions": count,
        **recall(askings, found),
        "gold in answer": round(gold / count, 4),
        "answered": round(answered / count, 4),
        f"answers longer than {LONG} characters": long,
        "citations": citations,
        "citations valid": round(valid / citations, 4) if citations else None,
        "not answered by the model": sum(answer.status != "answered" for answer, _ in answers),
    }


def recall(askings: Sequence[Asking], found: Sequence[Sequence[str]]) -> dict[str, float]:
    """The share of questions whose paragraph is the first found, and among the first `TOP_K`."""
    ranked = list(zip(askings, found, strict=True))
    return {
        f"recall@{most}": round(sum(each.document_id in ids[:most] for each, ids in ranked) / len(ranked), 4)
        for most in (1, TOP_K)
    }


async def beside(
    system: System, documents: Sequence[Document], askings: Sequence[Asking]
) -> Mapping[str, Mapping[str, float]]:
    """The recall of Haystack's ways to search, with the vectors of the system's own embeddings."""
    texts = [each.question for each in askings]
    found = await searched(system.embeddings, documents, texts, TOP_K)
    return {way: recall(askings, ids) for way, ids in found.items()}


async def run(
    documents: Sequence[Document], askings: Sequence[Asking], embeddings: str, *, peers: bool
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with running(embeddings, Path(folder)) as system:
            indexed_s = await system.index(documents)
            questions = [Question(id=str(n), text=each.question) for n, each in enumerate(askings)]
            began, cpu = perf_counter(), process_time()
            answers = await system.ask(questions)
            took_s, cpu_s = perf_counter() - began, process_time() - cpu
            return {
                "embeddings": embeddings,
                "paragraphs": len(documents),
                **measure(askings, answers),
                "indexing s": round(indexed_s, 2),
                "questions/s": round(len(askings) / took_s, 1),
                "pipeline CPU ms a question": round(cpu_s / len(askings) * 1000, 2),
                "peers": await beside(system, documents, askings) if peers else {},
            }


def told(figures: Mapping[str, Any]) -> str:
    lines = {name: value for name, value in figures.items() if name != "peers"}
    lines |= {
        name: "  ".join(f"{each} {value}" for each, value in values.items())
        for name, values in figures["peers"].items()
    }
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of retrieval and answers on a SQuAD-format file.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--questions", type=Path, help="the same set in the language that asks")
    parser.add_argument("--limit", type=int, help="ask only the first N questions")
    parser.add_argument("--embeddings", nargs="+", default=["none"], help="none, builtin, a directory, a URL")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    documents, askings = read_squad(options.dataset, options.limit, options.questions)
    if not askings:
        parser.error(f"{options.dataset} has no question with an answer")
    peers = has_peers()
    if not peers:
        print("haystack-ai is not installed here: retrieval is measured alone (make bench-quality PEERS=1)")
    figures = []
    for embeddings in options.embeddings:
        figures.append(asyncio.run(run(documents, askings, embeddings, peers=peers)))
        print(f"\n{options.dataset.name}\n{told(figures[-1])}")
    if options.json:
        options.json.write_bytes(orjson.dumps(figures))


if __name__ == "__main__":
    main()
