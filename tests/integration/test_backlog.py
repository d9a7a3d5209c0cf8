"""The ends of our partitions, asked of a real broker."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.topics import Topics
from streams.settings.model import Kafka
from streams.worker.backlog import Backlog
from tests.support.engine import producing
from tests.support.system import free_port


@pytest.fixture
async def backlog(kafka_settings: Kafka, topics: Topics) -> AsyncIterator[Backlog]:
    made = backlog_on(kafka_settings.bootstrap_servers, topics.questions)
    yield made
    await made.aclose()


def backlog_on(bootstrap_servers: str, topic: str) -> Backlog:
    def open_reader() -> Any:
        return AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=None, enable_auto_commit=False)

    return Backlog(open_reader, topic)


async def test_the_backlog_returns_the_ends_of_our_partitions(
    kafka_settings: Kafka, topics: Topics, backlog: Backlog
) -> None:
    async with producing(kafka_settings) as producer:
        for number in range(30):
            await producer.send_and_wait(topics.questions, b"{}", partition=number % 3)
    assert await backlog.aends([0, 1, 2], 10) == {0: 10, 1: 10, 2: 10}
    assert await backlog.aends([], 10) is not None
    async with producing(kafka_settings) as producer:
        await producer.send_and_wait(topics.questions, b"{}", partition=1)
    assert await backlog.aends([1], 10) == {1: 11}


async def test_an_unreachable_broker_is_no_error_and_is_asked_again(topics: Topics) -> None:
    backlog = backlog_on(f"127.0.0.1:{free_port()}", topics.questions)
    for _ in range(2):
        assert await backlog.aends([0], 2) is None
    await backlog.aclose()
