"""The sender with an idempotent producer that loses its sequence, on a real broker."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.topics import Topics
from streams.kafka.options import client_options
from streams.publishing.records import Record
from streams.publishing.sending import Sender
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook
from tests.support.engine import read_topic
from tests.support.system import eventually


def lose_count(producer: Any, place: TopicPartition) -> None:
    """Make the producer count records that the broker never got: the broker refuses all that follow."""
    producer._txn_manager.increment_sequence_number(place, 5)


async def test_a_producer_that_lost_its_sequence_is_replaced_and_no_record_is_lost(
    kafka_settings: Kafka, topics: Topics
) -> None:
    opened: list[AIOKafkaProducer] = []

    def open_producer() -> AIOKafkaProducer:
        opened.append(AIOKafkaProducer(**client_options(kafka_settings), acks="all", enable_idempotence=True))
        return opened[-1]

    sender = Sender(open_producer=open_producer, topics=(topics.answers,), rebuild=True, hook=Hook())
    await sender.start()
    acked: list[bytes | None] = []

    def put(value: bytes) -> None:
        record = Record(topics.answers, b"k", value, [], 0, exact=True)

        def on_delivery(record: Record, error: BaseException | None) -> None:
            if error is None:
                acked.append(record.value)
            else:
                asyncio.get_running_loop().call_later(0.1, put, value)

        sender.put(record, on_delivery)

    try:
        put(b"0")
        await eventually(lambda: acked == [b"0"], 20, "the first record")
        lose_count(opened[0], TopicPartition(topics.answers, 0))
        put(b"1")
        await eventually(lambda: acked == [b"0", b"1"], 30, "the record after the fault")
        put(b"2")
        await eventually(lambda: acked == [b"0", b"1", b"2"], 20, "the next one")
    finally:
        await sender.aclose(timeout_s=5)
    assert len(opened) == 2
    written = await read_topic(kafka_settings, topics.answers, 3)
    assert [record.value for record in written] == [b"0", b"1", b"2"]
