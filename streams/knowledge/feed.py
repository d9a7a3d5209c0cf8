"""Feeds the `documents` topic into the index.

Without a consumer group, the feed reads the whole topic into an index of this process alone, from where
that index was saved. All workers fill a shared index together, as one consumer group, which commits the
records that are in the index.

A record that is not a document never stops the feed: it is told, counted and skipped. The feed waits for
anything that may pass: a broker that is away, a topic that is not made yet, a server that is away or refuses
us. Documents do not wait for the embeddings: they are found by words until their vectors are made.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, RebalanceInProgressError

from agents.errors import DependencyError
from agents.knowledge.index import EmbeddingIndex, Index, KeyedIndex
from agents.knowledge.version import KnowledgeVersions
from schemas.topics import Topics
from streams.knowledge.changes import aread_changes
from streams.knowledge.consumer import GroupAssignments, anotes, by_number, open_consumer
from streams.knowledge.filling import VectorFiller
from streams.knowledge.following import OwnIndexReader
from streams.knowledge.progress import Progress
from streams.knowledge.rebuilding import Rebuild
from streams.knowledge.waiting import Waiting
from streams.knowledge.watch import SharedIndexWatch
from streams.knowledge.writing import IndexWriter
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

BATCH = 256
"""The most records that are indexed together."""

POLL_MS = 500


class KnowledgeFeed:
    """Keeps an index and the versions of its knowledge up to date, from `start` to `stop`, on one event loop.

    Args:
        group: the consumer group that fills a shared index; None: the index is this process's own.
    """

    def __init__(
        self,
        kafka: Kafka,
        index: Index,
        hook: Hook,
        *,
        group: str | None = None,
        versions: KnowledgeVersions | None = None,
    ) -> None:
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).documents
        self.group = group
        self._index = index
        versions = versions or KnowledgeVersions()
        # A feed reads only its part of a shared index; the watch reads all of it, and knows the versions.
        self._versions = KnowledgeVersions() if self.group else versions
        self._watch = SharedIndexWatch(kafka, self._topic, group, versions, index) if group else None
        self._waiting = Waiting("the knowledge feed waits")
        self._writer = IndexWriter(index, self._versions, self._waiting, hook)
        self._filler = None
        if isinstance(index, EmbeddingIndex):
            self._filler = VectorFiller(index, self._writer.refused, hook)
        self._tasks: list[asyncio.Task[None]] = []
        self._progress = Progress()
        self._own = OwnIndexReader(
            kafka,
            self._topic,
            index,
            writer=self._writer,
            versions=self._versions,
            progress=self._progress,
            poll=self._poll,
            written=self._wake_filler,
            caught_up=self._tell_caught_up,
        )

    def __repr__(self) -> str:
        return f"<KnowledgeFeed {self._topic} {self._progress!r}>"

    @property
    def caught_up(self) -> bool:
        """Whether the index holds all that the topic held when the feed began; stays true."""
        return self._progress.caught_up

    @property
    def waits(self) -> bool:
        """Whether documents, or their vectors, wait for a server."""
        return any(self._problems())

    @property
    def lacking(self) -> int:
        """The documents in the index that lack their vectors."""
        return self._index.lacking if isinstance(self._index, EmbeddingIndex) else 0

    def notes(self) -> list[str]:
        """For readiness: the notes for an operator about the index, if any."""
        notes = self._progress.notes()
        waits, vectors = self._problems()
        if waits:
            notes.append(f"the knowledge feed waits: {waits}")
        if self.lacking:
            why = f": {vectors}" if vectors else ""
            notes.append(f"{self.lacking} documents have no vectors yet and are found by words alone{why}")
        return notes + self._writer.notes(self._topic)

    def state(self) -> dict[str, Any]:
        """For `/state`: the feed's progress, and the problem that it waits for, if any."""
        problem, vectors_problem = self._problems()
        return {
            **self._progress.state(),
            **self._writer.state(),
            "problem": problem or None,
            "without_vectors": self.lacking,
            "vectors_problem": vectors_problem or None,
        }

    def _problems(self) -> tuple[str, str]:
        return self._waiting.problem, "" if self._filler is None else self._filler.waiting.problem

    async def start(self) -> None:
        """Begin to read. Returns at once, with or without a broker."""
        self._tasks = [asyncio.create_task(self._run(), name="knowledge-feed")]
        if self._filler is not None:
            self._tasks.append(asyncio.create_task(self._filler.run(), name="knowledge-vectors"))
        if self._watch is not None:
            self._tasks.append(asyncio.create_task(self._watch.run(), name="knowledge-watch"))

    async def stop(self) -> None:
        """Stop reading and save the progress, within a few seconds."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if not self.group:
            await self._own.asave()

    async def _run(self) -> None:
        while True:
            try:
                await (self._share() if self.group else self._own.arun())
            except (KafkaError, OperatorError, OSError, DependencyError) as error:
                await self._waiting.apause(str(error) or repr(error))
            except Exception as error:
                log.exception("the knowledge feed failed and starts again")
                await self._waiting.apause(repr(error))

    async def _share(self) -> None:
        """Read the partitions that the group assigns, and commit the records that are in the index."""
        options = {"group_id": self.group, "auto_offset_reset": "earliest"}
        async with open_consumer(self._kafka, self._topic, **options) as (consumer, partitions):
            begins = by_number(await consumer.beginning_offsets(partitions))
            progress = self._progress
            progress.goal = progress.goal or by_number(await consumer.end_offsets(partitions))
            # An index that was emptied is filled again, even if the group has committed all of it.
            empty = await self._index.acount() == 0
            assigned = GroupAssignments(consumer, begins, from_beginning=empty)
            consumer.subscribe([self._topic], listener=assigned)
            while True:
                polled = await self._poll(consumer)
                if assigned.new:
                    assigned.new = False
                    await self._take_over(consumer.assignment())
                    if assigned.reread:
                        await self._fill(consumer, assigned, begins)
                        continue
                for partition, records in polled.items():
                    await self._write(partition.partition, records)
                    note = self._writer.skipped.note(partition.partition)
                    await assigned.acommit(partition, records[-1].offset + 1, note)
                for partition, offset in (await assigned.ahead()).items():
                    note = self._writer.skipped.note(partition.partition)
                    await assigned.acommit(partition, offset, note)
                if consumer.assignment():
                    self._wake_filler()
                if not progress.caught_up and assigned.once:
                    committed = {each.partition: await consumer.committed(each) for each in partitions}
                    progress.read = {
                        number: assigned.reread.get(number, at or begins[number])
                        for number, at in committed.items()
                    }
                    if progress.just_caught_up():
                        self._tell_caught_up()

    async def _fill(
        self, consumer: AIOKafkaConsumer, assigned: GroupAssignments, begins: Mapping[int, int]
    ) -> None:
        """Index the last record of each document of the assigned partitions, and commit their ends.

        Raises:
            KafkaError: the partitions cannot be read to their ends, or the group has assigned others. Plain
                reading goes on from the commits.
        """
        partitions = {each.partition: each for each in consumer.assignment()}
        # Before anything is written: an index that is not empty is not filled again, but read on for.
        for number, partition in partitions.items():
            await assigned.acommit(partition, begins[number], "")

        async def poll(polled: AIOKafkaConsumer) -> Mapping[TopicPartition, list[ConsumerRecord]]:
            records = await self._poll(polled)
            if assigned.new:
                raise RebalanceInProgressError("the group has assigned partitions while the index was filled")
            return records

        async def awritten(number: int, offset: int) -> None:
            self._wake_filler()
            await assigned.acommit(partitions[number], offset, self._writer.skipped.note(number))

        progress = self._progress
        progress.rebuild = Rebuild(self._index, self._writer, self._versions, poll=poll, awritten=awritten)
        try:
            ends = await consumer.end_offsets(list(partitions.values()))
            firsts = {each: begins[each.partition] for each in ends}
            await progress.rebuild.arun(consumer, firsts, ends)
            for partition, end in ends.items():
                note = self._writer.skipped.note(partition.partition)
                await assigned.acommit(partition, end, note)
                consumer.seek(partition, end)
        except IllegalStateError as error:
            raise RebalanceInProgressError(str(error)) from error
        finally:
            progress.rebuild = None

    async def _poll(self, consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        polled: Mapping[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            timeout_ms=POLL_MS, max_records=BATCH
        )
        self._waiting.over()
        await self._progress.transactions.alook(consumer)
        return polled

    async def _write(self, partition: int, records: Collection[ConsumerRecord]) -> None:
        changes = await aread_changes(records, self._writer.holders)
        await self._writer.awrite(partition, changes, self._progress.goal.get(partition, 0))

    async def _take_over(self, assigned: Collection[TopicPartition]) -> None:
        """Learn what the readers before us knew: skipped documents, and the holders of a shared index."""
        self._writer.skipped.take_over(await anotes(self._kafka, self.group or "", assigned))
        if isinstance(self._index, KeyedIndex):
            self._writer.holders.restore(await self._index.aheld())
        await self._look_for_bare()

    async def _look_for_bare(self) -> None:
        if isinstance(self._index, EmbeddingIndex):
            await self._index.arecheck()

    def _wake_filler(self) -> None:
        if self._filler is not None and self.lacking:
            self._filler.wake()

    def _tell_caught_up(self) -> None:
        log.info("the index has caught up with %s: %d documents", self._topic, self._writer.documents)
        for note in self._writer.notes(self._topic):
            log.warning("%s", note)
