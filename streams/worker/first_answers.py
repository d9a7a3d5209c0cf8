"""Reads answers again that this worker's partitions of `answers` hold, for the repeats of their questions.

One consumer without a group and one coroutine serve all: each round goes to the lowest wanted place of every
partition, and a batch serves all that it holds.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition

from schemas.answer import Answer
from schemas.codec import DecodeError, decode_answer
from streams.kafka.closing import within
from streams.process.backoff import Backoff

log = logging.getLogger(__name__)

POLL_MS = 500
BATCH = 500
"""Records taken in at once: to look at them must not hold the event loop for long."""
START_S = 10.0
CLOSE_S = 2.0


class GoneError(LookupError):
    """The answer is not in its topic any more."""


class _Wanted:
    """An answer that somebody waits for."""

    __slots__ = ("answer", "offset", "position")

    def __init__(self, position: int, offset: int) -> None:
        self.position = position
        self.offset = offset
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class FirstAnswers:
    """The reader; it connects when the first answer is wanted.

    Args:
        open_reader: makes a consumer without a group, not started, that goes on at the earliest record where
            its position is out of range.
        questions, answers: names of the topics.
    """

    def __init__(self, *, open_reader: Callable[[], Any], questions: str, answers: str) -> None:
        self._open_reader = open_reader
        self._questions = questions
        self._answers = answers
        self._wanted: dict[int, list[_Wanted]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._consumer: Any = None

    async def aread(self, partition: int, position: int, offset: int, *, limit_s: float) -> Answer:
        """Return the answer to the question at `offset` of a partition, which lies at `position` or above.

        Raises:
            GoneError: it is not there.
            TimeoutError: it could not be read within `limit_s`.
        """
        wanted = _Wanted(position, offset)
        self._wanted.setdefault(partition, []).append(wanted)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="first-answers")
        try:
            async with asyncio.timeout(limit_s):
                return await wanted.answer
        finally:
            # Whoever waited may have given up.
            left = self._wanted.get(partition, [])
            if wanted in left:
                left.remove(wanted)

    async def aclose(self) -> None:
        """Disconnect, within `CLOSE_S`."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._disconnect()

    async def _read(self) -> None:
        """Serve all that is wanted, then end; the connection stays."""
        backoff = Backoff()
        while self._prune():
            try:
                await self._round()
                backoff.reset()
            except Exception as error:  # noqa: BLE001 - the repeats keep the time; aiokafka raises anything
                log.warning("an answer cannot be read for a repeat of its question: %r", error)
                await self._disconnect()
                await asyncio.sleep(backoff.wait_s())

    def _prune(self) -> bool:
        """Return whether anything is wanted."""
        self._wanted = {number: wanted for number, wanted in self._wanted.items() if wanted}
        return bool(self._wanted)

    async def _round(self) -> None:
        if self._consumer is None:
            self._consumer = self._open_reader()
            async with asyncio.timeout(START_S):
                await self._consumer.start()
        consumer = self._consumer
        sought = {
            TopicPartition(self._answers, number): min(wanted.position for wanted in waiting)
            for number, waiting in self._wanted.items()
            if waiting
        }
        async with asyncio.timeout(START_S):
            consumer.assign(list(sought))
            begins = await consumer.beginning_offsets(list(sought))
            ends = await consumer.end_offsets(list(sought))
        left = dict(sought)
        for partition, position in sought.items():
            if begins[partition] <= position < ends[partition]:
                consumer.seek(partition, position)
            else:
                self._give_up(partition.partition, position, ends[partition])
                del left[partition]
        if left:
            batches = await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=BATCH)
            for partition, records in batches.items():
                self._take(partition.partition, sought[partition], records)

    def _take(self, number: int, sought: int, records: list[Any]) -> None:
        if not records:
            return
        at = {record.offset: record for record in records}
        last = records[-1].offset
        for wanted in list(self._wanted.get(number, ())):
            if not sought <= wanted.position <= last or wanted.answer.done():
                continue
            answer = self._found(number, wanted, at, last)
            if answer is not None:
                wanted.answer.set_result(answer)
                self._wanted[number].remove(wanted)
            else:
                wanted.position = last + 1

    def _found(self, number: int, wanted: _Wanted, at: dict[int, Any], last: int) -> Answer | None:
        """Return the answer among these records. Most lie where they are looked for: one is decoded."""
        for offset in range(wanted.position, last + 1):
            record = at.get(offset)
            if record is None:
                continue
            try:
                answer = decode_answer(record.value)
            except DecodeError:
                continue
            source = answer.source
            if (source.topic, source.partition, source.offset) == (self._questions, number, wanted.offset):
                return answer
        return None

    def _give_up(self, number: int, sought: int, end: int) -> None:
        """Nothing is at the place: it was cut off, or all was read to the end of the topic."""
        for wanted in list(self._wanted.get(number, ())):
            if wanted.position == sought and not wanted.answer.done():
                wanted.answer.set_exception(
                    GoneError(f"{self._answers}/{number} ends at {end} and has no answer from {sought} on")
                )
                self._wanted[number].remove(wanted)

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await within(CLOSE_S, consumer.stop())
