"""The reader of `questions.control`, in virtual time on a topic in memory: nothing is lost, or read twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.structs import OffsetAndTimestamp

from streams.consumer.control import POLL_MS, ControlReader

pytestmark = pytest.mark.looptime


@dataclass
class Topic:
    """A topic in memory, and its clients. `away`: how many of the next polls fail."""

    numbers: set[int] = field(default_factory=lambda: {0, 1})
    logs: dict[int, list[int]] = field(default_factory=lambda: {0: [], 1: []})
    away: int = 0
    opened: int = 0

    def write(self, number: int, at_ms: int) -> None:
        self.logs[number].append(at_ms)

    def open(self) -> "Client":
        self.opened += 1
        return Client(self)


@dataclass
class Client:
    topic: Topic
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def close(self) -> None: ...

    async def describe_topics(self) -> list[dict[str, Any]]:
        return [{"topic": "control", "partitions": [{"partition": number} for number in self.topic.numbers]}]

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: len(self.topic.logs[place.partition]) for place in places}

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
        found: dict[TopicPartition, Any] = {}
        for place, at in times.items():
            log = self.topic.logs[place.partition]
            first = next((offset for offset, written in enumerate(log) if written >= at), None)
            found[place] = None if first is None else OffsetAndTimestamp(first, log[first])
        return found

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.positions = dict.fromkeys(places, 0)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.positions[place] = offset

    async def position(self, place: TopicPartition) -> int:
        return self.positions[place]

    async def getmany(self, *places: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        if self.topic.away:
            self.topic.away -= 1
            raise ConnectionError("the broker is away")
        found = {}
        for place in places:
            log, begin = self.topic.logs[place.partition], self.positions[place]
            records = [
                ConsumerRecord("control", place.partition, offset, log[offset], 1, None, b"", None, 0, 0, ())
                for offset in range(begin, min(len(log), begin + 2))
            ]
            self.positions[place] = begin + len(records)
            if records:
                found[place] = records
        if not found:
            await asyncio.sleep(timeout_ms / 1000)
        return found


@dataclass
class Reading:
    topic: Topic = field(default_factory=Topic)
    ours: set[int] = field(default_factory=lambda: {0, 1})
    taken: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = ControlReader(
            open_reader=self.topic.open,
            open_admin=lambda: Client(self.topic),
            topic="control",
            take=lambda number, records: self.taken.extend((number, record.offset) for record in records),
            owned=lambda number: number in self.ours,
        )


async def test_a_partition_is_read_from_a_time_to_its_end_and_then_followed() -> None:
    reading = Reading()
    for at_ms in (1, 2, 3, 4, 5):
        reading.topic.write(0, at_ms)
    await reading.reader.afollow(0, 3)
    assert reading.taken == [(0, 2), (0, 3), (0, 4)]
    await reading.reader.afollow(1, 0)
    reading.topic.write(0, 6)
    reading.topic.write(1, 6)
    await asyncio.sleep(1)
    assert sorted(reading.taken[3:]) == [(0, 5), (1, 0)]
    await reading.reader.aclose()


async def test_a_broker_that_was_away_costs_no_record() -> None:
    reading = Reading()
    reading.topic.write(0, 1)
    await reading.reader.afollow(0, 0)
    reading.topic.away = 3
    await asyncio.sleep(POLL_MS / 1000)
    assert "away" in reading.reader.problem
    reading.topic.write(0, 2)
    await asyncio.sleep(10)
    assert (reading.taken, reading.reader.problem) == ([(0, 0), (0, 1)], "")
    assert reading.topic.opened == 4
    await reading.reader.aclose()


async def test_a_partition_that_is_lost_is_read_no_more_and_anew_when_it_comes_back() -> None:
    reading = Reading()
    await reading.reader.afollow(0, 0)
    reading.ours.discard(0)
    await asyncio.sleep(1)
    reading.topic.write(0, 1)
    await asyncio.sleep(1)
    assert reading.taken == []
    reading.ours.add(0)
    await reading.reader.afollow(0, 0)
    assert reading.taken == [(0, 0)]
    await reading.reader.aclose()


async def test_a_missing_partition_holds_nothing_up_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reading = Reading()
    reading.topic.numbers.clear()
    await reading.reader.afollow(0, 0)
    await reading.reader.afollow(1, 0)
    assert "kotae topics create" in reading.reader.problem
    assert len(caplog.records) == 1
    await reading.reader.aclose()


async def test_whoever_waited_may_be_cancelled_meanwhile() -> None:
    reading = Reading()
    reading.topic.away = 2
    reading.topic.write(0, 1)
    waiting = asyncio.create_task(reading.reader.afollow(0, 0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await reading.reader.afollow(0, 0)
    assert reading.taken == [(0, 0)]
    await reading.reader.aclose()
