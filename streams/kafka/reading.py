"""Reads what a topic holds now, for commands: from the earliest record, or a time, to the end as it is."""

from collections.abc import AsyncIterator, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.kafka.header_names import read_any_header_name
from streams.kafka.options import client_options
from streams.settings.model import Kafka

POLL_MS = 200
BATCH = 500


async def aread_to_end(
    kafka: Kafka, topic: str, *, since_ms: int | None = None, since: Mapping[int, int] | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Every record of every partition, in order within each.

    Args:
        since_ms: only those since a time.
        since: only those from these offsets on, by partition. Where one is not reached, or a partition is
            not there, the topic was made anew, and all is read.

    Raises:
        KafkaError: the broker cannot be asked.
        OperatorError: a certificate file of the settings cannot be read.
    """
    read_any_header_name()
    consumer = AIOKafkaConsumer(
        topic, **client_options(kafka), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(places)
        begins = await consumer.beginning_offsets(places)
        if since_ms is not None:
            for place, found in (await consumer.offsets_for_times(dict.fromkeys(places, since_ms))).items():
                begins[place] = ends[place] if found is None else found.offset
        if since is not None and all(
            offset < ends.get(TopicPartition(topic, number), -1) for number, offset in since.items()
        ):
            begins = {place: max(begins[place], since.get(place.partition, ends[place])) for place in places}
        left = [place for place in places if begins[place] < ends[place]]
        for place in left:
            consumer.seek(place, begins[place])
        while left:
            batches = await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=BATCH)
            for place, records in batches.items():
                for record in records:
                    if record.offset < ends[place]:
                        yield record
            left = [place for place in left if await consumer.position(place) < ends[place]]
    finally:
        await consumer.stop()
