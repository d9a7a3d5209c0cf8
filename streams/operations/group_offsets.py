"""The progress of a group of workers, read from outside: commits, offset maps, and incomplete questions."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import Topics
from streams.consumer.offset_map import OffsetMap, decode
from streams.kafka.authorization import offsets_rights
from streams.kafka.options import COMMITTED
from streams.kafka.reading import afirst, open_reader
from streams.kafka.topics import REQUEST_TIMEOUT_S, acheck_topics, admin_client
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

OLDEST_TIMEOUT_S = 10.0
"""Time to read the oldest records; the age of a record not read by then is unknown."""

OffsetRange = tuple[int, int]
"""The first and the last offset of a range."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A group's commit for one partition."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """One partition of `questions`, as a group has left it.

    Attributes:
        commit_point: the committed offset; None: nothing is committed.
        start_offset, end_offset: the first offset that the log still has, and where reading ends: at the next
            one to be written, or at the beginning of a transaction that is open.
        held: how many offsets come after the beginning of a transaction that is open. They are no lag: nobody
            can read them before it ends.
        lag: how many offsets of the log are not done; 0 if none of them holds a record. The markers of
            transactions among them are counted, because only reading all of them would tell.
        map: the offset map in the commit: `read`; `stripped`, because it was too long; `none`; or `foreign`,
            written by another program, or damaged.
        completed: how many offsets above the commit point are done.
        incomplete: the offsets not done between the commit point and the highest one done. Offsets without a
            record (compacted away, markers of transactions) are among them: no map names these.
        oldest_timestamp_ms: when the oldest record that is not done was written; None: there is none, or it
            could not be read.
        scan_from: the offset in the partition of `answers` at which the next recovery scan starts; None: not
            known.
    """

    partition: int
    commit_point: int | None
    start_offset: int
    end_offset: int
    held: int
    lag: int
    map: str
    completed: int
    incomplete: tuple[OffsetRange, ...]
    oldest_timestamp_ms: int | None
    scan_from: int | None


async def aread_group_offsets(kafka: Kafka, group_id: str) -> list[PartitionOffsets]:
    """Read the state of every partition of `questions`, in order.

    Raises:
        OperatorError: no broker, no topic, or no group of this name.
    """
    topic = Topics(kafka.topic_prefix).questions
    await acheck_topics(kafka, needed=[topic], rights=offsets_rights(kafka, group_id))
    commits, numbers = await _commits(kafka, group_id, topic)
    maps = {number: decode(commit.metadata, commit.offset) for number, commit in commits.items()}
    partitions = {number: TopicPartition(topic, number) for number in numbers}
    try:
        # The ends of the log first: what a transaction that ends meanwhile has held is not told then.
        async with open_reader(kafka) as reader, asyncio.timeout(REQUEST_TIMEOUT_S):
            written = await reader.end_offsets(list(partitions.values()))
        # One record is enough; a broker sends a whole batch even so.
        async with open_reader(kafka, max_partition_fetch_bytes=1, **COMMITTED) as consumer:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                starts = await consumer.beginning_offsets(list(partitions.values()))
                ends = await consumer.end_offsets(list(partitions.values()))
            wanted = {
                partition: max(commits[number].offset if number in commits else 0, starts[partition])
                for number, partition in partitions.items()
            }
            oldest, done = await _oldest(
                consumer, {each: at for each, at in wanted.items() if at < ends[each]}, ends, maps
            )
    except (KafkaError, TimeoutError, OSError) as error:
        raise OperatorError(f"cannot read the topic {topic}: {type(error).__name__}: {error}") from error
    return [
        describe(
            number,
            commits.get(number),
            start=starts[partition],
            end=ends[partition],
            written=written[partition],
            oldest_timestamp_ms=oldest.get(number),
            done=number in done,
        )
        for number, partition in partitions.items()
    ]


def describe(
    partition: int,
    commit: Commit | None,
    *,
    start: int,
    end: int,
    oldest_timestamp_ms: int | None,
    written: int = 0,
    done: bool = False,
) -> PartitionOffsets:
    """The state of a partition whose log goes from `start` to before `end`, from its commit. Pure.

    Args:
        written: where the log ended shortly before; above `end`, if a transaction is open.
        done: the log was read from the commit point to its end, and holds no record that is not done.
    """
    offset_map = None if commit is None else decode(commit.metadata, commit.offset)
    completed = sorted(offset_map.completed) if offset_map else []
    first = start if commit is None else max(commit.offset, start)
    still_there = sum(first <= offset < end for offset in completed)
    return PartitionOffsets(
        partition=partition,
        commit_point=None if commit is None else commit.offset,
        start_offset=start,
        end_offset=end,
        held=max(0, written - end),
        lag=0 if done else max(0, end - first) - still_there,
        map=_kind(commit, offset_map),
        completed=len(completed),
        incomplete=() if commit is None else _gaps(commit.offset, completed),
        oldest_timestamp_ms=oldest_timestamp_ms,
        scan_from=offset_map.scan_from if offset_map else None,
    )


def _kind(commit: Commit | None, offset_map: OffsetMap | None) -> str:
    if offset_map is not None:
        return "stripped" if offset_map.stripped else "read"
    return "foreign" if commit is not None and commit.metadata else "none"


def _gaps(commit_point: int, completed: list[int]) -> tuple[OffsetRange, ...]:
    gaps: list[OffsetRange] = []
    expected = commit_point
    for offset in completed:
        if offset > expected:
            gaps.append((expected, offset - 1))
        expected = offset + 1
    return tuple(gaps)


async def _commits(kafka: Kafka, group_id: str, topic: str) -> tuple[dict[int, Commit], list[int]]:
    """The group's commits by partition, and the partitions that the topic has."""
    async with admin_client(kafka) as admin:
        committed = await admin.list_consumer_group_offsets(group_id)
        if not committed and group_id not in {group[0] for group in await admin.list_consumer_groups()}:
            raise OperatorError(
                f"the cluster at {kafka.bootstrap_servers} has no group {group_id!r}: a worker creates it "
                "when it joins; name another group with --group or KOTAE_WORKER__GROUP_ID"
            )
        [described] = await admin.describe_topics([topic])
    commits = {
        partition.partition: Commit(commit.offset, commit.metadata or "")
        for partition, commit in committed.items()
        if partition.topic == topic and commit.offset >= 0
    }
    return commits, sorted(found["partition"] for found in described["partitions"])


async def _oldest(
    consumer: Any,
    wanted: dict[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    maps: Mapping[int, OffsetMap | None],
) -> tuple[dict[int, int], set[int]]:
    """Find the first record that is not done at or after the given offset of each partition.

    Returns:
        Its timestamp (ms), and the partitions that were read to their end and hold none.
    """
    found: dict[int, int] = {}
    done = {partition.partition for partition in wanted}
    if not wanted:
        return found, done

    def is_open(record: ConsumerRecord) -> bool:
        # The committed offset may hold no record, and the next record may be done.
        offset_map = maps.get(record.partition)
        return offset_map is None or record.offset not in offset_map.completed

    consumer.assign(list(wanted))
    try:
        async with asyncio.timeout(OLDEST_TIMEOUT_S):
            async for record in afirst(consumer, wanted, {each: ends[each] for each in wanted}, is_open):
                done.discard(record.partition)
                if record.timestamp >= 0:
                    found[record.partition] = record.timestamp
    except TimeoutError:
        done.clear()
    return found, done
