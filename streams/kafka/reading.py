"""Reads partitions from given offsets to the ends that they have now: the one loop that does so."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.kafka.closing import within
from streams.kafka.options import client_options
from streams.settings.model import Kafka

MACHINES_SKEW_MS = 300_000
"""How far the clocks of brokers and workers may be apart, where only times tell where to read from."""
CLOCK_SKEW_MS = MACHINES_SKEW_MS + 3_600_000
"""How far a time of an asker, or one that a record took over from one, may be from the clock of a worker.
An hour more, because a broker refuses a record whose time is further ahead of its own clock
(`message.timestamp.after.max.ms`). To read from too late would miss completed work, and repeat it."""
POLL_MS = 200
BATCH = 500
"""Records taken in at once: to decode them must not hold the event loop for long."""
CLOSE_S = 2.0

Offsets = Mapping[TopicPartition, int]


def readers(kafka: Kafka, **options: Any) -> Callable[..., Any]:
    """Return a maker of consumers without a group, which are not started; it takes the topics to read.

    The files of the settings are read now, so that no later reader fails because of them. A reader without
    a valid offset goes on at the earliest record.

    Args:
        options: more keyword arguments of the consumers.

    Raises:
        OperatorError: a certificate file of the settings cannot be read.
    """
    settled: dict[str, Any] = {
        **client_options(kafka),
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        **options,
    }

    def make(*topics: str) -> Any:
        return AIOKafkaConsumer(*topics, **settled)

    return make


@asynccontextmanager
async def open_reader(kafka: Kafka, *topics: str, **options: Any) -> AsyncIterator[Any]:
    """Open one of the `readers`, which is closed within `CLOSE_S`.

    Args:
        topics: read from all their partitions; none: the caller assigns partitions.
        options: more keyword arguments of the consumer.

    Raises:
        KafkaError: the broker cannot be asked.
        OperatorError: a certificate file of the settings cannot be read.
    """
    consumer = readers(kafka, **options)(*topics)
    try:
        await consumer.start()
        yield consumer
    finally:
        await within(CLOSE_S, consumer.stop())


async def aread(
    consumer: Any,
    begins: Offsets,
    ends: MutableMapping[TopicPartition, int],
    *,
    silence_s: float | None = None,
) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord]]]:
    """Read the consumer's partitions `ends`, each from its `begins` to before its end, in batches.

    A partition is taken out of `ends` when it was read to its end, which an empty batch tells. The caller
    may take one out earlier to read no more of it.

    Args:
        silence_s: how long it may take until another record comes; None: for ever.

    Raises:
        KafkaError: the broker cannot be asked.
        TimeoutError: no record came for `silence_s`.
    """
    for partition in ends:
        consumer.seek(partition, begins[partition])
    for partition in [empty for empty, end in ends.items() if begins[empty] >= end]:
        del ends[partition]
        yield partition, []
    heard = time.monotonic()
    while ends:
        batches = await consumer.getmany(*ends, timeout_ms=POLL_MS, max_records=BATCH)
        for partition, batch in batches.items():
            heard = time.monotonic()
            end = ends.get(partition, 0)
            if records := [record for record in batch if record.offset < end]:
                yield partition, records
        for partition in list(ends):
            # By its position, because the last offsets may hold the marks of transactions.
            async with asyncio.timeout(silence_s):
                position = await consumer.position(partition)
            if position >= ends[partition]:
                del ends[partition]
                yield partition, []
        if silence_s is not None and time.monotonic() - heard > silence_s:
            raise TimeoutError(f"no more records of {sorted(ends)} came for {silence_s:g} s")
        await asyncio.sleep(0)


async def afirst(
    consumer: Any,
    begins: Offsets,
    ends: Offsets,
    wanted: Callable[[ConsumerRecord], bool] = lambda _: True,
) -> AsyncIterator[ConsumerRecord]:
    """Find the first wanted record of each partition, from its offset in `begins` on to before its end.

    A partition without such a record yields none.

    Raises:
        KafkaError: the broker cannot be asked.
    """
    left = dict(ends)
    async for partition, records in aread(consumer, begins, left):
        for record in records:
            if wanted(record):
                yield record
                left.pop(partition)
                break


async def aread_to_end(
    kafka: Kafka,
    topic: str,
    *,
    since_ms: int | None = None,
    since: Mapping[int, int] | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[ConsumerRecord]:
    """Read every record of every partition, in order within each.

    Args:
        since_ms: only the records since a time.
        since: only the records from these offsets on, by partition. Where one is not reached, or a partition
            is not there, the topic was made anew, and all is read.
        options: more keyword arguments of the consumer.

    Raises:
        KafkaError: the broker cannot be asked.
        OperatorError: a certificate file of the settings cannot be read.
    """
    async with open_reader(kafka, topic, **options) as consumer:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        if since_ms is not None:
            times = dict.fromkeys(partitions, since_ms)
            for partition, found in (await consumer.offsets_for_times(times)).items():
                begins[partition] = ends[partition] if found is None else found.offset
        if since is not None and all(
            offset < ends.get(TopicPartition(topic, number), -1) for number, offset in since.items()
        ):
            begins = {
                partition: max(begins[partition], since.get(partition.partition, ends[partition]))
                for partition in partitions
            }
        async for _, records in aread(consumer, begins, ends):
            for record in records:
                yield record
