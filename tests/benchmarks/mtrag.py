"""Retrieval for conversations: IBM's MTRAG, read from a copy of its repository, none of which is kept here.

`python -m tests.benchmarks.mtrag PATH --domain cloud [--embeddings none builtin]`; PATH is a folder, or a git
directory. A question of a conversation is searched as its last turn alone, as the rewritten one that the data
set has, as the last turn with its history (the product's own way), and by Haystack's BM25 where that is
installed (the bench environment). Where the copy lacks the corpus, the passages that its tasks quote are
searched, which is far easier: such figures compare with each other only.
"""

import argparse
import asyncio
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.document import Document
from schemas.question import Question, Turn
from tests.benchmarks.mtrag_data import DOMAINS, Conversation, Copy, read_domain
from tests.quality.peers import HaystackRetrieval, has_peers
from tests.quality.system import System, running

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the questions, as pytrec_eval counts them."""

    questions: int
    recall: float
    ndcg: float

    def __str__(self) -> str:
        return f"{self.questions:9} {self.recall:10.3f} {self.ndcg:8.3f}"


def measured(asked: Sequence[Conversation], found: Sequence[Sequence[str]]) -> Figures:
    """Recall and nDCG of the first `TOP_K` found, for each conversation in turn."""
    pairs = [(each.relevant, ids[:TOP_K]) for each, ids in zip(asked, found, strict=True)]
    recalls = [len(relevant.intersection(ids)) / len(relevant) for relevant, ids in pairs]
    gains = [
        _gain([name in relevant for name in ids]) / _gain([True] * min(len(relevant), TOP_K))
        for relevant, ids in pairs
    ]
    count = len(pairs)
    return Figures(count, sum(recalls) / count, sum(gains) / count)


def _gain(hits: Sequence[bool]) -> float:
    return sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))


async def found_by(system: System, questions: Sequence[Question]) -> list[list[str]]:
    """The ids that the product's pipeline finds for each question, without repetitions."""
    answers = await system.ask(questions)
    return [list(dict.fromkeys(passage.document_id for passage in passages)) for _, passages in answers]


def forms(asked: Sequence[Conversation]) -> dict[str, tuple[Sequence[Conversation], list[Question]]]:
    """The conversations that can be asked in each form, with their questions."""
    rewritten = [each for each in asked if each.rewritten]
    found = {
        "last turn": (asked, [_question(each, each.last) for each in asked]),
        "last turn with history": (asked, [_question(each, each.last, each.history) for each in asked]),
        "rewritten": (rewritten, [_question(each, each.rewritten) for each in rewritten]),
    }
    return {name: form for name, form in found.items() if form[0]}


def _question(conversation: Conversation, text: str, history: Sequence[Turn] = ()) -> Question:
    return Question(id=conversation.id, text=text, history=tuple(history))


def haystack(
    documents: Sequence[Document], questions: Mapping[str, tuple[Sequence[Conversation], list[Question]]]
) -> dict[str, Figures]:
    """The baseline: Haystack's BM25 on the same passages, which knows no history."""
    store = HaystackRetrieval(documents, {})
    return {
        name: measured(asked, [store.search(each.text, None, TOP_K)["BM25"] for each in texts])
        for name, (asked, texts) in questions.items()
        if "history" not in name
    }


async def run(
    documents: Sequence[Document], asked: Sequence[Conversation], embeddings: str
) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory() as folder:
        async with running(embeddings, Path(folder)) as system:
            await system.index(documents)
            return {
                name: measured(several, await found_by(system, questions))
                for name, (several, questions) in forms(asked).items()
            }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.mtrag",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, help="a copy of the repository IBM/mt-rag-benchmark")
    parser.add_argument("--domain", choices=DOMAINS, default="cloud")
    parser.add_argument(
        "--set", choices=["mtrag", "mtrag-un"], default="mtrag", help="mtrag-un: the later questions"
    )
    parser.add_argument("--sample", type=int, help="ask the first N questions only")
    parser.add_argument("--embeddings", nargs="+", default=["none"], help="none, builtin, a directory, a URL")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    domain = read_domain(Copy(options.path), options.domain, options.set)
    asked = domain.conversations[: options.sample]
    if not asked:
        parser.error("no question of the domain has passages in this copy")
    print(f"{options.set}, {options.domain}: {len(domain.documents):,} passages, {len(asked)} questions")
    if not domain.whole:
        print("the corpus is not in this copy: only passages that tasks quote are searched, from all domains")
    print(f"{'':44} questions recall@{TOP_K:<3} nDCG@{TOP_K}")
    rows: dict[str, Figures] = {}
    if has_peers():
        rows |= {
            f"Haystack BM25, {name}": each for name, each in haystack(domain.documents, forms(asked)).items()
        }
    for embeddings in options.embeddings:
        measured_rows = asyncio.run(run(domain.documents, asked, embeddings))
        rows |= {f"Kotae, {name}, embeddings {embeddings}": each for name, each in measured_rows.items()}
    for name, each in rows.items():
        print(f"{name:44} {each}")
    if options.json:
        written: dict[str, Any] = {
            "domain": options.domain,
            "set": options.set,
            "whole": domain.whole,
            "rows": rows,
        }
        options.json.write_bytes(orjson.dumps(written))


if __name__ == "__main__":
    main()
