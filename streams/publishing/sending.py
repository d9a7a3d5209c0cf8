"""How one record is handed to an aiokafka producer, and how a producer is got rid of."""

import asyncio
from typing import Any

from aiokafka.errors import UnknownTopicOrPartitionError

from streams.publishing.records import Record

Sent = asyncio.Future[Any]


async def asend(producer: Any, record: Record) -> Sent:
    """Queue it; the future is the broker's acknowledgement. Waits only where the batch ahead is full.

    Raises:
        KafkaError: it was not queued.
    """
    if record.key is None and record.value is None:
        return await _send_empty(producer, record)
    sent: Sent = await producer.send(
        record.topic,
        value=record.value,
        key=record.key,
        partition=record.partition,
        headers=record.headers,
    )
    return sent


def place(producer: Any, record: Record, *, fold: bool) -> None:
    """See that the record's partition exists on its topic, which may have fewer than `questions`.

    With `fold` the partition's number is taken modulo theirs; without, the key decides.

    Raises:
        UnknownTopicOrPartitionError: the topic is not known. It is looked for, in the background:
            waiting here would hold up whatever comes behind.
    """
    partitions = producer.client.cluster.partitions_for_topic(record.topic)
    if not partitions:
        producer.client.add_topic(record.topic)
        raise UnknownTopicOrPartitionError(record.topic)
    if record.partition is not None and record.partition not in partitions:
        record.partition = record.partition % len(partitions) if fold else None


async def _send_empty(producer: Any, record: Record) -> Sent:
    # `send` refuses a record with neither key nor value; a batch takes it.
    partitions = sorted(await producer.partitions_for(record.topic))
    batch = producer.create_batch()
    batch.append(key=None, value=None, timestamp=None, headers=record.headers)
    batch.close()
    sent: Sent = await producer.send_batch(
        batch, record.topic, partition=partitions[(record.partition or 0) % len(partitions)]
    )
    return sent


async def aclose_producer(producer: Any, timeout_s: float) -> None:
    """Stop it within the time given: with the broker away, `stop` would wait for ever."""
    stopping = asyncio.create_task(producer.stop())
    await asyncio.wait({stopping}, timeout=timeout_s)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=timeout_s)
        await producer.client.close()
    if stopping.done() and not stopping.cancelled():
        stopping.exception()  # it has been told of where it mattered: by the records that were not sent
