"""Questions that a client calls back: each cancel follows its question's record."""

import asyncio
from typing import Any

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from schemas.answer import Source
from schemas.codec import decode_cancel
from schemas.control import Cancel
from schemas.question import Question
from streams.client.cancelling import CLOSE_S, Cancels

pytestmark = pytest.mark.looptime
QUESTION = Question(id="q", text="What now?", conversation_id="c", tenant="acme")


class Broker:
    """A producer whose broker acknowledges questions after a while."""

    def __init__(self, delay_s: float = 1.0, error: Exception | None = None) -> None:
        self.delay_s = delay_s
        self.error = error
        self.given_up = 0
        self.cancels: list[tuple[float, int, bytes, Cancel]] = []

    async def ask(self) -> RecordMetadata:
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.error:
            raise self.error
        return RecordMetadata("questions", 3, TopicPartition("questions", 3), 42, 0, 0, 0)

    async def send_and_wait(self, topic: str, value: bytes, *, key: bytes, partition: int) -> None:
        assert topic == "questions.control"
        now = asyncio.get_running_loop().time()
        self.cancels.append((now, partition, key, decode_cancel(value)))


def started(broker: Broker) -> Cancels:
    cancels = Cancels("questions.control")
    cancels.start(broker)  # type: ignore[arg-type]
    return cancels


async def wait(cancels: Cancels, broker: Broker, wait_s: float) -> None:
    with cancels.of(QUESTION) as asked:
        await asked.write(broker.ask())
        await asyncio.sleep(wait_s)


@pytest.mark.parametrize("gone_after_s", [0.5, 2.0])
async def test_who_goes_before_or_after_the_acknowledgement_cancels_after_it(gone_after_s: float) -> None:
    broker = Broker()
    cancels = started(broker)
    began = asyncio.get_running_loop().time()
    asking = asyncio.create_task(wait(cancels, broker, 60))
    await asyncio.sleep(gone_after_s)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await cancels.aclose()
    [(at, partition, key, cancel)] = broker.cancels
    assert at - began == pytest.approx(max(1.0, gone_after_s))
    assert (partition, key, cancel.source) == (3, b"c", Source("questions", 3, 42))
    assert (cancel.tenant, cancel.reason, broker.given_up) == ("acme", "disconnect", 0)


async def test_a_question_is_cancelled_by_its_id_and_once() -> None:
    broker = Broker()
    cancels = started(broker)
    asking = asyncio.create_task(wait(cancels, broker, 5))
    await asyncio.sleep(0)
    assert not cancels.cancel("another")
    assert cancels.cancel("q")
    assert cancels.cancel("q")
    await asking
    [(_, _, _, cancel)] = broker.cancels
    assert cancel.reason == "request"
    assert not cancels.cancel("q"), "nobody waits any more"


async def test_an_answer_and_a_time_out_cancel_nothing() -> None:
    broker = Broker()
    cancels = started(broker)
    await wait(cancels, broker, 0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(_timed(cancels, broker)), 10)
    await cancels.aclose()
    assert (broker.cancels, broker.given_up) == ([], 1)


async def _timed(cancels: Cancels, broker: Broker) -> None:
    with cancels.of(QUESTION) as asked:
        async with asyncio.timeout(0.5):
            await asked.write(broker.ask())


@pytest.mark.parametrize("missing", [True, False])
async def test_without_the_topic_or_the_record_nothing_is_written(missing: bool) -> None:
    broker = Broker(error=ConnectionError("the broker is away"))
    cancels = Cancels("questions.control")
    cancels.start(None if missing else broker)  # type: ignore[arg-type]
    asking: Any = asyncio.create_task(wait(cancels, broker, 60))
    await asyncio.sleep(0.5)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await cancels.aclose()
    assert broker.cancels == []
    assert broker.given_up == missing


async def test_the_end_waits_for_a_cancel_on_its_way_within_bounds() -> None:
    broker = Broker(delay_s=600)
    cancels = started(broker)
    asking = asyncio.create_task(wait(cancels, broker, 60))
    await asyncio.sleep(0.5)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    began = asyncio.get_running_loop().time()
    await cancels.aclose()
    assert asyncio.get_running_loop().time() - began == pytest.approx(CLOSE_S)
