"""Reads one partition of the journal, from a time to its end."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiokafka import TopicPartition

from schemas.codec import DecodeError, decode_journal_entry
from schemas.journal import JournalEntry
from schemas.topics import Topics
from streams.kafka.reading import CLOCK_SKEW_MS, afirst, aread, open_reader
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

StillWanted = Callable[[int], bool]
"""Whether the question at an offset still has to be answered."""


async def aasked_ms(kafka: Kafka, partition: int, offset: int) -> int | None:
    """Return the timestamp of the first question from an offset on, in unix milliseconds; 0 if it has none.

    None if there is no such question yet.

    Raises:
        KafkaError: the broker cannot be asked.
    """
    place = TopicPartition(Topics(kafka.topic_prefix).questions, partition)
    async with open_reader(kafka) as consumer:
        consumer.assign([place])
        ends = await consumer.end_offsets([place])
        async for question in afirst(consumer, {place: offset}, ends):
            return max(0, int(question.timestamp))
    return None


async def aread_journal(
    kafka: Kafka, partition: int, *, since_ms: int, wanted: StillWanted | None = None
) -> AsyncIterator[list[JournalEntry]]:
    """Yield a partition's entries in order, from `since_ms` (less `CLOCK_SKEW_MS`) to its present end.

    They come in batches, because all of them together may be more than memory holds.

    A record that is no entry is logged and left out. Entries of questions that are not `wanted` are left out.

    Raises:
        KafkaError: the broker cannot be asked.
    """
    began = time.monotonic()
    topics = Topics(kafka.topic_prefix)
    place = TopicPartition(topics.journal, partition)
    count = kept = 0
    async with open_reader(kafka) as consumer:
        consumer.assign([place])
        ends = await consumer.end_offsets([place])
        since = max(0, min(since_ms, int(time.time() * 1000)) - CLOCK_SKEW_MS)
        first = (await consumer.offsets_for_times({place: since}))[place]
        if first is None or first.offset >= ends[place]:
            return
        async for _, records in aread(consumer, {place: first.offset}, ends):
            entries = []
            for record in records:
                count += 1
                entry = _entry(record)
                if (
                    entry is not None
                    and entry.source.topic == topics.questions
                    and entry.source.partition == partition
                    and (wanted is None or wanted(entry.source.offset))
                ):
                    entries.append(entry)
            kept += len(entries)
            yield entries
    log.info(
        "read %d records of %s/%d in %.0f ms; %d of them belong to questions without an outcome",
        count,
        place.topic,
        partition,
        (time.monotonic() - began) * 1000,
        kept,
    )


def _entry(record: Any) -> JournalEntry | None:
    try:
        return decode_journal_entry(record.value)
    except DecodeError as error:
        log.warning(
            "the record %s/%d/%d is passed over: it is no journal entry: %s",
            record.topic,
            record.partition,
            record.offset,
            error,
        )
        return None
