"""How far behind the broker a worker is, and how long it would take to catch up."""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.closing import within

log = logging.getLogger(__name__)

HALF_LIFE_S = 30.0
CLOSE_S = 1.0


class DrainEstimate:
    """Estimates the time until the backlog is empty if no question is added: lag over rate of completion.

    The rate is a moving average in which a measurement loses half of its weight in `half_life_s`. It counts
    completed questions, not the ones that could have been: after a quiet time the estimate begins too high.

    Attributes:
        seconds: infinite if questions wait and none is completed; NaN while nothing is known.
    """

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        self.seconds = math.nan
        self._half_life_s = half_life_s
        self._rate = math.nan
        self._last: tuple[float, float] | None = None

    def observe(self, now: float, lag: int | None, completed: float) -> None:
        """Take in a measurement.

        Args:
            now: seconds that only grow.
            lag: how many questions are left; None: not known.
            completed: how many were completed so far.
        """
        last, self._last = self._last, (now, completed)
        if last is not None and now > last[0]:
            rate = (completed - last[1]) / (now - last[0])
            kept = 0.0 if math.isnan(self._rate) else 0.5 ** ((now - last[0]) / self._half_life_s)
            self._rate = rate if not kept else kept * self._rate + (1 - kept) * rate
        self.seconds = self._seconds(lag)

    def _seconds(self, lag: int | None) -> float:
        if lag is None or (lag and math.isnan(self._rate)):
            return math.nan
        if not lag:
            return 0.0
        return lag / self._rate if self._rate else math.inf


def lag_of(ends: Mapping[int, int], positions: Mapping[int, int | None]) -> int:
    """Return the number of records above these positions, over all partitions whose position is known."""
    return sum(max(0, ends.get(number, 0) - at) for number, at in positions.items() if at is not None)


class Backlog:
    """Asks the broker over its own connection: the connection of a stuck consumer tells nothing."""

    def __init__(self, open_reader: Callable[[], AIOKafkaConsumer], topic: str) -> None:
        self._open_reader = open_reader
        self._topic = topic
        self._reader: Any = None

    async def aends(self, numbers: Collection[int], timeout_s: float) -> dict[int, int] | None:
        """Return the offset after the last record of each partition.

        None if the broker does not answer within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                reader = await self._connected()
                # Without a partition of ours, asking for one still shows whether the broker answers.
                asked = [TopicPartition(self._topic, number) for number in numbers or (0,)]
                ends: dict[TopicPartition, int] = await reader.end_offsets(asked)
        except (KafkaError, TimeoutError) as error:
            log.debug("the broker does not say where our partitions end: %r", error)
            return None
        return {partition.partition: end for partition, end in ends.items()}

    async def aclose(self) -> None:
        """Disconnect. Takes `CLOSE_S` at most."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await within(CLOSE_S, reader.stop())

    async def _connected(self) -> Any:
        if self._reader is None:
            reader = self._open_reader()
            try:
                await reader.start()
            except BaseException:
                await within(CLOSE_S, reader.stop())
                raise
            self._reader = reader
        return self._reader
