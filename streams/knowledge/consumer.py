"""A consumer of `documents`: opened, closed in bounded time, and told what its group assigns."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.options import client_options
from streams.kafka.topics import alist_topics
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

STOP_S = 5.0
"""What a consumer gets to leave; aiokafka's may hang where the broker is gone."""


@contextlib.asynccontextmanager
async def open_consumer(
    kafka: Kafka, topic: str, **options: Any
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """A connected consumer that commits nothing by itself, and the topic's partitions.

    Raises:
        OperatorError, KafkaError, OSError: no broker, or no such topic yet.
    """
    counts = {state.name: state.partitions for state in await alist_topics(kafka)}
    if not counts.get(topic):
        raise OperatorError(
            f"the cluster at {kafka.bootstrap_servers} has no topic {topic}: "
            "create it with 'kotae topics create'"
        )
    consumer = AIOKafkaConsumer(**client_options(kafka), enable_auto_commit=False, **options)
    try:
        await consumer.start()
        yield consumer, [TopicPartition(topic, number) for number in range(counts[topic])]
    finally:
        with contextlib.suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(STOP_S):
                await consumer.stop()


class Assigned(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What the group gives a reader. With `anew`, its first partitions are read from their beginning.

    `once` turns true with the first assignment, be it empty. `reread` gives the beginnings of partitions
    that are read again, until something of them has been committed: what was before says nothing.
    """

    def __init__(self, consumer: AIOKafkaConsumer, begins: Mapping[int, int], *, anew: bool) -> None:
        self._consumer = consumer
        self._begins = begins
        self._anew = anew
        self.once = False
        self.reread: dict[int, int] = {}

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """See aiokafka."""
        for partition in revoked:
            self.reread.pop(partition.partition, None)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """See aiokafka: called before anything of the partitions is read."""
        if self._anew and assigned:
            self._anew = False
            await self._consumer.seek_to_beginning(*assigned)
            self.reread = {each.partition: self._begins[each.partition] for each in assigned}
        self.once = True


def by_number(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    """Offsets of one topic's partitions, by their numbers."""
    return {partition.partition: offset for partition, offset in offsets.items()}
