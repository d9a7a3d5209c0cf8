"""Reads `questions.control` for the partitions that are ours: without a group, each from a time on, for good.

One consumer and one task serve all partitions. A partition's questions may run once its records up to the
present end were read.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from streams.kafka.closing import within
from streams.kafka.reading import BATCH
from streams.process.backoff import Backoff

log = logging.getLogger(__name__)

POLL_MS = 100
"""How long a partition that becomes ours waits for the others' poll."""
REQUEST_S = 10.0
CLOSE_S = 2.0

Take = Callable[[int, Sequence[ConsumerRecord]], None]
"""Takes in records of one partition, in their order."""


class _Joining:
    """A partition that has become ours. `end`: how far it must be read; None: not known yet."""

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.end: int | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class ControlReader:
    """The reader; it connects when the first partition is ours.

    Args:
        open_reader: makes a consumer without a group, not started, that goes on at the earliest record where
            its position is out of range.
        open_admin: makes an admin client, not started.
        topic: its name.
        take: takes in what was read.
        owned: whether a partition is still ours; else it is read no more.
    """

    def __init__(
        self,
        *,
        open_reader: Callable[[], Any],
        open_admin: Callable[[], Any],
        topic: str,
        take: Take,
        owned: Callable[[int], bool],
    ) -> None:
        self._open_reader = open_reader
        self._open_admin = open_admin
        self._topic = topic
        self._take = take
        self._owned = owned
        self._positions: dict[int, int] = {}
        self._joining: dict[int, _Joining] = {}
        self._changed = False
        self._wanted = asyncio.Event()
        self._consumer: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._missing = ""
        self._trouble = ""

    @property
    def problem(self) -> str:
        """Why not all can be read now; empty: it can."""
        return self._trouble or self._missing

    async def afollow(self, number: int, since_ms: int) -> None:
        """Return once a partition was read from a time (unix milliseconds) to its present end; read on.

        Where the topic has no such partition, as on a cluster that 0.1.0 made, that is told once.
        """
        joining = self._joining[number] = _Joining(since_ms)
        self._positions.pop(number, None)
        self._wanted.set()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._run(), name="control")
        await joining.done

    async def aclose(self) -> None:
        """Disconnect, within `CLOSE_S`."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._disconnect()

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._round()
                self._trouble = ""
                backoff.reset()
            except Exception as error:  # noqa: BLE001 - aiokafka raises anything; nothing read is lost
                if not self._trouble:
                    log.warning("%s cannot be read; questions are cancelled later: %r", self._topic, error)
                self._trouble = repr(error)
                await self._disconnect()
                await asyncio.sleep(backoff.wait_s())

    async def _round(self) -> None:
        self._let_go()
        if not (self._positions or self._joining):
            self._wanted.clear()
            await self._wanted.wait()
        if self._consumer is None:
            self._consumer = self._open_reader()
            async with asyncio.timeout(REQUEST_S):
                await self._consumer.start()
            self._changed = True
        if any(joining.end is None for joining in self._joining.values()):
            await self._join()
        if self._changed:
            self._assign()
        places = [TopicPartition(self._topic, number) for number in self._positions]
        if not places:
            return
        batches = await self._consumer.getmany(*places, timeout_ms=POLL_MS, max_records=BATCH)
        for place, records in batches.items():
            # One that has gone meanwhile is read again if it comes back.
            if records and place.partition in self._positions:
                self._positions[place.partition] = records[-1].offset + 1
                self._take(place.partition, records)
        await self._land()
        await asyncio.sleep(0)

    def _let_go(self) -> None:
        for number in [number for number in self._positions if not self._owned(number)]:
            del self._positions[number]
            self._changed = True
        for number in [number for number in self._joining if not self._owned(number)]:
            _end(self._joining.pop(number))

    async def _join(self) -> None:
        """Find out where the new partitions begin and end."""
        joining = {number: each for number, each in self._joining.items() if each.end is None}
        there = await self._partitions()
        for number in joining.keys() - there:
            self._tell_missing(number)
            del self._joining[number]
            _end(joining.pop(number))
        if not joining:
            return
        consumer, places = self._consumer, [TopicPartition(self._topic, number) for number in joining]
        async with asyncio.timeout(REQUEST_S):
            ends = await consumer.end_offsets(places)
            times = {place: max(0, joining[place.partition].since_ms) for place in places}
            found = await consumer.offsets_for_times(times)
        for place in places:
            number, begin = place.partition, found.get(place)
            if self._joining.get(number) is not joining[number]:
                continue
            joining[number].end = ends[place]
            self._positions[number] = ends[place] if begin is None else min(begin.offset, ends[place])
            self._changed = True

    async def _partitions(self) -> set[int]:
        admin = self._open_admin()
        try:
            async with asyncio.timeout(REQUEST_S):
                await admin.start()
                # All of them: to ask for one that is missing may create it.
                described = await admin.describe_topics()
        finally:
            await within(CLOSE_S, admin.close())
        return {
            each["partition"]
            for topic in described
            if topic["topic"] == self._topic
            for each in topic["partitions"]
        }

    def _tell_missing(self, number: int) -> None:
        if self._missing:
            return
        self._missing = (
            f"{self._topic} has no partition {number}, so its questions cannot be cancelled: "
            "'kotae topics create' makes it, and workers see it when they are started again"
        )
        log.warning("%s", self._missing)

    def _assign(self) -> None:
        # An assignment forgets the positions of the one before.
        self._consumer.assign([TopicPartition(self._topic, number) for number in self._positions])
        for number, position in self._positions.items():
            self._consumer.seek(TopicPartition(self._topic, number), position)
        self._changed = False

    async def _land(self) -> None:
        for number, joining in list(self._joining.items()):
            position = self._positions.get(number, 0)
            if joining.end is not None and position < joining.end:
                # The last offsets may hold the marks of transactions, which nobody reads.
                async with asyncio.timeout(REQUEST_S):
                    position = await self._consumer.position(TopicPartition(self._topic, number))
            if joining.end is not None and position >= joining.end:
                del self._joining[number]
                _end(joining)

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await within(CLOSE_S, consumer.stop())


def _end(joining: _Joining) -> None:
    if not joining.done.done():  # else whoever waited was cancelled
        joining.done.set_result(None)
