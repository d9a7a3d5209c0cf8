"""What was done of a partition before it became ours: the offset map, and the scan of `answers`.

The map that came with the last commit names what is done above its offset; what was answered since then
is read from the same partition of `answers`. Nothing of a partition may run before both are known: it
would be answered twice. So what fails here is repeated for as long as it takes.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from streams.consumer.offset_map import decode
from streams.kafka.closing import within
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

REQUEST_S = 10.0
"""How long one request may take, and how long a scan may go without a record, before all is repeated."""
RETRY_S = (0.2, 1.0, 3.0)
SKEW_MS = 300_000
"""How far the clocks of brokers and workers may be apart, where only times tell where a scan begins."""
ASKERS_SKEW_MS = 3_900_000
"""And those of askers and workers, where `questions` bears the askers' times: an hour more, because a broker
refuses what is further ahead of its own clock (`message.timestamp.after.max.ms`)."""
_BY_BROKER = 1
"""`timestamp_type` of a record that bears its broker's time."""
SCAN_BATCH = 500
"""Records taken in at once: decoding them must not hold the event loop for long."""
CLOSE_S = 2.0


@dataclass(slots=True)
class Recovered:
    """Where work on a partition begins.

    Attributes:
        start: the offset to read from: the commit point, or the beginning where there is none.
        committed: what the group had committed; None for nothing, or for what is not there any more.
        completed: the offsets from `start` on that have their outcome.
        scan_from: every answer to them that no map names is at this position of `answers` or above.
        position: the end of `answers` as far as it was read.
        scanned: records of `answers` that were read.
    """

    number: int
    start: int
    committed: int | None
    completed: set[int] = field(default_factory=set)
    scan_from: int | None = None
    position: int = 0
    scanned: int = 0
    seconds: float = 0.0


class _Source(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Written(msgspec.Struct):
    source: _Source


_read = msgspec.json.Decoder(_Written).decode


def take_in(found: Recovered, topic: str, records: Iterable[ConsumerRecord]) -> None:
    """Mark what these records of `answers` answer; what others have written there is passed over."""
    for record in records:
        found.scanned += 1
        try:
            source = _read(record.value or b"").source
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            continue
        if source.topic == topic and source.partition == found.number and source.offset >= found.start:
            found.completed.add(source.offset)


class Recovery:
    """Reads with clients of its own, which last as long as one recovery.

    Args:
        open_reader: makes a consumer without a group that is not started, reading from the earliest where
            its position is out of range.
        open_admin: makes an admin client that is not started.
    """

    def __init__(
        self,
        *,
        open_reader: Callable[[], Any],
        open_admin: Callable[[], Any],
        group_id: str,
        questions: str,
        answers: str,
        hook: Hook,
    ) -> None:
        self._open_reader = open_reader
        self._open_admin = open_admin
        self._group_id = group_id
        self._questions = questions
        self._answers = answers
        self._hook = hook

    async def arecover(self, numbers: Collection[int], done: Callable[[Recovered], None]) -> None:
        """Call `done` for each partition as soon as it is known; the others go on meanwhile."""
        left = set(numbers)
        attempt = 0

        def tell(found: Recovered) -> None:
            left.discard(found.number)
            done(found)

        while left:
            before = len(left)
            try:
                await self._attempt(sorted(left), tell)
            except Exception as error:  # noqa: BLE001 - without it nothing may run; aiokafka raises anything
                self._hook.recovery_failed(error)
            if left:
                attempt = 0 if len(left) < before else attempt + 1
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])

    async def _attempt(self, numbers: list[int], done: Callable[[Recovered], None]) -> None:
        began = time.monotonic()

        def tell(found: Recovered) -> None:
            found.seconds = time.monotonic() - began
            done(found)

        admin, reader = self._open_admin(), self._open_reader()
        try:
            async with asyncio.timeout(REQUEST_S):
                await admin.start()
                committed = await admin.list_consumer_group_offsets(
                    self._group_id, partitions=[TopicPartition(self._questions, number) for number in numbers]
                )
                described = await admin.describe_topics([self._answers])
            there = {each["partition"] for topic in described for each in topic["partitions"]}
            if missing := sorted(set(numbers) - there):
                # Their outcomes could not be written either.
                self._hook.recovery_failed(
                    LookupError(
                        f"{self._answers} has no partitions {missing}: 'kotae topics create' adds them"
                    )
                )
                numbers = [number for number in numbers if number in there]
            if not numbers:
                return
            async with asyncio.timeout(REQUEST_S):
                await reader.start()
            await _Attempt(reader, self._questions, self._answers, self._hook).arun(numbers, committed, tell)
        finally:
            try:
                await within(CLOSE_S, admin.close())
            finally:  # a rebalance may cancel us while we wait for the other
                await within(CLOSE_S, reader.stop())


class _Attempt:
    """One go at it."""

    def __init__(self, reader: Any, questions: str, answers: str, hook: Hook) -> None:
        self._reader = reader
        self._questions = questions
        self._answers = answers
        self._hook = hook

    async def arun(self, numbers: list[int], committed: Any, done: Callable[[Recovered], None]) -> None:
        begins, ends = await self._bounds(self._questions, numbers)
        first, last = await self._bounds(self._answers, numbers)
        scans: list[Recovered] = []
        unknown: list[Recovered] = []
        for number in numbers:
            offset, metadata = committed.get(TopicPartition(self._questions, number), (-1, ""))
            known = offset if offset >= 0 else None
            if known is not None and not begins[number] <= known <= ends[number]:
                self._hook.offset_out_of_range(number, known, begins[number])
                known = None
            found = Recovered(number, begins[number] if known is None else known, known)
            found.position = last[number]
            if found.start >= ends[number]:
                found.scan_from = last[number]
                done(found)
                continue
            mapped = None if known is None else decode(metadata, known)
            if mapped is not None:
                found.completed.update(mapped.completed)
                found.scan_from = mapped.scan_from
            scans.append(found)
            if found.scan_from is None:
                unknown.append(found)
        if unknown:
            await self._estimate(unknown, ends)
        await self._scan(scans, first, done)

    async def _bounds(self, topic: str, numbers: list[int]) -> tuple[dict[int, int], dict[int, int]]:
        partitions = [TopicPartition(topic, number) for number in numbers]
        async with asyncio.timeout(REQUEST_S):
            begins = await self._reader.beginning_offsets(partitions)
            ends = await self._reader.end_offsets(partitions)
        return (
            {partition.partition: offset for partition, offset in begins.items()},
            {partition.partition: offset for partition, offset in ends.items()},
        )

    async def _estimate(self, unknown: list[Recovered], ends: dict[int, int]) -> None:
        """Begin where answers are as old as the first question: none was answered before it was asked."""
        waiting = {TopicPartition(self._questions, found.number): found for found in unknown}
        self._reader.assign(list(waiting))
        for partition, found in waiting.items():
            self._reader.seek(partition, found.start)
        asked: dict[TopicPartition, int] = {}
        async with asyncio.timeout(REQUEST_S):
            while waiting:
                batches = await self._reader.getmany(*waiting, timeout_ms=200, max_records=len(waiting))
                for partition, records in batches.items():
                    at = TopicPartition(self._answers, partition.partition)
                    skew_ms = SKEW_MS if records[0].timestamp_type == _BY_BROKER else ASKERS_SKEW_MS
                    asked[at] = max(0, records[0].timestamp - skew_ms)
                    del waiting[partition]
                for partition, found in list(waiting.items()):
                    # Only the marks of transactions may be left of what was there.
                    if await self._reader.position(partition) >= ends[found.number]:
                        del waiting[partition]
            offsets = await self._reader.offsets_for_times(asked) if asked else {}
        for found in unknown:
            begin = offsets.get(TopicPartition(self._answers, found.number))
            found.scan_from = found.position if begin is None else begin.offset

    async def _scan(
        self,
        scans: list[Recovered],
        first: dict[int, int],
        done: Callable[[Recovered], None],
    ) -> None:
        waiting: dict[TopicPartition, Recovered] = {}
        for found in scans:
            # A position beyond the end is one of an earlier `answers`.
            begin = first[found.number] if found.scan_from is None else found.scan_from
            begin = found.scan_from = max(begin, first[found.number])
            if begin > found.position:
                begin = found.scan_from = first[found.number]
            if begin < found.position:
                waiting[TopicPartition(self._answers, found.number)] = found
            else:
                done(found)
        if not waiting:
            return
        self._reader.assign(list(waiting))
        for partition, found in waiting.items():
            self._reader.seek(partition, found.scan_from)
        heard = time.monotonic()
        while waiting:
            batches = await self._reader.getmany(*waiting, timeout_ms=200, max_records=SCAN_BATCH)
            for partition, records in batches.items():
                heard = time.monotonic()
                take_in(waiting[partition], self._questions, records)
            for partition, found in list(waiting.items()):
                async with asyncio.timeout(REQUEST_S):
                    if await self._reader.position(partition) >= found.position:
                        del waiting[partition]
                        done(found)
            if time.monotonic() - heard > REQUEST_S:
                raise TimeoutError(f"nothing more was read of {sorted(waiting)}")
            await asyncio.sleep(0)
