"""Opens a consumer of `documents`, closes it in bounded time, and follows its group's assignments."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from streams.kafka.options import COMMITTED, client_options
from streams.kafka.reading import aread
from streams.kafka.topics import acheck_topics, admin_client
from streams.kafka.transactions import OpenTransaction, progress_of
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

STOP_S = 5.0
"""The time that a consumer has to leave its group: without a broker, aiokafka's may hang."""


@contextlib.asynccontextmanager
async def open_consumer(
    kafka: Kafka, topic: str, **options: Any
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """Yield a connected consumer that never commits by itself, and the topic's partitions.

    Raises:
        OperatorError, KafkaError, OSError: there is no broker, or no such topic yet.
    """
    # Not a list of our topics: a worker has no right to see some of them.
    counts = await acheck_topics(kafka, needed=())
    if not counts.get(topic):
        raise OperatorError(
            f"the cluster at {kafka.bootstrap_servers} has no topic {topic}: "
            "create it with 'kotae topics create'"
        )
    consumer = AIOKafkaConsumer(**client_options(kafka), **COMMITTED, enable_auto_commit=False, **options)
    try:
        await consumer.start()
        yield consumer, [TopicPartition(topic, number) for number in range(counts[topic])]
    finally:
        with contextlib.suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(STOP_S):
                await consumer.stop()


class GroupAssignments(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Follows the partitions that the group assigns to a reader.

    Args:
        from_beginning: the first partitions that are assigned are read from their beginning.

    Attributes:
        once: true from the first assignment on, even an empty one.
        new: true after an assignment, until the reader has taken over its partitions.
        reread: the beginning of each partition that is read again, until the first commit: an older
            commit says nothing about the progress.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, begins: Mapping[int, int], *, from_beginning: bool
    ) -> None:
        self._consumer = consumer
        self._begins = begins
        self._from_beginning = from_beginning
        self.once = self.new = False
        self.reread: dict[int, int] = {}
        self._known: dict[TopicPartition, int] = {}

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """See aiokafka."""
        self._known = {}
        for partition in revoked:
            self.reread.pop(partition.partition, None)

    async def acommit(self, partition: TopicPartition, offset: int, note: str) -> None:
        """Commit the records below an offset, with a note for the partition's next reader."""
        try:
            await self._consumer.commit({partition: (offset, note)})
        except (CommitFailedError, IllegalStateError) as error:
            # Its new reader begins where we did, which does no harm: a document replaces itself.
            log.info("the group revoked %s before the commit: %s", partition, error)
        self.reread.pop(partition.partition, None)

    async def ahead(self) -> dict[TopicPartition, int]:
        """Return the position of each partition that was read on since this was asked last.

        It is above the last record where a transaction's marker or aborted records follow. If only records
        were committed, a partition that ends in these would never be read to its end.
        """
        found: dict[TopicPartition, int] = {}
        for partition in self._consumer.assignment():
            try:
                position = await self._consumer.position(partition)
                if partition not in self._known:
                    begin = self._begins.get(partition.partition, 0)
                    committed = await self._consumer.committed(partition)
                    self._known[partition] = self.reread.get(partition.partition, committed or begin)
            except IllegalStateError:
                continue  # the group has taken it meanwhile
            if position > self._known[partition]:
                found[partition] = self._known[partition] = position
        return found

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """See aiokafka, which calls it before it reads the partitions."""
        if self._from_beginning and assigned:
            self._from_beginning = False
            await self._consumer.seek_to_beginning(*assigned)
            self.reread = {each.partition: self._begins[each.partition] for each in assigned}
        self.once = self.new = True


async def anotes(kafka: Kafka, group: str, partitions: Collection[TopicPartition]) -> dict[int, str]:
    """Return the note of each partition's last commit; empty where there is none.

    Raises:
        OperatorError, KafkaError: the group cannot be asked.
    """
    notes = {partition.partition: "" for partition in partitions}
    if partitions:
        async with admin_client(kafka) as admin:
            commits = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
        notes |= {partition.partition: commit.metadata or "" for partition, commit in commits.items()}
    return notes


class OpenTransactions:
    """Notices transactions that are left open on the partitions that one process reads."""

    def __init__(self) -> None:
        self._open: dict[int, OpenTransaction] = {}

    def held_s(self, number: int) -> float:
        """Return for how long the partition has been held; 0: it is not."""
        held = self._open.get(number)
        return 0.0 if held is None else held.held_s(time.monotonic())

    async def alook(self, consumer: AIOKafkaConsumer) -> None:
        """Look how far each partition was read; warn of a transaction that has held one for long."""
        now, before, self._open = time.monotonic(), self._open, {}
        for partition in consumer.assignment():
            with contextlib.suppress(IllegalStateError):  # the group has taken it meanwhile
                position = await consumer.position(partition)
                if partition not in consumer.assignment():
                    continue
                stable, end = consumer.last_stable_offset(partition), consumer.highwater(partition)
                held = self._open[partition.partition] = before.get(partition.partition, OpenTransaction())
                held.look(progress_of(position, stable, end), now)
                if held.due(now):
                    log.warning(
                        "%s/%d: a producer's transaction has been open for a minute, and no later document "
                        "is read until it ends: find its producer with 'kafka-transactions.sh "
                        "describe-producers', or end it with 'kafka-transactions.sh abort'",
                        partition.topic,
                        partition.partition,
                    )


async def alast_time(
    consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, offset: int
) -> int | None:
    """Return the time, in ms, of a partition's last record below an offset; None: there is none.

    Compaction and the markers of transactions leave gaps, so it is looked for further and further back. The
    consumer's position is moved.

    Raises:
        KafkaError: the partition cannot be read.
    """
    back, until = 1, offset
    while until > begin:
        start = max(begin, offset - back)
        found: int | None = None
        async for _, records in aread(consumer, {partition: start}, {partition: until}):
            found = records[-1].timestamp if records else found
        if found is not None:
            return found
        back, until = back * 8, start
    return None


def by_number(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    """Key the offsets of one topic by partition number."""
    return {partition.partition: offset for partition, offset in offsets.items()}
