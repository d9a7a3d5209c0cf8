"""The `documents` topic into the index.

An index of this process alone (embedded) is fed all of the topic, without a group, from where it was
saved. One that workers share (a Qdrant server) is fed by all of them, as the consumer group
`<WORKER.GROUP_ID>.knowledge`, which commits what is in the index.

A record that is no document never stops the feed: it is logged, counted and passed over. Anything that
may pass (no broker, a topic not made yet, the index's server away) is waited for.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from agents.errors import DependencyError
from agents.knowledge.index import Index, OwnIndex, Positions
from agents.knowledge.version import KnowledgeVersions
from schemas.topics import Topics
from streams.knowledge.changes import aread_changes
from streams.knowledge.consumer import Assigned, by_number, open_consumer
from streams.knowledge.watch import SharedIndexWatch
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

BATCH = 256
"""Records that are indexed together, at most."""

POLL_MS = 500

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""How long to wait after each failure in a row."""

TOMBSTONES_KEPT_S = 24 * 3600.0
"""Kafka's default `delete.retention.ms`: an index that was away for longer may have missed deletions."""


class KnowledgeFeed:
    """Keeps an index up to date from `start` to `stop`, on one event loop.

    `versions` is kept up to date with it.
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
        self._hook = hook
        versions = versions or KnowledgeVersions()
        # Of a shared index a feed has only its part: the versions are those of who watches all of it.
        self._versions = KnowledgeVersions() if self.group else versions
        self._watch = SharedIndexWatch(self._kafka, self._topic, self.group, versions) if self.group else None
        self._tasks: list[asyncio.Task[None]] = []
        self._caught_up = False
        # The end of each partition when the feed began.
        self._goal: Mapping[int, int] = {}
        # The next offset of each partition: what is before it is in the index.
        self._read: dict[int, int] = {}
        self._failures = 0
        self._problem = ""
        self._documents = self._tombstones = self._skipped = 0

    def __repr__(self) -> str:
        return f"<KnowledgeFeed {self._topic} {self._read} of {self._goal}>"

    @property
    def caught_up(self) -> bool:
        """Whether all that the topic held when the feed began is in the index; stays true."""
        return self._caught_up

    def state(self) -> dict[str, Any]:
        """For `/state`: how far it is, and what it is waiting for, if anything."""
        return {
            "caught_up": self._caught_up,
            "partitions": {
                str(partition): {"next_offset": self._read.get(partition), "end_at_start": end}
                for partition, end in sorted(self._goal.items())
            },
            "documents": self._documents,
            "tombstones": self._tombstones,
            "skipped": self._skipped,
            "problem": self._problem or None,
        }

    async def start(self) -> None:
        """Begin to read; returns at once, whether there is a broker or not."""
        self._tasks = [asyncio.create_task(self._run(), name="knowledge-feed")]
        if self._watch is not None:
            self._tasks.append(asyncio.create_task(self._watch.run(), name="knowledge-watch"))

    async def stop(self) -> None:
        """Stop reading and save how far it came. Takes a few seconds at most."""
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
                await self._pause(str(error) or repr(error))
            except Exception as error:
                log.exception("the knowledge feed failed and begins again")
                await self._pause(repr(error))

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
            self._read = await self._resumed(begins, ends)
            for partition in partitions:
                consumer.seek(partition, self._read[partition.partition])
            while True:
                for partition, records in (await self._poll(consumer)).items():
                    await self._index_records(partition.partition, records)
                # Rather than the last record's: compaction takes records away, transactions leave markers.
                for partition in partitions:
                    self._read[partition.partition] = await consumer.position(partition)
                if not self._versions.known and all(self._read[at] >= end for at, end in ends.items()):
                    self._versions.begin()
                if self._see_how_far():
                    await self._save()

    async def _share(self) -> None:
        """Read the partitions that the group assigns, and commit what is in the index."""
        options = {"group_id": self.group, "auto_offset_reset": "earliest"}
        async with open_consumer(self._kafka, self._topic, **options) as (consumer, partitions):
            begins = by_number(await consumer.beginning_offsets(partitions))
            self._goal = self._goal or by_number(await consumer.end_offsets(partitions))
            # A collection that was removed is filled again, whatever the group has committed.
            assigned = Assigned(consumer, begins, anew=await self._index.acount() == 0)
            consumer.subscribe([self._topic], listener=assigned)
            while True:
                for partition, records in (await self._poll(consumer)).items():
                    await self._index_records(partition.partition, records)
                    await self._commit(consumer, partition, records[-1].offset + 1)
                    assigned.reread.pop(partition.partition, None)
                if not self._caught_up and assigned.once:
                    committed = {each.partition: await consumer.committed(each) for each in partitions}
                    self._read = {
                        number: assigned.reread.get(number, at or begins[number])
                        for number, at in committed.items()
                    }
                    self._see_how_far()

    async def _commit(self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
        try:
            await consumer.commit({partition: offset})
        except (CommitFailedError, IllegalStateError) as error:
            # It has another reader now, who begins where we did: a document replaces itself.
            log.info("%s was taken away before it could be committed: %s", partition, error)

    async def _poll(self, consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        polled: Mapping[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            timeout_ms=POLL_MS, max_records=BATCH
        )
        self._recovered()
        return polled

    async def _index_records(self, partition: int, records: Collection[ConsumerRecord]) -> None:
        changes = await aread_changes(records)
        flawed = set()
        self._versions.changing(changes.marks)
        for offset, problem in changes.problems:
            self._skip(f"the record at offset {offset} is no document: {problem}")
        indexed = 0
        documents = changes.documents
        if await self._persist(partial(self._index.aupsert, documents)):
            indexed = len(documents)
        else:
            # One of them is refused: the others must not go with it.
            for document in documents:
                if await self._persist(partial(self._index.aupsert, [document])):
                    indexed += 1
                else:
                    flawed.add(document.tenant)
                    self._skip(f"the index refuses {document.id!r} of {document.tenant!r}: {self._problem}")
        for key in changes.deleted:
            if not await self._persist(partial(self._index.adelete, *key)):
                flawed.add(key[0])
        self._versions.changed(partition, changes.marks, flawed)
        self._documents += indexed
        self._tombstones += len(changes.deleted)
        self._hook.knowledge_changed(indexed, len(changes.deleted))

    async def _persist(self, change: Callable[[], Awaitable[None]]) -> bool:
        """Make a change, however often it takes; False where the index will never take it."""
        while True:
            try:
                await change()
            except DependencyError as error:
                if not error.retriable:
                    self._problem = str(error)
                    return False
                await self._pause(str(error))
            else:
                self._recovered()
                return True

    async def _resumed(self, begins: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
        """Where to go on; the index is emptied where it cannot be brought up to date from there."""
        read: Mapping[int, int] = self._read
        age = 0.0
        if not read and isinstance(self._index, OwnIndex) and (saved := self._index.positions):
            age = time.time() - saved.saved_at
            self._versions.restore(saved.marks)
            read = saved.offsets if saved.topic == self._topic else dict.fromkeys(begins, -1)
        within = all(begins.get(number, at) <= at <= ends.get(number, -1) for number, at in read.items())
        if within and 0 <= age <= TOMBSTONES_KEPT_S:
            return {number: read.get(number, begin) for number, begin in begins.items()}
        log.warning(
            "the index was not made from what %s holds now, or too long ago: it is built anew", self._topic
        )
        self._versions.forget()
        if isinstance(self._index, OwnIndex):
            await self._index.aclear()
        return dict(begins)

    def _see_how_far(self) -> bool:
        """Whether the feed has just caught up."""
        if self._caught_up or any(self._read.get(number, 0) < end for number, end in self._goal.items()):
            return False
        self._caught_up = True
        log.info("the index holds what %s held at the start: %d documents", self._topic, self._documents)
        return True

    async def _save(self) -> None:
        """Note how far an index on disk has come, so that a restart reads only what is new."""
        if isinstance(self._index, OwnIndex) and self._read:
            try:
                saved = Positions(self._topic, dict(self._read), time.time(), self._versions.marks)
                await self._index.asave(saved)
            except (DependencyError, OSError) as error:
                log.warning("the index cannot be saved, a restart will build it anew: %s", error)

    def _skip(self, problem: str) -> None:
        self._skipped += 1
        log.warning("%s: %s", self._topic, problem)
        self._hook.document_skipped(problem)

    async def _pause(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("the knowledge feed waits: %s", problem)
        self._problem = problem
        pause = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        await asyncio.sleep(pause)

    def _recovered(self) -> None:
        if self._failures:
            log.info("the knowledge feed goes on")
        self._failures = 0
        self._problem = ""
