"""The reader of first answers against a log in memory; a real broker's is read in tests/integration."""

import asyncio
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from agents.pipeline import Asked
from schemas.answer import Source
from schemas.codec import encode
from schemas.question import Question
from streams.worker.first_answers import FirstAnswers, GoneError
from tests.support.engine import answer_to

pytestmark = pytest.mark.looptime


def record(position: int, offset: int, partition: int = 0, value: bytes | None = b"") -> ConsumerRecord:
    asked = Asked(Question(id=f"q{offset}", text="?"), Source("questions", partition, offset), 0.0)
    value = encode(answer_to(asked).answer) if value == b"" else value
    return ConsumerRecord("answers", partition, position, 0, 1, b"k", value, None, 1, 1, ())


class Broker:
    """Partitions, and the one consumer that reads them."""

    def __init__(self, *records: ConsumerRecord, begin: int = 0) -> None:
        self.records: dict[int, list[ConsumerRecord]] = {}
        for one in records:
            self.records.setdefault(one.partition, []).append(one)
        self.begin = begin
        self.opened = self.stopped = self.polls = 0
        self.problems: list[Exception] = []
        self.silent = False
        self._sought: dict[TopicPartition, int] = {}

    def open(self) -> "Broker":
        self.opened += 1
        return self

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped += 1

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._sought = {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._sought[partition] = offset

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.begin)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {one: self.records[one.partition][-1].offset + 1 for one in partitions}

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        self.polls += 1
        if self.problems:
            raise self.problems.pop()
        if self.silent:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        return {
            one: [found for found in self.records[one.partition] if found.offset >= self._sought[one]][:2]
            for one in partitions
        }


def reader(broker: Broker) -> FirstAnswers:
    return FirstAnswers(open_reader=broker.open, questions="questions", answers="answers")


async def test_answers_are_read_at_their_places_over_one_connection() -> None:
    broker = Broker(*[record(n, 100 + n) for n in range(10)], *[record(n, n, partition=1) for n in range(3)])
    first = reader(broker)
    found = await asyncio.gather(
        *[first.aread(0, n, 100 + n, limit_s=5) for n in (7, 8, 2)], first.aread(1, 1, 1, limit_s=5)
    )
    assert [answer.question_id for answer in found] == ["q107", "q108", "q102", "q1"]
    assert (await first.aread(0, 0, 100, limit_s=5)).question_id == "q100"
    assert broker.opened == 1
    assert broker.polls == 3, "7 and 8 share one, and partition 1 goes along"
    await first.aclose()
    assert broker.stopped == 1


async def test_an_answer_that_lies_above_its_place_is_found() -> None:
    broker = Broker(record(0, 5), record(1, 6, value=b"foreign"), record(2, 7), record(3, 8))
    assert (await reader(broker).aread(0, 0, 8, limit_s=5)).question_id == "q8"


@pytest.mark.parametrize(("position", "begin"), [(1, 2), (9, 0), (0, 0)])
async def test_an_answer_that_is_gone_is_told(position: int, begin: int) -> None:
    broker = Broker(*[record(n, 100 + n) for n in range(4)], begin=begin)
    with pytest.raises(GoneError, match="answers/0"):
        await reader(broker).aread(0, position, 7, limit_s=60)


async def test_a_broker_that_fails_is_asked_again_over_another_connection() -> None:
    broker = Broker(record(0, 5))
    broker.problems = [ConnectionError(), ConnectionError()]
    assert (await reader(broker).aread(0, 0, 5, limit_s=60)).question_id == "q5"
    assert (broker.opened, broker.stopped) == (3, 2)


async def test_a_broker_that_is_silent_is_not_waited_for_beyond_the_limit() -> None:
    broker = Broker(record(0, 5))
    broker.silent = True
    first = reader(broker)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await first.aread(0, 0, 5, limit_s=7)
    assert asyncio.get_running_loop().time() - began == pytest.approx(7)
    await asyncio.sleep(2)
    polls = broker.polls
    await asyncio.sleep(10)
    assert broker.polls == polls, "nobody waits any more"
    broker.silent = False
    assert (await first.aread(0, 0, 5, limit_s=7)).question_id == "q5"
