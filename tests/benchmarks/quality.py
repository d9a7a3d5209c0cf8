"""Quality of retrieval and answers on a data set in SQuAD's format, in any language.

`make bench-quality DATASET=…`, or `python -m tests.benchmarks.quality DATASET [--limit N] [--json FILE]`.

Paragraphs become documents of the embedded index, and the questions go through the real pipeline with
the offline model as a process of its own. An answer counts as found if one of its gold texts is in the
answer's text without its citations; a citation is valid if its quote is in the cited chunk.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import orjson

from agents.components import Call, Passage
from agents.http.pool import HttpPool
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.retriever import IndexRetriever
from agents.language.sentences import sentence_spans
from agents.models.openai import OpenAIModel
from agents.pipeline import Asked, Budgets, Components, Pipeline, default_graph
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from schemas.answer import Answer, Source
from schemas.document import Document
from schemas.event import StageTrace
from schemas.question import Question
from streams.process.processes import free_port
from tests.support.system import Program, environment

CONCURRENCY = 32
TOP_K = 5
DEADLINE_S = 60.0
MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True)
class Asking:
    """A question with its gold answers and their paragraph."""

    question: str
    gold: Sequence[str]
    document_id: str


@dataclass
class Silent:
    """An observer that ignores all events."""

    def stage_finished(self, trace: StageTrace) -> None:
        pass


@dataclass
class RecordingRetriever:
    """Returns the passages that it finds, and remembers them by question."""

    inner: IndexRetriever
    found: dict[str, Sequence[Passage]] = field(default_factory=dict)

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        passages = await self.inner.aretrieve(question, call)
        self.found[question.id] = passages
        return passages


def read_squad(path: Path, limit: int | None) -> tuple[list[Document], list[Asking]]:
    documents: list[Document] = []
    askings: list[Asking] = []
    for article in orjson.loads(path.read_bytes())["data"]:
        for paragraph in article["paragraphs"]:
            document_id = f"paragraph-{len(documents)}"
            title = article.get("title", "").replace("_", " ")
            documents.append(
                Document(id=document_id, title=title, source=path.name, text=paragraph["context"])
            )
            askings += [
                Asking(entry["question"], [gold["text"] for gold in entry["answers"]], document_id)
                for entry in paragraph["qas"]
                if entry["answers"]
            ]
    return documents, askings[:limit]


async def ask_all(pipeline: Pipeline, askings: Sequence[Asking]) -> list[Answer]:
    loop = asyncio.get_running_loop()
    at_once = asyncio.Semaphore(CONCURRENCY)

    async def ask(number: int, asking: Asking) -> Answer:
        async with at_once:
            question = Question(id=str(number), text=asking.question)
            asked = Asked(question, Source("questions", 0, number), loop.time() + DEADLINE_S)
            return (await pipeline.aanswer(asked)).answer

    return await asyncio.gather(*(ask(number, asking) for number, asking in enumerate(askings)))


def measure(
    askings: Sequence[Asking], answers: Sequence[Answer], found: dict[str, Sequence[Passage]]
) -> dict[str, Any]:
    count = len(askings)
    first = within = gold = answered = long = citations = valid = 0
    for number, (asking, answer) in enumerate(zip(askings, answers, strict=True)):
        passages = found.get(str(number), ())
        ranked = [passage.document_id for passage in passages]
        first += ranked[:1] == [asking.document_id]
        within += asking.document_id in ranked
        text = MARK.sub("", answer.text)
        gold += any(piece in text for piece in asking.gold)
        answered += bool(answer.citations)
        long += bool(answer.citations) and len(sentence_spans(text)) > 2
        chunks = {passage.chunk_id: passage.text for passage in passages}
        citations += len(answer.citations)
        valid += sum(bool(c.quote) and c.quote in chunks.get(c.chunk_id, "") for c in answer.citations)
    return {
        "questions": count,
        "recall@1": round(first / count, 4),
        f"recall@{TOP_K}": round(within / count, 4),
        "gold in answer": round(gold / count, 4),
        "answered": round(answered / count, 4),
        "answers longer than two sentences": long,
        "citations": citations,
        "citations valid": round(valid / citations, 4) if citations else None,
        "not answered by the model": sum(answer.status != "answered" for answer in answers),
    }


async def run(dataset: Path, limit: int | None) -> dict[str, Any]:
    documents, askings = read_squad(dataset, limit)
    index = EmbeddedIndex.open()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        pool = HttpPool("model", allowed={("127.0.0.1", port)})
        arguments = ["streams", "offline-model", "--port", str(port)]
        program = Program(arguments, environment(), Path(folder) / "model.log")
        try:
            began = perf_counter()
            await index.aupsert(documents)
            indexed_s = perf_counter() - began
            await program.answers_http(f"http://127.0.0.1:{port}/health")
            model = OpenAIModel(pool, f"http://127.0.0.1:{port}/v1", "offline")
            retriever = RecordingRetriever(IndexRetriever(index, TOP_K))
            components = Components(retriever, model, RegistryExecutor(ToolRegistry(())), model)
            pipeline = Pipeline(default_graph(components, Budgets(retrieve_s=DEADLINE_S)), Silent())
            began, cpu = perf_counter(), process_time()
            answers = await ask_all(pipeline, askings)
            took_s, cpu_s = perf_counter() - began, process_time() - cpu
            figures = measure(askings, answers, retriever.found)
        finally:
            await pool.aclose()
            await index.aclose()
            await program.stop()
    return {
        "dataset": dataset.name,
        "paragraphs": len(documents),
        **figures,
        "indexing s": round(indexed_s, 2),
        "questions/s": round(len(askings) / took_s, 1),
        "pipeline CPU ms a question": round(cpu_s / len(askings) * 1000, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality of retrieval and answers on a SQuAD-format file.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--limit", type=int, help="ask only the first N questions")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    figures = asyncio.run(run(options.dataset, options.limit))
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")
    written = orjson.dumps(figures)
    print(written.decode())
    if options.json:
        options.json.write_bytes(written)


if __name__ == "__main__":
    main()
