"""Finds out which records of a partition were done before it became ours: the offset map, and a scan.

The map that came with the last commit names the offsets above it that are done; the answers that were
written since are read from the same partition of `answers`. Nothing of a partition may run before both are
known, because it would be answered twice. So a recovery that fails is repeated until it succeeds.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from aiokafka import TopicPartition

from streams.consumer.offset_map import decode
from streams.consumer.recovered import Recovered, confirm, take_in
from streams.consumer.repeats import Repeats, share_out
from streams.kafka.closing import within
from streams.kafka.reading import CLOCK_SKEW_MS, MACHINES_SKEW_MS, afirst, aread
from streams.process.backoff import Backoff
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

REQUEST_S = 10.0
"""How long one request may take, and how long a scan may go without a record, before all is repeated."""
RETRY_STEPS_S = (0.2, 1.0, 3.0)
STOOD_STILL_MAX_MS = 7 * 86_400_000
"""The longest time for which a partition counts as having stood still: `questions` is kept as long."""
_BY_BROKER = 1
"""The `timestamp_type` of a record that bears its broker's time."""
CLOSE_S = 2.0


class Recovery:
    """Reads with clients of its own, which last as long as one recovery.

    Args:
        open_reader: makes a consumer without a group, not started, that goes on at the earliest record where
            its position is out of range.
        open_admin: makes an admin client, not started.
        repeats: the index whose bounds say which results are read.
        wall_clock: unix seconds.
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
        repeats: Repeats,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._open_reader = open_reader
        self._open_admin = open_admin
        self._group_id = group_id
        self._questions = questions
        self._answers = answers
        self._hook = hook
        self._repeats = repeats
        self._wall_clock = wall_clock

    async def arecover(self, numbers: Collection[int], done: Callable[[Recovered], None]) -> None:
        """Call `done` for each partition as soon as it is recovered; the others go on meanwhile."""
        left = set(numbers)
        backoff = Backoff(RETRY_STEPS_S)

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
                if len(left) < before:
                    backoff.reset()
                await asyncio.sleep(backoff.wait_s())

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
            topics = self._questions, self._answers
            attempt = _Attempt(reader, *topics, self._hook, repeats=self._repeats, now=self._wall_clock())
            await attempt.arun(numbers, committed, tell)
        finally:
            try:
                await within(CLOSE_S, admin.close())
            finally:  # a rebalance may cancel us while we wait for the other
                await within(CLOSE_S, reader.stop())


class _Attempt:
    """One attempt at the recovery of some partitions."""

    def __init__(
        self, reader: Any, questions: str, answers: str, hook: Hook, *, repeats: Repeats, now: float
    ) -> None:
        self._repeats = repeats
        self._now_ms = int(now * 1000)
        self._reader = reader
        self._questions = questions
        self._answers = answers
        self._hook = hook

    async def arun(self, numbers: list[int], committed: Any, done: Callable[[Recovered], None]) -> None:
        begins, ends = await self._bounds(self._questions, numbers)
        first, last = await self._bounds(self._answers, numbers)
        scans: list[Recovered] = []
        for number in numbers:
            offset, metadata = committed.get(TopicPartition(self._questions, number), (-1, ""))
            known, reported = (offset if offset >= 0 else None), False
            if known is not None and not begins[number] <= known <= ends[number]:
                self._hook.offset_out_of_range(number, known, begins[number])
                known, reported = None, True
            found = Recovered(number, begins[number] if known is None else known, known)
            found.position, found.reported = last[number], reported
            mapped = None if known is None else decode(metadata, known)
            if found.start >= ends[number]:
                found.scan_from = last[number]
                if not self._repeats.window_s:
                    done(found)
                    continue
            elif mapped is None:
                found.doubtful = {}
            else:
                found.completed.update(mapped.completed)
                found.scan_from = mapped.scan_from
            scans.append(found)
        await self._estimate(scans, ends)
        if self._repeats.window_s:
            await self._look_for_repeats(scans, first)
        await self._scan(scans, first, ends, done)

    async def _bounds(self, topic: str, numbers: list[int]) -> tuple[dict[int, int], dict[int, int]]:
        partitions = [TopicPartition(topic, number) for number in numbers]
        async with asyncio.timeout(REQUEST_S):
            begins = await self._reader.beginning_offsets(partitions)
            ends = await self._reader.end_offsets(partitions)
        return (
            {partition.partition: offset for partition, offset in begins.items()},
            {partition.partition: offset for partition, offset in ends.items()},
        )

    async def _estimate(self, scans: list[Recovered], ends: dict[int, int]) -> None:
        """Scan from answers as old as the first question: none was answered before it was asked."""
        by_number = {found.number: found for found in scans}
        begins = {
            TopicPartition(self._questions, found.number): found.start
            for found in scans
            if found.start < ends[found.number]
        }
        for found in scans:
            # Those that come meanwhile are as old as now.
            found.asked_ms = max(0, self._now_ms - MACHINES_SKEW_MS)
        if not begins:
            return
        self._reader.assign(list(begins))
        asked: dict[TopicPartition, int] = {}
        async with asyncio.timeout(REQUEST_S):
            goals = {partition: ends[partition.partition] for partition in begins}
            async for question in afirst(self._reader, begins, goals):
                found, at = by_number[question.partition], question.timestamp
                if at >= 0:
                    found.stood_still_s = min(max(0, self._now_ms - at), STOOD_STILL_MAX_MS) / 1000
                skew_ms = MACHINES_SKEW_MS if question.timestamp_type == _BY_BROKER else CLOCK_SKEW_MS
                found.asked_ms = min(found.asked_ms, max(0, at - skew_ms))
                if found.scan_from is None:
                    asked[TopicPartition(self._answers, question.partition)] = max(0, at - skew_ms)
            offsets = await self._reader.offsets_for_times(asked) if asked else {}
        for found in scans:
            if found.scan_from is None:
                begin = offsets.get(TopicPartition(self._answers, found.number))
                found.scan_from = found.position if begin is None else begin.offset

    async def _look_for_repeats(self, scans: list[Recovered], first: dict[int, int]) -> None:
        """Read the results of the window too, but no more records than the index keeps."""
        times: dict[TopicPartition, int] = {}
        for found in scans:
            window_s = self._repeats.window_s + found.stood_still_s
            found.since_ms = max(0, self._now_ms - int(window_s * 1000))
            times[TopicPartition(self._answers, found.number)] = found.since_ms
        async with asyncio.timeout(REQUEST_S):
            offsets = await self._reader.offsets_for_times(times) if times else {}
        spans: dict[int, int] = {}
        for found in scans:
            begin = offsets.get(TopicPartition(self._answers, found.number))
            since = found.position if begin is None else max(begin.offset, first[found.number])
            spans[found.number] = max(0, found.position - since)
        shares = share_out(spans, self._repeats.most)
        for found in scans:
            found.repeats_from = found.position - shares[found.number]

    async def _scan(
        self,
        scans: list[Recovered],
        first: dict[int, int],
        ends: dict[int, int],
        done: Callable[[Recovered], None],
    ) -> None:
        begins: dict[TopicPartition, int] = {}
        for found in scans:
            begin = first[found.number] if found.scan_from is None else found.scan_from
            begin = max(begin, first[found.number])
            if begin > found.position:  # it is one of an earlier `answers`
                begin = first[found.number]
            found.scan_from = begin
            begins[TopicPartition(self._answers, found.number)] = min(
                begin, begin if found.repeats_from is None else found.repeats_from
            )
        if not begins:
            return
        by_number = {found.number: found for found in scans}
        doubtful: list[Recovered] = []
        self._reader.assign(list(begins))
        goals = {partition: by_number[partition.partition].position for partition in begins}
        async for partition, records in aread(self._reader, begins, goals, silence_s=REQUEST_S):
            found = by_number[partition.partition]
            if records:
                take_in(found, self._questions, records)
            elif found.doubtful:
                doubtful.append(found)
            else:
                done(found)
        if doubtful:
            await self._look_at_questions(doubtful, ends, done)

    async def _look_at_questions(
        self, doubtful: list[Recovered], ends: dict[int, int], done: Callable[[Recovered], None]
    ) -> None:
        by_number = {found.number: found for found in doubtful}
        begins: dict[TopicPartition, int] = {}
        goals: dict[TopicPartition, int] = {}
        for found in doubtful:
            offsets, partition = found.doubtful or {}, TopicPartition(self._questions, found.number)
            goals[partition] = end = min(ends[found.number], max(offsets) + 1)
            begins[partition] = min(end, *offsets)
        self._reader.assign(list(begins))
        async for partition, questions in aread(self._reader, begins, goals, silence_s=REQUEST_S):
            found = by_number[partition.partition]
            if questions:
                confirm(found, questions)
            else:
                done(found)
