"""Reads the records that come for a client: without a group, from the ends that the partitions have now.

A group would take the partition away with every client that comes or goes, and the replies that are on their
way with it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.process.backoff import Backoff

log = logging.getLogger(__name__)

POLL_MS = 1000


class Inbox:
    """One consumer, and the task that reads from it until it is stopped.

    aiokafka finds a broker again that was away; an error that can be retried is, after a pause.

    Args:
        take: called with each record; never raises.
        fail: called with the error after which nothing more can be read.
    """

    def __init__(self, take: Callable[[ConsumerRecord], None], fail: Callable[[Exception], None]) -> None:
        self._take = take
        self._fail = fail
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._assigned: set[TopicPartition] = set()
        self._added: set[TopicPartition] = set()

    async def start(self, consumer: Any, partitions: Collection[TopicPartition]) -> None:
        """Start the consumer and read these partitions from their ends.

        Raises:
            KafkaError: the broker cannot be asked.
        """
        self._consumer = consumer
        await consumer.start()
        consumer.assign(list(partitions))
        self._assigned = set(partitions)
        # Before the first question is written, or the client could miss its answer.
        for partition, end in (await consumer.end_offsets(list(partitions))).items():
            consumer.seek(partition, end)
        self._task = asyncio.create_task(self.keep_reading(consumer))

    def follow(self, partitions: Collection[TopicPartition]) -> None:
        """Read these partitions, too: from their beginning, because they were added after the start."""
        self._added |= set(partitions) - self._assigned

    async def keep_reading(self, consumer: Any) -> None:
        """Read until cancelled, or until an error that does not go away."""
        backoff = Backoff()
        while True:
            try:
                if self._added:
                    await self._read_added(consumer)
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self._take(record)
                    backoff = Backoff()
            except Exception as error:  # noqa: BLE001 - the askers would wait in vain
                if not (isinstance(error, KafkaError) and error.retriable):
                    self._fail(error)
                    return
                log.warning("reading of replies is tried again: %r", error)
                await asyncio.sleep(backoff.wait_s())

    async def stop(self) -> None:
        """Stop reading and the consumer. Without a broker, that may take for ever."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _read_added(self, consumer: Any) -> None:
        added, self._added = self._added, set()
        # An assignment forgets the positions of the one before.
        positions = {partition: await consumer.position(partition) for partition in self._assigned}
        positions |= dict.fromkeys(added, 0)
        self._assigned |= added
        consumer.assign(list(self._assigned))
        for partition, position in positions.items():
            consumer.seek(partition, position)
