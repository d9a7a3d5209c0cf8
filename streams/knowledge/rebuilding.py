"""Brings an index up to date with all of `documents`, whatever it holds.

The topic is read twice. First to its end, which tells which documents there are and where each has its last
record: documents that the index has beside these go. Then the last records are indexed, each document once.
An unchanged document costs next to nothing.

Between the two, the digest of each document's name and the place of its record are kept: about 200 bytes a
document.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.knowledge.index import DocumentName, Index, OwnIndex
from agents.knowledge.pacing import Pacer
from agents.knowledge.version import KnowledgeVersions, Mark
from schemas.codec import decode_document
from streams.knowledge.changes import Changes, aread_changes
from streams.knowledge.writing import IndexWriter

Polled = Mapping[TopicPartition, Sequence[ConsumerRecord]]
Poll = Callable[[AIOKafkaConsumer], Awaitable[Polled]]
Written = Callable[[int, int], Awaitable[None]]

_DIGEST_BYTES = 16


class Rebuild:
    """One rebuild, over a consumer that has the topic's partitions; `arun` does it.

    Args:
        poll: returns the consumer's next records.
        awritten: called after each batch of documents, with its partition and the offset after it: to go on
            from there needs no rebuild.
    """

    def __init__(
        self,
        index: Index,
        writer: IndexWriter,
        versions: KnowledgeVersions,
        *,
        poll: Poll,
        awritten: Written,
    ) -> None:
        self._index = index
        self._writer = writer
        self._versions = versions
        self._poll = poll
        self._awritten = awritten
        self._offsets = self._passed = 0
        self._documents: int | None = None
        self._indexed = 0

    def note(self) -> str:
        """Return the progress, for an operator."""
        if self._documents is None:
            return f"documents is read to its end: {self._passed} of {self._offsets} offsets"
        return f"documents are indexed: {self._indexed} of {self._documents}"

    def state(self) -> dict[str, Any]:
        """Return the progress, for `/state`."""
        return {
            "offsets": self._offsets,
            "read": self._passed,
            "documents": self._documents,
            "indexed": self._indexed,
        }

    async def arun(
        self,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        """Make the index hold the documents of the partitions, `begins` to before `ends`, alone.

        Raises:
            KafkaError: the topic cannot be read.
            DependencyError: the index cannot be read.
        """
        self._versions.forget()
        self._writer.forget()
        self._offsets = sum(ends[each] - begin for each, begin in begins.items())
        left = await self._alast_places(consumer, begins, ends)
        self._documents = len(left)
        if isinstance(self._index, OwnIndex):
            gone = [name for name in await self._index.anames() if _digest(name) not in left]
            await self._writer.aremove(gone)
        places = set(left.values())
        del left
        firsts = {
            each: min((offset for number, offset in places if number == each.partition), default=ends[each])
            for each in ends
        }
        await self._aindex(consumer, firsts, ends, places)

    async def _alast_places(
        self,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> dict[bytes, tuple[int, int]]:
        """Read to the end; return the place of each document's last record, by the digest of its name."""
        left: dict[bytes, tuple[int, int]] = {}
        marks: dict[str, dict[int, Mark]] = {}
        last: dict[int, Mark] = {}
        async for partition, records in self._records(consumer, begins, ends):
            changes = await aread_changes(records, self._writer.holders)
            self._writer.note(changes)
            for name, document in changes.latest.items():
                if document is None:
                    left.pop(_digest(name), None)
                else:
                    left[_digest(name)] = changes.places[name]
            for tenant, mark in changes.marks.items():
                marks.setdefault(tenant, {})[partition] = mark
            last[partition] = Mark(records[-1].offset, records[-1].timestamp)
            self._passed += len(records)
        self._passed = self._offsets
        self._versions.restore(marks)
        for each, end in ends.items():
            read = last.get(each.partition)
            self._versions.read_to(each.partition, end, None if read is None else read.timestamp)
        return left

    async def _aindex(
        self,
        consumer: AIOKafkaConsumer,
        firsts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        places: set[tuple[int, int]],
    ) -> None:
        pacer = Pacer()
        async for partition, records in self._records(consumer, firsts, ends):
            changes = Changes(self._writer.holders.over())
            for record in records:
                place = (record.partition, record.offset)
                if place in places:
                    document = decode_document(record.value)
                    name = (document.tenant, document.id)
                    changes.latest[name], changes.places[name] = document, place
                    await pacer.abreathe()
            if changes.latest:
                await self._writer.awrite(partition, changes)
                self._indexed += len(changes.latest)
                await self._awritten(partition, records[-1].offset + 1)

    async def _records(
        self,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> AsyncIterator[tuple[int, Sequence[ConsumerRecord]]]:
        """Read each partition from its beginning to before its end, in batches."""
        for partition, begin in begins.items():
            consumer.seek(partition, begin)
        left = {partition for partition, begin in begins.items() if begin < ends[partition]}
        while left:
            for partition, records in (await self._poll(consumer)).items():
                below = [record for record in records if record.offset < ends[partition]]
                if below:
                    yield partition.partition, below
            # Not by the last record: the last offsets may hold the markers of transactions.
            left = {each for each in left if await consumer.position(each) < ends[each]}


def _digest(name: DocumentName) -> bytes:
    tenant, document_id = name
    named = f"{len(tenant)}/{tenant}/{document_id}".encode(errors="surrogatepass")
    return hashlib.blake2b(named, digest_size=_DIGEST_BYTES).digest()
