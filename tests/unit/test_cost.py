"""What a question costs, counted: calls, tasks, timers, requests to Kafka, memory, whatever the machine.

The engine with the pipeline that settings describe answers questions in virtual time; only what is outside
is a fake: the broker, and the sockets to the benchmarks' services. To measure again: `pytest -s -k cost`.
"""

import asyncio
import cProfile
import gc
import itertools
import pstats
import re
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler
from aiokafka import ConsumerRecord

from agents.http.connector import GuardedConnector
from schemas.codec import encode
from schemas.document import Document
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.answerer import Answerer, build_answerer
from streams.consumer.assignment import Assignment
from streams.consumer.cancels import Cancels
from streams.consumer.intake import Intake
from streams.consumer.loop import ConsumerLoop
from streams.publishing.copies import TRACES_S, Copies
from streams.publishing.outcomes import Outcomes
from streams.publishing.publisher import Publisher
from streams.publishing.replies import ReplyTopics
from streams.publishing.sending import Sender
from streams.settings.model import Model, Settings
from streams.telemetry.hook import Hook, Hooks
from streams.telemetry.logs import LogSink
from streams.telemetry.metrics import Metrics
from streams.worker.answering import Answering
from tests.benchmarks.services import GENERATE_S, PLAN_S, TOOL_S, Latencies, Service
from tests.support.consumer import FakeConsumer
from tests.support.journal import Log
from tests.support.producer import FakeBroker
from tests.support.repeating import repeating_of

pytestmark = pytest.mark.looptime

ROOT = Path(__file__).parents[2]
OURS = ("streams/", "agents/", "schemas/")
TOPICS = Topics("t.")

MEASURED = {
    "calls of ours": 689.0,
    "calls": 2286.0,
    "tasks": 3.0,
    "timers": 6.8,
    "requests to Kafka": 0.927,
    "bytes while it waits": 12_000.0,
}
"""What a question takes: W1 of the benchmarks, all guards on, nothing cached, `IN_FLIGHT` of them at once.
Calls are everybody's, those of the event loop, of libraries and of what is built in among them; bytes are
those of Python's objects while it waits for its model, without its connection's."""
MEASURED_ON = (3, 11)
"""Another Python's event loop makes other calls."""
SLACK = 1.1

IN_FLIGHT = 100
WARM_UP, QUESTIONS = 300, 600
WAITED_S = 2.0

TOOL = {
    "method": "POST",
    "idempotent": True,
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Pipe(asyncio.Transport):
    """What is written to it is received at its other end, at once."""

    def __init__(self, protocol: asyncio.Protocol, other: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._other = other
        self._closed = False
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._other.data_received(bytes(data))

    def is_closing(self) -> bool:
        return self._closed

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close


TOOK_S = {"plan_s": PLAN_S, "tool_s": TOOL_S, "generate_s": GENERATE_S}
SPREAD = itertools.cycle([0.8 + 0.4 * (number * 37 % 100 / 100) for number in range(100)])
"""Not all at once: what leaves together would hide how often something leaves."""


async def connect(*_: Any) -> ResponseHandler:
    """A connection of aiohttp's to a service of the benchmarks, without a socket between them."""
    loop = asyncio.get_running_loop()
    service = Service(loop, Latencies(**{name: took * next(SPREAD) for name, took in TOOK_S.items()}))
    client = ResponseHandler(loop)
    Pipe(service, client)
    Pipe(client, service)
    return client


class Finished(Hook):
    def __init__(self) -> None:
        self.count = self.target = 0
        self.reached = asyncio.Event()
        self.statuses: set[str] = set()

    def question_finished(self, answer: Any, duration_s: float) -> None:
        self.count += 1
        self.statuses.add(answer.status)
        if self.count == self.target:
            self.reached.set()


def produce(consumer: FakeConsumer, first: int, count: int) -> None:
    for number in range(first, first + count):
        name = f"question-{number}"
        value = encode(Question(id=name, text=f"How long does the warranty of product {number} last?"))
        record = ConsumerRecord(
            "questions", number % 6, number // 6, 0, 0, name.encode(), value, None, 1, 1, ()
        )
        for records in (consumer.log, consumer.written):
            records.setdefault(number % 6, []).append(record)


@pytest.fixture
def finished() -> Finished:
    return Finished()


@pytest.fixture
def hook(finished: Finished) -> Hook:
    return Hooks([Metrics(), LogSink(), finished])


@pytest.fixture
def answerer(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> Answerer:
    monkeypatch.setattr(GuardedConnector, "_create_connection", connect)
    url = "http://127.0.0.1:1"
    tools = {name: {**TOOL, "url": f"{url}/{name}"} for name in ("tool1", "tool2")}
    return build_answerer(Settings(model=Model(base_url=f"{url}/v1"), tools=tools), {}, hook)


@asynccontextmanager
async def running(
    answerer: Answerer, hook: Hook, in_flight: int
) -> AsyncIterator[tuple[FakeBroker, FakeConsumer]]:
    """The engine on six partitions of a fake broker."""
    broker, consumer = FakeBroker(), FakeConsumer()
    broker.batch_size = 65_536
    await answerer.index.aupsert(
        [Document(id=f"p{n}", title=f"Product {n}", text=f"Its warranty lasts {n} years.") for n in range(50)]
    )
    outcomes = Outcomes(TOPICS, replies=ReplyTopics(TOPICS, ()), group_id="g")
    senders = [
        Sender(open_producer=broker.open, topics=(), rebuild=rebuild, hook=hook) for rebuild in (True, False)
    ]  # type: ignore[arg-type, return-value]
    copies = Copies(senders[1], reply_topics=(), hook=hook)
    publisher = Publisher(senders[0], copies=copies, shrink=outcomes.shrink, hook=hook)
    answering = Answering(
        pipeline=answerer.pipeline,
        outcomes=outcomes,
        publisher=publisher,
        copies=copies,
        hook=hook,
        deadline_s=30.0,
        journal=Log().journal(),
        repeating=repeating_of(),
        cancels=Cancels("questions"),
    )
    loop = ConsumerLoop(
        topic="questions",
        open_consumer=lambda: consumer,  # type: ignore[arg-type, return-value]
        recover=consumer.recover,
        handler=answering,
        assignment=Assignment(Intake(max_in_flight=in_flight, max_buffered=2 * in_flight, max_bytes=2**26)),
        hook=hook,
    )
    await publisher.start()
    await copies.start()
    await loop.start()
    await consumer.assign(*range(6))
    yield broker, consumer
    loop.stop_fetching()
    answering.cancel()
    await loop.aclose(timeout_s=1)
    await publisher.aclose(timeout_s=1)
    await copies.aclose(timeout_s=1)
    await answerer.aclose()


async def test_the_cost_of_a_question(answerer: Answerer, hook: Hook, finished: Finished) -> None:
    async with running(answerer, hook, IN_FLIGHT) as (broker, consumer):

        async def answer(count: int) -> None:
            finished.target += count
            finished.reached.clear()
            produce(consumer, finished.count, count)
            await finished.reached.wait()
            await asyncio.sleep(TRACES_S * 2)

        await answer(WARM_UP)
        before = len(broker.log)
        profile = cProfile.Profile()
        profile.enable()
        await answer(QUESTIONS)
        profile.disable()
        batches = len(broker.log) - before
    assert finished.statuses == {"answered"}
    asked = WARM_UP + QUESTIONS
    assert len(broker.values(TOPICS.answers)) == len(broker.values(TOPICS.events)) == asked
    calls = counted(profile)
    found = {
        "calls of ours": sum(count for name, count in calls.items() if name.startswith(OURS)),
        "calls": sum(calls.values()),
        "tasks": sum(count for name, count in calls.items() if re.search(r"base_events.*create_task", name)),
        "timers": sum(count for name, count in calls.items() if name.endswith((" call_at", " call_later"))),
        "requests to Kafka": batches / QUESTIONS,
    }
    if sys.version_info[:2] != MEASURED_ON:
        del found["calls"]
    most = sorted(calls.items(), key=lambda call: -call[1])
    shown = "\n".join(f"{count:8.2f} {name}" for name, count in most[:40])
    judge(found, shown)


async def test_the_memory_of_a_question_that_waits(
    answerer: Answerer, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(answerer, hook, 2 * IN_FLIGHT) as (_, consumer):
        monkeypatch.setitem(TOOK_S, "generate_s", 10 * WAITED_S)
        produce(consumer, 0, IN_FLIGHT)
        await asyncio.sleep(WAITED_S)
        tracemalloc.start()
        try:
            produce(consumer, IN_FLIGHT, IN_FLIGHT)
            await asyncio.sleep(WAITED_S)
            gc.collect()
            snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
    # Not aiohttp's, which are a connection's: in a burst there are more of them than questions that wait.
    others = [tracemalloc.Filter(False, f"*/{name}/*") for name in ("tests", "looptime", "aiohttp")]
    held = snapshot.filter_traces(others).statistics("filename")
    shown = "\n".join(f"{each.size / IN_FLIGHT:8.0f} {each.traceback}" for each in held[:25])
    judge({"bytes while it waits": sum(each.size for each in held) / IN_FLIGHT}, shown)


HARNESS = re.compile(r"/tests/|/looptime/|/selectors\.py|/_weakrefset\.py")
LOOPS = {"_run_once", "call_later"}
"""How often the loop looks for events depends on how they fall together; what it runs does not."""


def counted(profile: cProfile.Profile) -> dict[str, float]:
    """How often each function was called for a question, by whatever is no part of the test."""
    found: dict[str, float] = {}
    for (file, line, name), entry in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if not HARNESS.search(file):
            callers = entry[4].items()
            calls = sum(
                calls
                for (by, _, caller), (calls, *_) in callers
                if not (HARNESS.search(by) or caller in LOOPS)
            )
            found[f"{file.removeprefix(f'{ROOT}/')}:{line} {name}"] = calls / QUESTIONS
    return found


def judge(found: dict[str, float], shown: str) -> None:
    """What was found costs no more than what was measured once, and a tenth."""
    told = "\n".join(f'    "{what}": {count:.4g},' for what, count in found.items())
    print(f"\n{told}\n{shown}")
    for what, count in found.items():
        assert count <= MEASURED[what] * SLACK, (
            f"{count:.4g} {what}, not {MEASURED[what]:.4g}: make a question cheaper, or, where it is worth "
            f"that, write what `pytest -s -k cost` prints into this file\n{shown}"
        )
