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
import time
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agents.errors import DependencyError
from agents.knowledge.index import EmbeddingIndex, Index, KeyedIndex, OwnIndex, Positions
from agents.knowledge.version import KnowledgeVersions
from schemas.topics import Topics
from streams.kafka.tombstones import atombstones_kept_s
from streams.knowledge.changes import aread_changes
from streams.knowledge.consumer import (
    GroupAssignments,
    OpenTransactions,
    alast_time,
    anotes,
    by_number,
    open_consumer,
)
from streams.knowledge.filling import VectorFiller
from streams.knowledge.rebuilding import Rebuild
from streams.knowledge.resuming import Reached, resumed
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
        self._caught_up = False
        # The end of each partition when the feed began.
        self._goal: Mapping[int, int] = {}
        # The next offset of each partition: all records before it are in the index.
        self._read: dict[int, int] = {}
        # When they were the topic's ends, in unix seconds.
        self._current_at = 0.0
        self._rebuild: Rebuild | None = None
        self._transactions = OpenTransactions()

    def __repr__(self) -> str:
        return f"<KnowledgeFeed {self._topic} {self._read} of {self._goal}>"

    @property
    def caught_up(self) -> bool:
        """Whether the index holds all that the topic held when the feed began; stays true."""
        return self._caught_up

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
        notes = [] if self._rebuild is None else [self._rebuild.note()]
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
            "caught_up": self._caught_up,
            "partitions": {
                str(partition): {
                    "next_offset": self._read.get(partition),
                    "end_at_start": end,
                    "open_transaction_s": round(self._transactions.held_s(partition), 3),
                }
                for partition, end in sorted(self._goal.items())
            },
            "rebuild": None if self._rebuild is None else self._rebuild.state(),
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
        await self._save()

    async def _run(self) -> None:
        while True:
            try:
                await (self._share() if self.group else self._follow())
            except (KafkaError, OperatorError, OSError, DependencyError) as error:
                await self._waiting.apause(str(error) or repr(error))
            except Exception as error:
                log.exception("the knowledge feed failed and starts again")
                await self._waiting.apause(repr(error))

    async def _follow(self) -> None:
        """Read every partition of the topic, as the only reader of this process's own index."""
        async with open_consumer(self._kafka, self._topic, auto_offset_reset="none") as (
            consumer,
            partitions,
        ):
            consumer.assign(partitions)
            begins = by_number(await consumer.beginning_offsets(partitions))
            ends = by_number(await consumer.end_offsets(partitions))
            self._goal = self._goal or ends
            kept_s = await atombstones_kept_s(self._kafka, self._topic)
            read = self._resumed(begins, ends, kept_s)
            await self._look_for_bare()
            if read is None:
                await self._read_again(consumer, partitions, begins, ends)
            else:
                self._read = read
                await self._date(consumer, partitions, begins)
            for partition in partitions:
                consumer.seek(partition, self._read[partition.partition])
            while True:
                for partition, records in (await self._poll(consumer)).items():
                    await self._write(partition.partition, records)
                self._wake_filler()
                # Not the last record's offset: compaction removes records, transactions leave markers.
                for partition in partitions:
                    at = self._read[partition.partition] = await consumer.position(partition)
                    self._versions.read_to(partition.partition, at)
                self._look_how_current(consumer, partitions)
                if not self._versions.known and all(self._read[at] >= end for at, end in ends.items()):
                    self._versions.begin()
                if self._just_caught_up():
                    await self._save()

    async def _share(self) -> None:
        """Read the partitions that the group assigns, and commit the records that are in the index."""
        options = {"group_id": self.group, "auto_offset_reset": "earliest"}
        async with open_consumer(self._kafka, self._topic, **options) as (consumer, partitions):
            begins = by_number(await consumer.beginning_offsets(partitions))
            self._goal = self._goal or by_number(await consumer.end_offsets(partitions))
            # An index that was emptied is filled again, even if the group has committed all of it.
            empty = await self._index.acount() == 0
            assigned = GroupAssignments(consumer, begins, from_beginning=empty)
            consumer.subscribe([self._topic], listener=assigned)
            while True:
                polled = await self._poll(consumer)
                if assigned.new:
                    assigned.new = False
                    await self._take_over(consumer.assignment())
                for partition, records in polled.items():
                    await self._write(partition.partition, records)
                    note = self._writer.skipped.note(partition.partition)
                    await assigned.acommit(partition, records[-1].offset + 1, note)
                for partition, offset in (await assigned.ahead()).items():
                    note = self._writer.skipped.note(partition.partition)
                    await assigned.acommit(partition, offset, note)
                if consumer.assignment():
                    self._wake_filler()
                if not self._caught_up and assigned.once:
                    committed = {each.partition: await consumer.committed(each) for each in partitions}
                    self._read = {
                        number: assigned.reread.get(number, at or begins[number])
                        for number, at in committed.items()
                    }
                    self._just_caught_up()

    async def _poll(self, consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        polled: Mapping[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            timeout_ms=POLL_MS, max_records=BATCH
        )
        self._waiting.over()
        await self._transactions.alook(consumer)
        return polled

    async def _write(self, partition: int, records: Collection[ConsumerRecord]) -> None:
        changes = await aread_changes(records, self._writer.holders)
        await self._writer.awrite(partition, changes, self._goal.get(partition, 0))

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

    def _resumed(
        self, begins: Mapping[int, int], ends: Mapping[int, int], kept_s: float
    ) -> dict[int, int] | None:
        """Return where to go on; None: all of the topic has to be read."""
        reached: Reached | None = None
        if self._read:
            reached = Reached(self._read, self._current_at)
        elif isinstance(self._index, OwnIndex) and (saved := self._index.positions) is not None:
            reached = Reached(saved.offsets, saved.saved_at)
            if saved.topic != self._topic or not saved.whole:
                reached = Reached({}, 0.0)
            self._versions.restore(saved.marks)
            self._writer.restore(saved)
        if reached is None:
            return None
        read, problem = resumed(reached, begins, ends, kept_s=kept_s, now=time.time())
        if problem:
            log.warning(
                "%s is read from its beginning, to compare the index with it: %s", self._topic, problem
            )
            return None
        self._current_at = reached.current_at
        return read

    async def _read_again(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Collection[TopicPartition],
        begins: Mapping[int, int],
        ends: Mapping[int, int],
    ) -> None:
        """Make the index hold the documents of the topic and no others, whatever it holds."""
        self._read = {}
        asked_at = time.time()
        self._rebuild = Rebuild(
            self._index, self._writer, self._versions, poll=self._poll, written=self._wake_filler
        )
        await self._rebuild.arun(
            consumer,
            {each: begins[each.partition] for each in partitions},
            {each: ends[each.partition] for each in partitions},
        )
        self._rebuild = None
        self._read, self._current_at = dict(ends), asked_at

    async def _date(
        self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], begins: Mapping[int, int]
    ) -> None:
        """Learn the time of the last record that the index holds already."""
        for partition in partitions:
            number = partition.partition
            at = self._read[number]
            self._versions.read_to(number, at, await alast_time(consumer, partition, begins[number], at))

    def _look_how_current(self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
        """Note when the index has last held all that the topic held, as the broker told."""
        times = [
            consumer.last_poll_timestamp(each)
            for each in partitions
            if (end := consumer.highwater(each)) is not None and self._read[each.partition] >= end
        ]
        if len(times) == len(partitions):
            self._current_at = max(self._current_at, min(times) / 1000)

    def _just_caught_up(self) -> bool:
        """Note whether the feed has caught up; true once, when it has."""
        if self._caught_up or any(self._read.get(number, 0) < end for number, end in self._goal.items()):
            return False
        self._caught_up = True
        log.info("the index has caught up with %s: %d documents", self._topic, self._writer.documents)
        for note in self._writer.notes(self._topic):
            log.warning("%s", note)
        return True

    async def _save(self) -> None:
        """Save the positions of an index on disk, so that a restart reads only newer records."""
        if isinstance(self._index, OwnIndex) and (self._read or self._rebuild):
            try:
                writer = self._writer
                saved = Positions(
                    self._topic,
                    dict(self._read),
                    self._current_at,
                    self._versions.marks,
                    dict(writer.holders.held()),
                    writer.skipped.listed(),
                    whole=self._rebuild is None,
                )
                await self._index.asave(saved)
            except (DependencyError, OSError) as error:
                log.warning("the index cannot be saved, so a restart will rebuild it: %s", error)
