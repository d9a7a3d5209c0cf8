"""The shared level of the cache on a real Redis that is stopped, killed, slow, or not a Redis at all."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from agents.cache.answers import AnswerCache
from agents.cache.keys import AnswerKeys
from agents.cache.memory import MemoryStore
from agents.cache.redis import PREFIX, READ_S, RedisStore
from agents.cache.store import VALUE_BYTES_MAX
from agents.components import Call, Generation, Grounding, Passage
from agents.knowledge.version import KnowledgeVersions, Mark
from agents.pipeline import Answered, Asked, Budgets, Components, Pipeline, default_graph
from schemas.question import Question
from tests.support.components import (
    PASSAGE,
    SOURCE,
    FakeGenerator,
    FakePlanner,
    FakeRetriever,
    FakeToolExecutor,
    RecordingObserver,
)
from tests.support.listening import Serve, listening
from tests.support.redis import RedisServer

KEY = b"k" * 20
ASKED = 50
ADDED_S = 0.05
"""The mean time that a question may lose to a Redis that does not work, on any machine."""


@dataclass
class Clock:
    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@asynccontextmanager
async def opened(url: str, clock: Clock | None = None) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, clock or Clock())
    try:
        yield store
    finally:
        await store.aclose()


def redis_at(where: tuple[str, int]) -> str:
    return f"redis://{where[0]}:{where[1]}/0"


async def until_kept(store: RedisStore, clock: Clock, key: bytes, value: bytes, limit_s: float = 20) -> None:
    """Repeat until it is read: on a busy machine late look-ups may open the breaker."""
    async with asyncio.timeout(limit_s):
        while await store.aget(key) != value:
            clock.ahead_s += 61
            store.put(key, value, 60)
            await asyncio.sleep(0.05)


async def costs_little(store: RedisStore) -> None:
    """Check that nothing is found, in bounded mean time, and soon in no time at all."""
    store.put(KEY, b"value", 60)
    began = time.perf_counter()
    for _ in range(ASKED):
        assert await store.aget(KEY) is None
    assert time.perf_counter() - began < ASKED * ADDED_S
    errors = store.errors
    for _ in range(ASKED):
        assert await store.aget(KEY) is None
        store.put(KEY, b"value", 60)
    assert store.errors == errors


async def test_a_stopped_redis_delays_questions_little_and_is_used_again_later(
    redis_server: RedisServer,
) -> None:
    clock = Clock()
    async with opened(redis_server.url, clock) as store:
        await until_kept(store, clock, KEY, b"before")
        redis_server.signal(signal.SIGSTOP)
        await costs_little(store)
        redis_server.signal(signal.SIGCONT)
        await until_kept(store, clock, KEY, b"after")


async def test_a_killed_redis_delays_questions_little_and_is_used_again_later(
    redis_server: RedisServer,
) -> None:
    clock = Clock()
    async with opened(redis_server.url, clock) as store:
        await until_kept(store, clock, KEY, b"before")
        redis_server.kill()
        await costs_little(store)
        redis_server.start()
        await until_kept(store, clock, KEY, b"after")


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def talk_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def promise_a_gigabyte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        writer.write(b"$1073741824\r\n" + b"x" * 1000)


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        writer.write(b"-NOAUTH Authentication required.\r\n")


async def test_closing_the_store_ends_waiting_reads_without_a_value() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        store = RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", read_s=60)
        waiting = asyncio.create_task(store.aget(KEY))
        async with asyncio.timeout(10):
            await asked.wait()
            await store.aclose()
            assert await waiting is None


def forwarding(port: int, *, connecting_s: float = 0.0, delay_s: Callable[[], float] = lambda: 0.0) -> Serve:
    """A slow way to the server there: slow to open, or slow for each packet."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(connecting_s)
        to, back = await asyncio.open_connection("127.0.0.1", port)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                await asyncio.sleep(delay_s())
                target.write(data)

        try:
            await asyncio.gather(copy(reader, back), copy(to, writer))
        finally:
            back.close()

    return forward


@pytest.mark.parametrize("serve", [hang, talk_http, promise_a_gigabyte, refuse])
async def test_a_server_that_is_not_redis_delays_questions_little(serve: Serve) -> None:
    async with listening(serve) as where, opened(redis_at(where)) as store:
        await costs_little(store)


async def test_a_slow_connection_is_used_and_delays_questions_little(
    redis_server: RedisServer,
) -> None:
    async with listening(forwarding(redis_server.port, connecting_s=20 * READ_S)) as where:
        async with opened(redis_at(where)) as store:
            await costs_little(store)
        clock = Clock()
        async with opened(redis_at(where), clock) as store:
            await until_kept(store, clock, KEY, b"value")


async def test_a_slow_event_loop_is_not_blamed_on_redis(
    redis_server: RedisServer,
) -> None:
    clock = Clock()
    async with opened(redis_server.url, clock) as store:
        await until_kept(store, clock, KEY, b"value")
        found = []
        for _ in range(ASKED):
            clock.ahead_s += 61
            asked = asyncio.create_task(store.aget(KEY))
            for _ in range(3):
                await asyncio.sleep(0)  # until the request is sent
            time.sleep(3 * READ_S)  # noqa: ASYNC251 - the loop is held on purpose
            found.append(await asked)
        # All of them, if Redis has a processor.
        assert b"value" in found


async def test_a_slow_redis_delays_questions_little_and_never_mixes_up_values(
    redis_server: RedisServer,
) -> None:
    delay_s = 0.0
    clock = Clock()
    keys = [n.to_bytes(20) for n in range(ASKED)]
    delayed = forwarding(redis_server.port, delay_s=lambda: delay_s)
    async with listening(delayed) as where, opened(redis_at(where), clock) as store:
        for key in keys:
            store.put(key, b"of " + key, 60)
        await until_kept(store, clock, keys[-1], b"of " + keys[-1])
        # Some are answered in time and some are given up in the middle of a reply.
        for each_s in (0.001, 0.008, 0.012, 0.03, 0.002):
            delay_s = each_s
            clock.ahead_s += 61
            for key in keys:
                assert await store.aget(key) in {None, b"of " + key}
        delay_s = 1.0
        clock.ahead_s += 61
        await costs_little(store)


@dataclass
class Worker:
    """A pipeline with its own cache in front of a shared one."""

    url: str
    read_s: float = 10.0
    generator: FakeGenerator = field(default_factory=FakeGenerator)
    versions: KnowledgeVersions = field(default_factory=KnowledgeVersions)

    def __post_init__(self) -> None:
        self.versions.begin()
        tools = FakeToolExecutor()
        self.shared = RedisStore(self.url, read_s=self.read_s, background_s=10.0)
        keys = AnswerKeys("fakes", tools, self.versions)
        self.cache = AnswerCache(keys, MemoryStore(1_000_000), self.shared, ttl_s=600)
        graph = default_graph(Components(FakeRetriever(), FakePlanner(), tools, self.generator), Budgets())
        self.pipeline = Pipeline(graph, RecordingObserver(), self.cache)

    async def ask(self, text: str = "How long is the warranty?", tenant: str = "default") -> Answered:
        deadline = asyncio.get_running_loop().time() + 30
        return await self.pipeline.aanswer(
            Asked(Question(id="q", text=text, tenant=tenant), SOURCE, deadline)
        )


@asynccontextmanager
async def workers(url: str, count: int, **parts: float) -> AsyncIterator[list[Worker]]:
    made = [Worker(url, **parts) for _ in range(count)]
    try:
        yield made
    finally:
        for worker in made:
            await worker.shared.aclose()


async def stored(url: str) -> dict[bytes, bytes]:
    async with Redis.from_url(url) as client:
        return {key: await client.get(key) for key in await client.keys()}


async def until_stored(url: str, count: int) -> dict[bytes, bytes]:
    async with asyncio.timeout(20):
        while len(found := await stored(url)) < count:  # noqa: ASYNC110 - a server sends no event
            await asyncio.sleep(0.02)
    return found


async def test_workers_share_answers_of_the_same_knowledge_only(redis_server: RedisServer) -> None:
    async with workers(redis_server.url, 3) as (one, same, ahead):
        ahead.versions.changed(0, {"default": Mark(5, 5)})
        answer = (await one.ask()).answer
        await until_stored(redis_server.url, 1)
        again = await same.ask()
        assert (again.answer.text, again.answer.citations) == (answer.text, answer.citations)
        assert (again.stages[0].detail, len(again.stages)) == ("hit, shared", 1)
        assert (await same.ask()).stages[0].detail == "hit, memory"
        await ahead.ask()
        await same.ask(tenant="other")
        assert [len(worker.generator.calls) for worker in (one, same, ahead)] == [1, 1, 1]


async def test_keys_hold_neither_question_nor_tenant_and_every_key_expires(redis_server: RedisServer) -> None:
    async with workers(redis_server.url, 1) as (worker,):
        await worker.ask("Where is the canary?", "tenant-canary")
        (found,) = await until_stored(redis_server.url, 1)
        assert found.startswith(PREFIX)
        assert b"canary" not in found
        async with Redis.from_url(redis_server.url) as client:
            assert 0 < await client.pttl(found) <= 600_000


async def test_garbage_in_redis_counts_as_missing(redis_server: RedisServer) -> None:
    async with workers(redis_server.url, 1) as (worker,):
        await worker.ask()
        ((key, value),) = (await until_stored(redis_server.url, 1)).items()
    garbage: list[bytes | None] = [
        None, b"", b"\x00", value[:-1], value[20:], b"x" + value[1:], value[:20], b"y" * 20 + value[20:],
        value[:20] + b"\x91" * 100_000, value + b"x" * VALUE_BYTES_MAX, b"z" * 20_000_000,
    ]  # fmt: skip
    for each in garbage:
        async with Redis.from_url(redis_server.url) as client:
            await client.delete(key)
            await (client.hset(key, "a", "b") if each is None else client.set(key, each))
        async with workers(redis_server.url, 1) as (worker,):
            answered = await worker.ask()
            assert answered.answer.status == "answered"
            assert answered.stages[0].detail == "miss"
            assert len(worker.generator.calls) == 1


async def test_questions_are_answered_while_redis_hangs(redis_server: RedisServer) -> None:
    redis_server.signal(signal.SIGSTOP)
    async with workers(redis_server.url, 1, read_s=READ_S) as (worker,):
        answers = await asyncio.gather(*(worker.ask(f"Question {n}?") for n in range(200)))
        assert {answered.answer.status for answered in answers} == {"answered"}
        assert worker.cache.results["missed"] == 200


@dataclass
class OfTenants:
    """A retriever and generator that knows each tenant's secret and nothing else."""

    calls: int = 0

    async def aretrieve(self, question: Question, call: Call) -> list[Passage]:
        return [replace(PASSAGE, text=f"The canary of {question.tenant}. {question.text}")]

    async def agenerate(self, grounding: Grounding, call: Call, on_delta: object = None) -> Generation:
        self.calls += 1
        return Generation(f"{grounding.passages[0].text} [1]", "fake")


async def test_no_tenant_ever_gets_anothers_answer(redis_server: RedisServer) -> None:
    parts = OfTenants()
    async with workers(redis_server.url, 2) as made:
        for worker in made:
            tools = FakeToolExecutor()
            graph = default_graph(Components(parts, FakePlanner(), tools, parts), Budgets())
            worker.pipeline = Pipeline(graph, RecordingObserver(), worker.cache)
        for wave in range(40):
            asked = [
                (f"tenant-{n % 2}", f"Question {n % 7} of wave {wave // 4}?", made[n % 3 % 2])
                for n in range(50)
            ]
            answers = await asyncio.gather(*(worker.ask(text, tenant) for tenant, text, worker in asked))
            for (tenant, text, _), answered in zip(asked, answers, strict=True):
                assert answered.answer.text == f"The canary of {tenant}. {text} [1]"
                assert answered.answer.tenant == tenant
        found = made[0].cache.results + made[1].cache.results
        assert found["memory"] + found["shared"] + found["joined"] > 1500
