"""Reads the workers' topics while they write: answers, dead letters, and the group's commits."""

import asyncio
import hashlib
import struct
from types import TracebackType
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import Topics
from streams.settings.model import Kafka
from tests.acceptance.oracle.ledgers import Commit, DeadLetter, Outcome, Place

COMMITS = "__consumer_offsets"
TOLD = ("id", "status", "text", "citations", "degraded", "error", "metadata")
"""The fields of an answer that a second one must repeat; the others are times and costs."""


def read_outcome(record: ConsumerRecord) -> Outcome:
    """An outcome as any reader of the topic sees it, without our own codec."""
    answer = orjson.loads(record.value)
    told = orjson.dumps([answer.get(name) for name in TOLD], option=orjson.OPT_SORT_KEYS)
    source = answer["source"]
    return Outcome(
        source=(source["partition"], source["offset"]),
        position=record.offset,
        id=answer["id"],
        status=answer["status"],
        digest=hashlib.sha256(told).hexdigest()[:12],
        at=record.timestamp / 1000,
        code=(answer.get("error") or {}).get("code", ""),
    )


def read_dead_letter(record: ConsumerRecord) -> DeadLetter:
    """A dead letter, by its headers."""
    headers = dict(record.headers)
    partition, offset = (int(headers[f"__connect.errors.{name}"]) for name in ("partition", "offset"))
    return DeadLetter((partition, offset), record.timestamp / 1000)


def read_commit(key: bytes, value: bytes | None, group: str, topic: str) -> tuple[int, int] | None:
    """(partition, offset) of a record of `__consumer_offsets`, if it is a commit of the group."""
    (version,) = struct.unpack_from(">h", key)
    if version > 1 or value is None:
        return None
    texts, at = [], 2
    for _ in range(2):
        text = _text(key, at)
        texts.append(text)
        at += 2 + len(text.encode())
    if texts != [group, topic]:
        return None
    (partition,) = struct.unpack_from(">i", key, at)
    (offset,) = struct.unpack_from(">q", value, 2)
    return partition, offset


def is_rebalance(key: bytes, group: str) -> bool:
    """Whether a record of `__consumer_offsets` announces a new assignment of the group."""
    return key[:2] == b"\0\2" and _text(key, 2) == group


def _text(key: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">h", key, at)
    return key[at + 2 : at + 2 + length].decode()


class Observer:
    """Fills its ledgers while its block lasts. An async context manager; enter it before workers start."""

    def __init__(self, kafka: Kafka, group: str) -> None:
        self._kafka = kafka
        self._group = group
        self._topics = Topics(kafka.topic_prefix)
        self._tasks: list[asyncio.Task[None]] = []
        self._consumers: list[Any] = []
        self._seen: set[tuple[str, int, int]] = set()
        self.outcomes: list[Outcome] = []
        self.answered: set[Place] = set()
        self.dead_letters: list[DeadLetter] = []
        self.commits: list[Commit] = []
        self.committed: dict[int, int] = {}
        self.rebalances: list[float] = []

    async def __aenter__(self) -> Self:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka.bootstrap_servers)
        await admin.start()
        try:
            # The first look for a group's coordinator makes the topic of commits.
            while True:
                try:
                    await admin.find_coordinator(self._group)
                    break
                except KafkaError:
                    await asyncio.sleep(0.2)
        finally:
            await admin.close()
        outcomes = await self._open(self._topics.answers, self._topics.dead_letters)
        commits = await self._open(COMMITS)
        await commits.seek_to_end(*commits.assignment())
        for partition in commits.assignment():
            await commits.position(partition)
        self._tasks = [
            asyncio.create_task(self._read(outcomes, self._outcome)),
            asyncio.create_task(self._read(commits, self._commit)),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        for consumer in self._consumers:
            await consumer.stop()
        failures = [one for one in ended if isinstance(one, Exception)]
        if failures:
            raise failures[0] from error

    def check_alive(self) -> None:
        """Raise the error that ended a reader."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _open(self, *names: str) -> Any:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            retry_backoff_ms=200,
        )
        await consumer.start()
        self._consumers.append(consumer)
        partitions = []
        for name in names:
            found = await consumer._client._wait_on_metadata(name)
            partitions += [TopicPartition(name, number) for number in found]
        consumer.assign(partitions)
        return consumer

    async def _read(self, consumer: Any, take: Any) -> None:
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=100)
            except KafkaError:
                await asyncio.sleep(0.2)
                continue
            fresh = []
            for records in batches.values():
                for record in records:
                    place = (record.topic, record.partition, record.offset)
                    # A reader whose broker was killed may have to read again.
                    if place not in self._seen:
                        self._seen.add(place)
                        fresh.append(record)
            if fresh:
                await take(consumer, fresh)

    async def _outcome(self, consumer: Any, records: list[ConsumerRecord]) -> None:
        for record in records:
            if record.topic == self._topics.dead_letters:
                self.dead_letters.append(read_dead_letter(record))
            else:
                outcome = read_outcome(record)
                self.outcomes.append(outcome)
                self.answered.add(outcome.source)

    async def _commit(self, consumer: Any, records: list[ConsumerRecord]) -> None:
        for record in records:
            if record.key and is_rebalance(record.key, self._group):
                self.rebalances.append(record.timestamp / 1000)
        found = [
            (*commit, record.timestamp / 1000)
            for record in records
            if record.key
            and (commit := read_commit(record.key, record.value, self._group, self._topics.questions))
        ]
        if not found:
            return
        ends = await self._ends(consumer, {partition for partition, _, _ in found})
        for partition, offset, at in found:
            self.committed[partition] = offset
            self.commits.append(Commit(partition, offset, ends[partition], at))

    async def _ends(self, consumer: Any, numbers: set[int]) -> dict[int, int]:
        partitions = [TopicPartition(self._topics.answers, number) for number in numbers]
        while True:
            try:
                ends = await consumer.end_offsets(partitions)
            except KafkaError:
                await asyncio.sleep(0.2)
            else:
                return {partition.partition: end for partition, end in ends.items()}
