"""Answers on ordinary documents: `python -m tests.quality`, or `make bench-quality`.

It makes the documents, ingests them as `kotae ingest` does, asks every question through the real pipeline
with the offline model, and prints how many answers are right, wrong with confidence and abstained from, by
kind and language, with the quality of citations and retrieval.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson

from schemas.question import Question, Turn
from tests.quality.making import make_documents
from tests.quality.peers import has_peers, searched
from tests.quality.questions import Asking, read_questions
from tests.quality.report import Run, figures, markdown, shown
from tests.quality.scoring import RECALLED, judge
from tests.quality.system import ingest, running


def measure(askings: Sequence[Asking], embeddings: str) -> Run:
    """Ask all of them of a system of their own."""
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_measure(askings, embeddings, Path(name).resolve()))


async def _measure(askings: Sequence[Asking], embeddings: str, folder: Path) -> Run:
    files = await asyncio.to_thread(make_documents, folder / "documents")
    documents, problems = await asyncio.to_thread(ingest, folder / "documents")
    async with running(embeddings, folder) as system:
        indexed_s = await system.index(documents)
        answers = await system.ask([_question(asking) for asking in askings])
        texts = [asking.text for asking in askings]
        peers = await searched(system.embeddings, documents, texts, RECALLED[-1]) if has_peers() else {}
    outcomes = [
        judge(asking, answer, passages) for asking, (answer, passages) in zip(askings, answers, strict=True)
    ]
    unread = [str(problem).removeprefix(f"{folder}/documents/") for problem in problems]
    return Run(embeddings, len(files), len(documents), unread, indexed_s, outcomes, peers)


def _question(asking: Asking) -> Question:
    history = tuple(Turn(turn.role, turn.content) for turn in asking.history)
    return Question(id=asking.id, text=asking.text, history=history)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("--split", choices=["dev", "holdout", "all"], default="all")
    parser.add_argument(
        "--embeddings",
        nargs="+",
        default=["none"],
        help="none, builtin, a directory, or the address of a server; several are run one after another",
    )
    parser.add_argument("--kind", nargs="+", help="only these kinds of questions")
    parser.add_argument("--show", choices=["wrong", "abstained", "bad", "all"], help="print answers too")
    parser.add_argument("--json", type=Path, help="write the figures and all answers there")
    options = parser.parse_args()
    askings = [
        asking
        for asking in read_questions()
        if options.split in {"all", asking.split} and (not options.kind or asking.kind in options.kind)
    ]
    if not askings:
        parser.error("no question is of that kind")
    runs = [measure(askings, embeddings) for embeddings in options.embeddings]
    for run in runs:
        if options.show:
            print(shown(run, options.show))
        print(markdown(run))
    if options.json:
        options.json.write_bytes(orjson.dumps([figures(run) for run in runs], option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
