"""Reads one partition of the journal, from a time to its end."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import DecodeError, decode_journal_entry
from schemas.journal import JournalEntry
from schemas.topics import Topics
from streams.kafka.closing import within
from streams.kafka.options import client_options
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

SKEW_MS = 3_600_000
"""How far the clocks of those who ask may be ahead of ours: reading from too late would repeat a call."""
POLL_MS = 200
BATCH = 500
"""Records decoded at once: that must not hold the event loop for long."""
CLOSE_S = 2.0

Wanted = Callable[[int], bool]
"""Whether the question at an offset still has to be answered."""


async def aasked_ms(kafka: Kafka, partition: int, offset: int) -> int | None:
    """The timestamp of the first question from an offset on, in unix milliseconds; 0 where it has none.

    None where there is no such question yet.

    Raises:
        KafkaError: the broker cannot be asked.
    """
    place = TopicPartition(Topics(kafka.topic_prefix).questions, partition)
    async with _reading(kafka, place) as consumer:
        end = (await consumer.end_offsets([place]))[place]
        consumer.seek(place, offset)
        while await consumer.position(place) < end:
            for record in (await consumer.getmany(place, timeout_ms=POLL_MS, max_records=1)).get(place, ()):
                return max(0, int(record.timestamp))
    return None


async def aread_journal(
    kafka: Kafka, partition: int, *, since_ms: int, wanted: Wanted | None = None
) -> list[JournalEntry]:
    """The entries of one partition from `since_ms` (less `SKEW_MS`) to the end that it has now, in order.

    A record that is no entry is logged and left out, as are questions that are not `wanted`.

    Raises:
        KafkaError: the broker cannot be asked.
    """
    began = time.monotonic()
    topics = Topics(kafka.topic_prefix)
    place = TopicPartition(topics.journal, partition)
    entries: list[JournalEntry] = []
    count = 0
    async with _reading(kafka, place) as consumer:
        end = (await consumer.end_offsets([place]))[place]
        since = max(0, min(since_ms, int(time.time() * 1000)) - SKEW_MS)
        first = (await consumer.offsets_for_times({place: since}))[place]
        if first is None or first.offset >= end:
            return entries
        consumer.seek(place, first.offset)
        while await consumer.position(place) < end:
            batch = await consumer.getmany(place, timeout_ms=POLL_MS, max_records=BATCH)
            for record in batch.get(place, ()):
                count += 1
                entry = _entry(record)
                if (
                    entry is not None
                    and entry.source.topic == topics.questions
                    and entry.source.partition == partition
                    and (wanted is None or wanted(entry.source.offset))
                ):
                    entries.append(entry)
    log.info(
        "read %d records of %s/%d in %.0f ms, %d of them of questions without an outcome",
        count,
        place.topic,
        partition,
        (time.monotonic() - began) * 1000,
        len(entries),
    )
    return entries


@asynccontextmanager
async def _reading(kafka: Kafka, place: TopicPartition) -> AsyncIterator[Any]:
    consumer: Any = AIOKafkaConsumer(
        **client_options(kafka), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        consumer.assign([place])
        yield consumer
    finally:
        await within(CLOSE_S, consumer.stop())


def _entry(record: Any) -> JournalEntry | None:
    try:
        return decode_journal_entry(record.value)
    except DecodeError as error:
        log.warning(
            "the record %s/%d/%d is no entry: %s", record.topic, record.partition, record.offset, error
        )
        return None
