"""What a question costs, counted: calls of our functions, and requests to Kafka, whatever the machine.

The engine with the pipeline that settings describe answers questions in virtual time; only what is outside
(the broker, the model, the tools) is a fake. To measure again: `pytest -s -k cost`.
"""

import asyncio
import cProfile
import itertools
import pstats
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import ConsumerRecord

from agents.http import HttpPool, HttpResponse
from schemas.codec import encode
from schemas.document import Document
from schemas.question import Question
from schemas.topics import Topics
from streams.answering import Answering
from streams.assembly.answerer import Answerer, build_answerer
from streams.consumer.intake import Intake
from streams.consumer.loop import ConsumerLoop
from streams.publishing.copies import TRACES_S, Copies
from streams.publishing.outcomes import Outcomes
from streams.publishing.publisher import Publisher
from streams.publishing.sending import Sender
from streams.settings import Model, Settings
from streams.telemetry.hook import Hook, Hooks
from streams.telemetry.logs import LogSink
from streams.telemetry.metrics import Metrics
from tests.unit.consumer.test_loop import FakeConsumer
from tests.unit.publishing.test_sending import FakeBroker

pytestmark = pytest.mark.looptime

ROOT = Path(__file__).parents[2]
OURS = tuple(f"{ROOT / name}/" for name in ("streams", "agents", "schemas"))

CALLS = 539.8
"""Calls into our modules that a question makes: W1 of the benchmarks, all guards on, nothing cached."""
REQUESTS = 0.828
"""Batches that are written for a question, with `IN_FLIGHT` of them under way."""
SLACK = 1.1

IN_FLIGHT = 100
WARM_UP, QUESTIONS = 300, 600

TOOL = {
    "url": "http://127.0.0.1:1/tool",
    "method": "POST",
    "idempotent": True,
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def completion(**message: Any) -> bytes:
    usage = {"prompt_tokens": 100, "completion_tokens": 20}
    return orjson.dumps({"model": "m", "choices": [{"message": message}], "usage": usage})


PLAN = completion(
    tool_calls=[
        {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": f"tool{n}", "arguments": '{"city":"Oslo"}'},
        }
        for n in (1, 2)
    ]
)
ANSWER = completion(content="The warranty lasts three years [1]. The sky is clear.")
RESULT = orjson.dumps({"temperature": 21, "sky": "clear"})


SPREAD = itertools.cycle([number * 37 % 100 / 100 for number in range(100)])


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


async def respond(self: HttpPool, method: str, url: str, *, body: bytes | None = None, **_: Any) -> Any:
    """The services of the benchmarks, without the network."""
    if "/tool" in url:
        delay, body = 0.080, RESULT
    else:
        delay, body = (0.100, PLAN) if b'"tools"' in (body or b"") else (0.140, ANSWER)
    # Not all at once: what leaves together would hide how often something leaves.
    await asyncio.sleep(delay * (0.8 + 0.4 * next(SPREAD)))
    return HttpResponse(200, {"Content-Type": "application/json"}, body)


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
    monkeypatch.setattr(HttpPool, "arequest", respond)
    model = Model(base_url="http://127.0.0.1:1/v1")
    return build_answerer(Settings(model=model, tools={"tool1": TOOL, "tool2": TOOL}), {}, hook)


async def measured(answerer: Answerer, hook: Hook, finished: Finished) -> tuple[dict[str, float], float]:
    """Calls a question by function, and batches a question."""
    broker, consumer = FakeBroker(), FakeConsumer()
    broker.batch_size = 65_536
    await answerer.index.aupsert(
        [Document(id=f"p{n}", title=f"Product {n}", text=f"Its warranty lasts {n} years.") for n in range(50)]
    )
    topics = Topics("t.")
    outcomes = Outcomes(topics, reply_topics=(), group_id="g")
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
    )
    loop = ConsumerLoop(
        topic="questions",
        open_consumer=lambda: consumer,  # type: ignore[arg-type, return-value]
        recover=consumer.recover,
        handler=answering,
        intake=Intake(max_in_flight=IN_FLIGHT, max_buffered=500, max_bytes=2**26),
        hook=hook,
    )

    async def answer(count: int) -> None:
        finished.target += count
        finished.reached.clear()
        produce(consumer, finished.count, count)
        await finished.reached.wait()
        await asyncio.sleep(TRACES_S * 2)

    await publisher.start()
    await copies.start()
    await loop.start()
    await consumer.assign(*range(6))
    await answer(WARM_UP)
    before = len(broker.log)
    profile = cProfile.Profile()
    profile.enable()
    await answer(QUESTIONS)
    profile.disable()
    batches = len(broker.log) - before
    loop.stop_fetching()
    await loop.aclose(timeout_s=1)
    await publisher.aclose(timeout_s=1)
    await copies.aclose(timeout_s=1)
    await answerer.aclose()
    assert finished.statuses == {"answered"}
    assert len(broker.values(topics.answers)) == len(broker.values(topics.events)) == WARM_UP + QUESTIONS
    calls = {
        f"{Path(file).relative_to(ROOT)}:{line} {name}": entry[1] / QUESTIONS
        for (file, line, name), entry in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
        if file.startswith(OURS)
    }
    return calls, batches / QUESTIONS


async def test_the_cost_of_a_question(answerer: Answerer, hook: Hook, finished: Finished) -> None:
    calls, requests = await measured(answerer, hook, finished)
    total = sum(calls.values())
    most = sorted(calls.items(), key=lambda call: -call[1])[:25]
    shown = "\n".join(f"  {count:6.2f} {name}" for name, count in most)
    print(f"\nCALLS = {total:.1f}\nREQUESTS = {requests:.3f}\n{shown}")
    again = (
        "make it cheaper, or, where it is worth that, write what `pytest -s -k cost` prints into this file"
    )
    assert total <= CALLS * SLACK, f"a question makes {total:.0f} calls, not {CALLS:.0f}: {again}\n{shown}"
    assert requests <= REQUESTS * SLACK, (
        f"a question makes {requests:.3f} requests to Kafka, not {REQUESTS:.3f}: {again}"
    )
