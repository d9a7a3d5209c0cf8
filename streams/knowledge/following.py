"""Reads all of `documents` into an index of this process alone, and saves how far it is.

An index that was saved goes on from there, as long as `documents` surely still has every deletion since.
Else, and where it was made from other records, the topic is read again and compared with it (see
`rebuilding`): what has not changed is kept, and embedded no second time.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.errors import DependencyError
from agents.knowledge.index import EmbeddingIndex, Index, OwnIndex, Positions
from agents.knowledge.version import KnowledgeVersions
from streams.kafka.tombstones import atombstones_kept_s
from streams.knowledge.changes import aread_changes
from streams.knowledge.consumer import alast_time, by_number, open_consumer
from streams.knowledge.progress import Progress
from streams.knowledge.rebuilding import Poll, Rebuild
from streams.knowledge.resuming import Reached, resumed
from streams.knowledge.writing import IndexWriter
from streams.settings.model import Kafka

log = logging.getLogger(__name__)


class OwnIndexReader:
    """Reads every partition of a topic, as the only reader of an index.

    Args:
        poll: returns a consumer's next records.
        written: called after each batch of documents.
        caught_up: called when the index first holds all that the topic held at the start.
    """

    def __init__(
        self,
        kafka: Kafka,
        topic: str,
        index: Index,
        *,
        writer: IndexWriter,
        versions: KnowledgeVersions,
        progress: Progress,
        poll: Poll,
        written: Callable[[], None],
        caught_up: Callable[[], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._index = index
        self._writer = writer
        self._versions = versions
        self._progress = progress
        self._poll = poll
        self._written = written
        self._caught_up = caught_up
        # When what was read was all that there was, in unix seconds.
        self._current_at = 0.0

    async def arun(self) -> None:
        """Read until cancelled.

        Raises:
            KafkaError, OperatorError, OSError, DependencyError: reading has to begin again, from `progress`.
        """
        progress = self._progress
        async with open_consumer(self._kafka, self._topic, auto_offset_reset="none") as (
            consumer,
            partitions,
        ):
            consumer.assign(partitions)
            begins = by_number(await consumer.beginning_offsets(partitions))
            ends = by_number(await consumer.end_offsets(partitions))
            progress.goal = progress.goal or ends
            read = await self._resumed(begins, ends)
            if isinstance(self._index, EmbeddingIndex):
                await self._index.arecheck()
            if read is None:
                await self._rebuild(consumer, partitions, begins, ends)
            else:
                progress.read = read
                for each in partitions:
                    at, begin = read[each.partition], begins[each.partition]
                    last = await alast_time(consumer, each, begin, at)
                    self._versions.read_to(each.partition, at, last)
            for partition in partitions:
                consumer.seek(partition, progress.read[partition.partition])
            while True:
                for partition, records in (await self._poll(consumer)).items():
                    number = partition.partition
                    changes = await aread_changes(records, self._writer.holders)
                    await self._writer.awrite(number, changes, progress.goal.get(number, 0))
                    progress.read[number] = records[-1].offset + 1
                self._written()
                # Beyond the last record's offset: compaction removes records, transactions leave markers.
                for partition in partitions:
                    at = progress.read[partition.partition] = await consumer.position(partition)
                    self._versions.read_to(partition.partition, at)
                self._look_how_current(consumer, partitions)
                if not self._versions.known and all(progress.read[at] >= end for at, end in ends.items()):
                    self._versions.begin()
                if progress.just_caught_up():
                    self._caught_up()
                    await self.asave()

    async def asave(self) -> None:
        """Save the positions of an index on disk, so that a restart reads only newer records."""
        progress, writer = self._progress, self._writer
        if not isinstance(self._index, OwnIndex) or not (progress.read or progress.rebuild):
            return
        saved = Positions(
            self._topic,
            dict(progress.read),
            self._current_at,
            self._versions.marks,
            dict(writer.holders.held()),
            writer.skipped.listed(),
            whole=progress.rebuild is None,
        )
        try:
            await self._index.asave(saved)
        except (DependencyError, OSError) as error:
            log.warning("the index cannot be saved, so a restart will rebuild it: %s", error)

    async def _resumed(self, begins: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int] | None:
        """Return where to go on; None: all of the topic has to be read."""
        saved = self._index.positions if isinstance(self._index, OwnIndex) else None
        if self._progress.read:
            reached = Reached(self._progress.read, self._current_at)
        elif saved is None:
            return None
        elif saved.topic == self._topic and saved.whole:
            reached = Reached(saved.offsets, saved.saved_at)
            self._versions.restore(saved.marks)
            self._writer.restore(saved)
        else:
            reached = Reached({}, 0.0)
        kept_s = await atombstones_kept_s(self._kafka, self._topic)
        read, problem = resumed(reached, begins, ends, kept_s=kept_s, now=time.time())
        if problem:
            log.warning("all of %s is read, to compare the index with it: %s", self._topic, problem)
            return None
        self._current_at = reached.current_at
        return read

    async def _rebuild(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Collection[TopicPartition],
        begins: Mapping[int, int],
        ends: Mapping[int, int],
    ) -> None:
        """Make the index hold the documents of the topic and no others, whatever it holds."""
        progress = self._progress
        progress.read, asked_at = {}, time.time()

        async def awritten(_partition: int, _offset: int) -> None:
            self._written()

        progress.rebuild = Rebuild(
            self._index, self._writer, self._versions, poll=self._poll, awritten=awritten
        )
        await progress.rebuild.arun(
            consumer,
            {each: begins[each.partition] for each in partitions},
            {each: ends[each.partition] for each in partitions},
        )
        progress.rebuild = None
        progress.read, self._current_at = dict(ends), asked_at

    def _look_how_current(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        """Note when the index has last held all that the topic held, as the broker told."""
        times = [
            consumer.last_poll_timestamp(each)
            for each in partitions
            if (end := consumer.highwater(each)) is not None and self._progress.read[each.partition] >= end
        ]
        if len(times) == len(partitions):
            self._current_at = max(self._current_at, min(times) / 1000)
