"""Watches an index that workers share, for the versions of its knowledge.

Each worker reads all of `documents` for itself, from the group's committed offsets, and looks only at the
keys. A tenant with a new record has no version until the group has committed that record: until then,
some searches find the old knowledge and some the new.
"""

import asyncio
import logging
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agents.knowledge.version import KnowledgeVersions, Mark
from schemas.document import parse_document_key
from streams.knowledge.consumer import by_number, open_consumer
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

POLL_MS = 500
PENDING_POLL_MS = 50
"""The wait between two questions to the group for its commits, while it has some left to make."""
PAUSE_S = 2.0


class SharedIndexWatch:
    """Keeps `versions` up to date for an index that the consumer group `group` fills."""

    def __init__(self, kafka: Kafka, topic: str, group: str, versions: KnowledgeVersions) -> None:
        self._kafka = kafka
        self._topic = topic
        self._group = group
        self._versions = versions

    async def run(self) -> None:
        """Watch until cancelled. While the topic cannot be read, no tenant has a version."""
        while True:
            try:
                await self._watch()
            except (KafkaError, OperatorError, OSError) as error:
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
            for partition in partitions:
                consumer.seek(partition, base[partition.partition])
            pending: dict[int, dict[str, Mark]] = {partition.partition: {} for partition in partitions}
            while True:
                waits = any(pending.values())
                polled = await consumer.getmany(timeout_ms=PENDING_POLL_MS if waits else POLL_MS)
                for partition, records in polled.items():
                    marks = _marks(records)
                    self._versions.changing(marks)
                    pending[partition.partition].update(marks)
                if any(pending.values()):
                    committed = await _committed(consumer, partitions)
                    for number, marks in pending.items():
                        done = {
                            tenant: mark for tenant, mark in marks.items() if mark.offset < committed[number]
                        }
                        self._versions.changed(number, done)
                        for tenant in done:
                            del marks[tenant]
                    # A tenant may have records on several partitions, some of them not committed yet.
                    self._versions.changing(tenant for marks in pending.values() for tenant in marks)
                if not self._versions.known:
                    at = [(await consumer.position(each), ends[each.partition]) for each in partitions]
                    if all(position >= end for position, end in at):
                        self._versions.begin(base)


async def _committed(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> dict[int, int]:
    """Return the offset up to which the group has indexed each partition."""
    return {each.partition: await consumer.committed(each) or 0 for each in partitions}


def _marks(records: Iterable[ConsumerRecord]) -> dict[str, Mark]:
    """Return the last record of each tenant; records without a readable key are left out."""
    marks = {}
    for record in records:
        try:
            tenant, _ = parse_document_key(record.key or b"")
        except ValueError:
            continue
        marks[tenant] = Mark(record.offset, record.timestamp)
    return marks
