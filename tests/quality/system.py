"""The product without Kafka: its ingestion, its index and its pipeline as the settings make them, and the
offline model as a process of its own."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from msgspec.structs import replace

from agents.components import Passage
from agents.knowledge.index import EmbeddingIndex, Index
from agents.pipeline import Asked
from schemas.answer import Answer, Source
from schemas.document import Document
from schemas.question import Question
from streams.assembly.answerer import Answerer, build_answerer
from streams.assembly.stores import STORES, StoreParts, VectorStore, choose_store
from streams.ingestion.files import Problem, find_files, read_documents
from streams.settings.reader import load_settings
from streams.telemetry.hook import Hook
from tests.quality.recording import FOUND
from tests.support.system import Program, environment, free_port

CONCURRENCY = 8
DEADLINE_S = 120.0
BATCH = 64
PREFIXES = ("KOTAE_EMBEDDINGS__", "KOTAE_KNOWLEDGE__", "KOTAE_LIMITS__", "KOTAE_MODEL__")
"""Settings of the environment that are taken over, so that a variant can be measured."""


@dataclass(slots=True)
class Opening:
    """Opens a store as ever, and keeps the parts that it is given: no other way leads to the embeddings."""

    store: VectorStore
    parts: list[StoreParts] = field(default_factory=list)

    def __call__(self, parts: StoreParts) -> Index:
        self.parts.append(parts)
        return self.store.open(parts)


@dataclass(frozen=True, slots=True)
class System:
    """The product, with the embeddings that its index uses, if any."""

    answerer: Answerer
    embeddings: Any

    async def index(self, documents: Sequence[Document]) -> float:
        """Index documents, their vectors too; return the seconds that it took."""
        began = perf_counter()
        index = self.answerer.index
        for start in range(0, len(documents), BATCH):
            await index.aupsert(documents[start : start + BATCH])
        if isinstance(index, EmbeddingIndex) and await index.acount_lacking():
            await index.aembed_lacking()
        return perf_counter() - began

    async def ask(self, questions: Sequence[Question]) -> list[tuple[Answer, Sequence[Passage]]]:
        """Ask some at a time; return each answer with the passages that retrieval found for it."""
        at_once = asyncio.Semaphore(CONCURRENCY)
        loop = asyncio.get_running_loop()

        async def ask(number: int, question: Question) -> tuple[Answer, Sequence[Passage]]:
            async with at_once:
                asked = Asked(question, Source("questions", 0, number), loop.time() + DEADLINE_S)
                answer = (await self.answerer.pipeline.aanswer(asked)).answer
                return answer, FOUND.pop(question.id, ())

        return await asyncio.gather(*(ask(number, each) for number, each in enumerate(questions)))


def embedding_settings(embeddings: str) -> dict[str, str]:
    """The settings for `none`, an address, `builtin` or a directory."""
    if embeddings == "none":
        return {}
    is_address = embeddings.startswith(("http://", "https://"))
    return {"KOTAE_EMBEDDINGS__BASE_URL" if is_address else "KOTAE_EMBEDDINGS__LOCAL": embeddings}


@asynccontextmanager
async def running(embeddings: str, folder: Path) -> AsyncIterator[System]:
    """The product with an empty index, until the end of the block; logs go to `folder`."""
    port = free_port()
    model = f"http://127.0.0.1:{port}/v1"
    settings = {name: value for name, value in os.environ.items() if name.startswith(PREFIXES)}
    settings |= embedding_settings(embeddings)
    # The offline model compares by meaning where the worker does.
    compares = "builtin" if embeddings == "builtin" else "none"
    arguments = ["streams", "offline-model", "--port", str(port), "--embeddings", compares]
    program = Program(arguments, environment(**settings), folder / "model.log")
    try:
        await program.answers_http(f"http://127.0.0.1:{port}/health")
        loaded = load_settings(
            environ={
                "KOTAE_MODEL__BASE_URL": model,
                "KOTAE_MODEL__NAME": "offline",
                "KOTAE_CACHE__TTL_S": "0",
                # A busy machine must change the times alone.
                "KOTAE_LIMITS__RETRIEVE_S": "60",
                "KOTAE_LIMITS__DEADLINE_S": str(DEADLINE_S),
                "KOTAE_COMPONENTS__RETRIEVER": "tests.quality.recording:recording_retriever",
                **settings,
            }
        )
        store = choose_store(loaded.settings.knowledge, STORES)
        opening = Opening(store)
        answerer = await asyncio.to_thread(
            build_answerer,
            loaded.settings,
            loaded.environ,
            Hook(),
            stores=[dataclasses.replace(store, open=opening)],
        )
        try:
            yield System(answerer, opening.parts[0].embeddings)
        finally:
            await answerer.aclose()
    finally:
        await program.stop()


def ingest(folder: Path) -> tuple[list[Document], list[Problem]]:
    """Read a folder as `kotae ingest` does; ids and sources are paths within it."""
    documents, problems = [], []
    for file in find_files([folder]):
        for read in [file] if isinstance(file, Problem) else read_documents(file, None):
            if isinstance(read, Problem):
                problems.append(read)
            else:
                documents.append(
                    replace(read, id=_within(folder, read.id), source=_within(folder, read.source))
                )
    return documents, problems


def _within(folder: Path, name: str) -> str:
    return name.removeprefix(f"{folder.resolve().as_posix()}/")
