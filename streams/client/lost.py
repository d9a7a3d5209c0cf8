"""Finds answers whose replies were lost: a worker can crash between an answer and its copy.

`answers` has them all. One reading serves every question that misses its reply at the time.
"""

import asyncio
import logging
from collections.abc import Callable

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.answer import Answer, Source
from streams.client.pending import PendingAnswer
from streams.kafka.reading import MACHINES_SKEW_MS, aread, open_reader
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

AFTER_DONE_S = 1.0
"""How long after the last delta of an answer its reply is missed."""
AGAIN_S = 1.0
"""The pause between two looks, once the deadline has passed."""
BROKERS_SKEW_MS = 5_000
"""How far the clocks of two brokers may be apart in a first look; a later one allows `MACHINES_SKEW_MS`, for
a topic whose records workers date."""


class LostReplies:
    """Looks on `answers` for what did not come.

    Args:
        topic: `answers`.
        take: called with each record there since the time of a question; never raises.
    """

    def __init__(self, kafka: Kafka, topic: str, take: Callable[[ConsumerRecord], None]) -> None:
        self._kafka = kafka
        self._topic = topic
        self._take = take
        self._wanted: dict[int, int] = {}
        self._task: asyncio.Task[None] | None = None

    def look(self, partition: int, asked_ms: int, *, thorough: bool) -> None:
        """Read the answers of a question's partition from the question's time on, to their end.

        `thorough`: allow for clocks that are far apart.
        """
        since = max(0, asked_ms - (MACHINES_SKEW_MS if thorough else BROKERS_SKEW_MS))
        self._wanted[partition] = min(since, self._wanted.get(partition, since))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())

    async def arecover(
        self, pending: PendingAnswer, source: Source, asked_ms: int, deadline: float
    ) -> Answer:
        """Return the answer to a question that is written; look for it when its reply seems lost.

        That is 1 s after its last delta, and from the deadline on (in the event loop's time) every second.

        Args:
            asked_ms: the time of the question's record, unix milliseconds.

        Raises:
            Exception: the one that the pending answer failed with.
        """
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []

        def look(*, thorough: bool = False) -> None:
            if not pending.answer.done():
                self.look(source.partition, asked_ms, thorough=thorough)

        def look_soon() -> None:
            timers.append(loop.call_later(AFTER_DONE_S, look))

        pending.on_done = look_soon
        if pending.runs_done:
            look_soon()
        try:
            await asyncio.wait([pending.answer], timeout=deadline - loop.time())
            while not pending.answer.done():
                look(thorough=True)
                await asyncio.wait([pending.answer], timeout=AGAIN_S)
            return pending.answer.result()
        finally:
            pending.on_done = None
            for timer in timers:
                timer.cancel()

    async def stop(self) -> None:
        """Give up looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        try:
            async with open_reader(self._kafka) as consumer:
                while self._wanted:
                    wanted, self._wanted = self._wanted, {}
                    places = {TopicPartition(self._topic, number): since for number, since in wanted.items()}
                    consumer.assign(list(places))
                    ends = await consumer.end_offsets(list(places))
                    begins = dict(ends)
                    for place, found in (await consumer.offsets_for_times(places)).items():
                        if found is not None:
                            begins[place] = found.offset
                    async for _, records in aread(consumer, begins, ends):
                        for record in records:
                            self._take(record)
        except (KafkaError, OperatorError) as error:
            # The question's own time-out tells its asker; a later look may succeed.
            log.warning("%s cannot be searched for lost replies: %r", self._topic, error)
