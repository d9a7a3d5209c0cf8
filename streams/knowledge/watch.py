"""Watches an index that workers share, for the versions of its knowledge.

Each worker reads all of `documents` for itself, from the group's committed offsets. A tenant with a new
record has no version until the group has committed that record: until then, some searches find the old
knowledge and some the new.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.errors import DependencyError
from agents.knowledge.index import EmbeddingIndex, Index, KeyedIndex
from agents.knowledge.version import KnowledgeVersions, Mark, Position
from streams.knowledge.changes import aread_changes
from streams.knowledge.consumer import alast_time, by_number, open_consumer
from streams.knowledge.holders import Holders
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

POLL_MS = 500
PENDING_POLL_MS = 50
"""The wait between two questions to the group for its commits, while it has some left to make."""
PAUSE_S = 2.0
BATCH = 256
"""The most records that are decoded together."""
COUNT_S = 5.0
"""The time between two counts of the documents that lack their vectors."""


class SharedIndexWatch:
    """Keeps `versions` up to date for an index that the consumer group `group` fills."""

    def __init__(
        self, kafka: Kafka, topic: str, group: str, versions: KnowledgeVersions, index: Index
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._group = group
        self._versions = versions
        self._index = index
        self._counted_at = 0.0

    async def run(self) -> None:
        """Watch until cancelled. While the topic cannot be read, no tenant has a version."""
        while True:
            try:
                await self._watch()
            except (KafkaError, OperatorError, OSError, DependencyError) as error:
                log.info("the versions of the knowledge are unknown: %s", error)
            except Exception:
                log.exception("the versions of the knowledge are unknown")
            finally:
                self._versions.forget()
            await asyncio.sleep(PAUSE_S)

    async def _watch(self) -> None:
        # The group ID only reads commits: a consumer that assigns its own partitions is not a member.
        async with open_consumer(
            self._kafka, self._topic, group_id=self._group, auto_offset_reset="earliest"
        ) as (consumer, partitions):
            consumer.assign(partitions)
            begins = by_number(await consumer.beginning_offsets(partitions))
            ends = by_number(await consumer.end_offsets(partitions))
            committed = await _committed(consumer, partitions)
            base = {number: max(begin, committed[number]) for number, begin in begins.items()}
            # The ends of the batches that were read: the group has indexed all below the last it has reached.
            ends_read: deque[Position] = deque()
            for partition in partitions:
                number = partition.partition
                last = await alast_time(consumer, partition, begins[number], base[number])
                self._versions.read_to(number, base[number], last)
            for partition in partitions:
                consumer.seek(partition, base[partition.partition])
            # After the commits: the index may hold more than they say, and never less.
            holders = Holders()
            if isinstance(self._index, KeyedIndex):
                holders.restore(await self._index.aheld())
            await self._count_lacking()
            pending: dict[int, dict[str, Mark]] = {partition.partition: {} for partition in partitions}
            while True:
                waits = bool(ends_read) or any(pending.values())
                polled = await consumer.getmany(
                    timeout_ms=PENDING_POLL_MS if waits else POLL_MS, max_records=BATCH
                )
                for partition, records in polled.items():
                    # The values name the tenants: a key may have any form.
                    changes = await aread_changes(records, holders)
                    holders.settle(changes.holders)
                    self._versions.changing(changes.marks)
                    pending[partition.partition].update(changes.marks)
                    if changes.last is not None and len(partitions) == 1:
                        ends_read.append(Position(changes.last.offset + 1, changes.last.timestamp))
                if any(pending.values()) or ends_read:
                    committed = await _committed(consumer, partitions)
                    await self._settle(pending, committed)
                    while ends_read and ends_read[0].offset <= committed[partitions[0].partition]:
                        self._versions.read_to(partitions[0].partition, *ends_read.popleft())
                if time.monotonic() - self._counted_at > COUNT_S:
                    await self._count_lacking()
                if not self._versions.known:
                    at = [(await consumer.position(each), ends[each.partition]) for each in partitions]
                    if all(position >= end for position, end in at):
                        self._versions.begin(base)

    async def _settle(self, pending: Mapping[int, dict[str, Mark]], committed: Mapping[int, int]) -> None:
        """Give versions to the tenants whose records the group has committed."""
        done_by = {
            number: {tenant: mark for tenant, mark in marks.items() if mark.offset < committed[number]}
            for number, marks in pending.items()
        }
        if any(done_by.values()):
            await self._count_lacking()
        for number, done in done_by.items():
            self._versions.changed(number, done)
            for tenant in done:
                del pending[number][tenant]
        # A tenant may have records on several partitions, some of them not committed yet.
        self._versions.changing(tenant for marks in pending.values() for tenant in marks)

    async def _count_lacking(self) -> None:
        """See whether documents lack their vectors, before their tenants have a version again.

        The worker that reads them counts them for itself; this tells the others, whose searches find less.
        """
        if isinstance(self._index, EmbeddingIndex):
            await self._index.acount_lacking()
        self._counted_at = time.monotonic()


async def _committed(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[int, int]:
    """Return the offset up to which the group has indexed each partition."""
    return {each.partition: await consumer.committed(each) or 0 for each in partitions}
