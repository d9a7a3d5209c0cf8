"""Reading to the ends that partitions have now, against a consumer that has its records in memory."""

import asyncio
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.kafka.reading import afirst, aread

A, B, C = (TopicPartition("t", number) for number in range(3))


class MemoryReader:
    """Has records at these offsets; behind the last one there are `marks` offsets without a record."""

    def __init__(self, offsets: dict[TopicPartition, list[int]], marks: int = 0) -> None:
        self._offsets = offsets
        self._marks = marks
        self._at: dict[TopicPartition, int] = {}
        self.polled: list[set[TopicPartition]] = []

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self._at[partition]

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        await asyncio.sleep(0)
        self.polled.append(set(partitions))
        found = {}
        for partition in partitions:
            left = [offset for offset in self._offsets[partition] if offset >= self._at[partition]][:2]
            if left:
                found[partition] = [
                    ConsumerRecord("t", partition.partition, offset, 0, 0, b"", b"", None, 0, 0, ())
                    for offset in left
                ]
                self._at[partition] = left[-1] + 1
            else:
                self._at[partition] += self._marks
        return found


async def read(reader: Any, begins: Any, ends: Any, **options: Any) -> list[tuple[int, list[int]]]:
    return [
        (partition.partition, [record.offset for record in records])
        async for partition, records in aread(reader, begins, ends, **options)
    ]


async def test_each_partition_is_read_from_its_begin_to_before_its_end_and_then_no_more() -> None:
    reader = MemoryReader({A: [0, 1, 2, 3, 9], B: [5, 6, 7, 8], C: [0]})
    ends = {A: 4, B: 7, C: 0}
    found = await read(reader, {A: 1, B: 5, C: 0}, ends)
    assert found == [(2, []), (0, [1, 2]), (1, [5, 6]), (1, []), (0, [3]), (0, [])]
    assert ends == {}
    assert reader.polled == [{A, B}, {A}]


async def test_the_end_is_reached_where_the_last_offsets_hold_no_record() -> None:
    assert await read(MemoryReader({A: [0]}, marks=3), {A: 0}, {A: 3}) == [(0, [0]), (0, [])]


async def test_a_partition_that_the_caller_takes_out_is_read_no_more() -> None:
    reader, ends = MemoryReader({A: [0, 1, 2, 3], B: [0, 1, 2]}), {A: 4, B: 3}
    async for partition, _ in aread(reader, {A: 0, B: 0}, ends):
        if partition == A:
            ends.pop(A)
    assert reader.polled == [{A, B}, {B}]


@pytest.mark.looptime
async def test_a_reader_that_hears_nothing_more_gives_up() -> None:
    with pytest.raises(TimeoutError, match="no more records"):
        await read(MemoryReader({A: [0]}), {A: 0}, {A: 9}, silence_s=0.0)


async def test_the_first_wanted_record_of_each_partition_is_found() -> None:
    reader = MemoryReader({A: [0, 1, 2, 3], B: [0, 1, 2], C: [4]})
    ends = {A: 4, B: 3, C: 4}
    found = [each async for each in afirst(reader, dict.fromkeys(ends, 0), ends, lambda r: r.offset > 1)]
    assert sorted((record.partition, record.offset) for record in found) == [(0, 2), (1, 2)]
    assert ends == {A: 4, B: 3, C: 4}, "the caller's own stays as it is"
