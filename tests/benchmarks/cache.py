"""The cost of a cached answer: `python -m tests.benchmarks.cache [--questions N] [--redis URL]`.

CPU of this process and latency of a question through `Pipeline.aanswer`: found in memory, found in Redis
(the program starts one if it can and none is named), missed, and without a cache. The components do
nothing, so that a miss costs only the graph and the cache; the model's call, which a hit saves, would come on
top. The last lines compare the cost of a retrieval from the embedded index with that of a look-up.
"""

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agents.cache.answers import AnswerCache
from agents.cache.keys import AnswerKeys
from agents.cache.memory import MemoryStore
from agents.cache.redis import RedisStore
from agents.components import Call, DeltaSink, Generation, Grounding, Passage
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.version import KnowledgeVersions, Mark
from agents.models.extractive import NoPlanner
from agents.pipeline import Asked, Budgets, Components, Pipeline, default_graph
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from schemas.answer import Source
from schemas.event import StageTrace
from schemas.question import Question, Turn
from tests.benchmarks.corpus import documents
from tests.support.redis import RedisServer

PASSAGES = [
    Passage(
        f"d{n}#0",
        f"d{n}",
        f"Product {n}",
        f"d{n}.md",
        f"The warranty of product {n} lasts {n} years. " * 8,
        1.0,
    )
    for n in range(5)
]
TEXT = " ".join(f"The warranty of product {n} lasts {n} years [{n + 1}]." for n in range(5))


class Found:
    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        return PASSAGES


class Written:
    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        return Generation(TEXT, "bench")


class Nobody:
    def stage_finished(self, trace: StageTrace) -> None:
        """Ignore the event."""


def pipeline(cached: bool, shared: RedisStore | None = None) -> Pipeline:
    versions = KnowledgeVersions()
    versions.begin()
    versions.changed(0, {"default": Mark(1999, 1_700_000_000_000)})
    executor = RegistryExecutor(ToolRegistry())
    keys = AnswerKeys(["bench", "default", 1024, 0.0], executor, versions)
    cache = AnswerCache(keys, MemoryStore(256 * 2**20), shared, ttl_s=3600) if cached else None
    graph = default_graph(Components(Found(), NoPlanner(), executor, Written()), Budgets())
    return Pipeline(graph, Nobody(), cache)


def questions(count: int) -> list[Question]:
    history = (Turn("user", "Hello, I have bought something."), Turn("assistant", "How can I help you?"))
    return [
        Question(id=f"q{n}", text=f"How long does the warranty of product {n} last?", history=history)
        for n in range(count)
    ]


async def measure(name: str, under_test: Pipeline, asked: Sequence[Question]) -> None:
    """Ask one question after the other, each in a task of its own, as the worker does."""
    loop = asyncio.get_running_loop()
    source = Source("questions", 0, 1)
    took: list[float] = []
    spent = time.process_time()
    for question in asked:
        began = time.perf_counter()
        await loop.create_task(under_test.aanswer(Asked(question, source, loop.time() + 30)))
        took.append(time.perf_counter() - began)
    spent = time.process_time() - spent
    p95 = statistics.quantiles(took, n=20)[-1]
    print(f"{name:28} {spent / len(asked) * 1e6:8.1f} us of CPU   p95 {p95 * 1e3:7.3f} ms")


async def retrieval(count: int) -> None:
    """The cost of a search in the embedded index, to compare with a look-up."""
    index = await asyncio.to_thread(EmbeddedIndex.open)
    for chunks in (2_000, 50_000):
        await index.aupsert(documents(chunks))
        spent = time.process_time()
        for n in range(count):
            await index.asearch("default", f"How long does the warranty of product {n} last?", 5)
        spent = time.process_time() - spent
        print(f"search among {chunks:6,} chunks     {spent / count * 1e6:8.1f} us of CPU")
    await index.aclose()


async def main(options: argparse.Namespace) -> None:
    asked = questions(options.questions)
    await measure("no cache", pipeline(cached=False), asked)
    cached = pipeline(cached=True)
    await measure("missed", cached, asked)
    await measure("found in memory", cached, asked)
    server = None
    if not options.redis and shutil.which("redis-server"):
        server = RedisServer(Path(tempfile.mkdtemp()))
        server.start()
        options.redis = server.url
    if options.redis:
        stores = [RedisStore(options.redis) for _ in range(2)]
        await measure("missed, and put into Redis", pipeline(cached=True, shared=stores[0]), asked)
        await asyncio.sleep(2)
        await measure("found in Redis", reader := pipeline(cached=True, shared=stores[1]), asked)
        print(f"  of {len(asked)}: {dict(reader._cache.results) if reader._cache else {}}")
        for store in stores:
            await store.aclose()
    if server is not None:
        server.kill()
    if options.retrieval:
        await retrieval(min(2_000, options.questions))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--questions", type=int, default=5_000)
    parser.add_argument("--redis", default="", help="redis://host:port/db of a server that may be filled")
    parser.add_argument("--retrieval", action="store_true", help="measure searches too")
    asyncio.run(main(parser.parse_args()))
