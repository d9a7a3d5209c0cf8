"""Questions and documents that other programs write in transactions, on a real broker."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.version import KnowledgeVersions
from schemas.codec import decode_answer, encode
from schemas.document import Document, document_key
from schemas.topics import Topics
from streams.consumer.watchdog import Patience, Watchdog
from streams.kafka.options import COMMITTED
from streams.knowledge.feed import KnowledgeFeed
from streams.operations.group_offsets import aread_group_offsets
from streams.settings.model import Kafka, Settings
from streams.telemetry.hook import Hook
from streams.worker.backlog import Backlog
from streams.worker.engine import Engine
from streams.worker.monitor import Monitor
from tests.support.engine import (
    ScriptedPipeline,
    committed_offsets,
    end_offsets,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)
from tests.support.system import eventually


@pytest.fixture
def partitions() -> int:
    return 1


@asynccontextmanager
async def transacting(kafka: Kafka, name: str) -> AsyncIterator[AIOKafkaProducer]:
    async with producing(
        kafka, transactional_id=f"{kafka.topic_prefix}{name}", transaction_timeout_ms=60_000
    ) as producer:
        yield producer


async def until_committed(settings: Settings, offsets: dict[int, int], limit_s: float) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            if await committed_offsets(settings) == offsets:
                return
            await asyncio.sleep(0.05)


async def ask(producer: AIOKafkaProducer, topics: Topics, *identifiers: str) -> None:
    for identifier in identifiers:
        await producer.send_and_wait(topics.questions, question(identifier), key=identifier.encode())


@asynccontextmanager
async def monitored(kafka: Kafka, topics: Topics, engine: Engine) -> AsyncIterator[Monitor]:
    def open_reader() -> Any:
        return AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, **COMMITTED)

    monitor = Monitor(
        consumer=engine.consumer,
        watchdog=Watchdog(Patience(stall_s=0.5)),
        backlog=Backlog(open_reader, topics.questions),
        positions=lambda: engine.consumer.positions,
        completed=lambda: 0.0,
        hook=Hook(),
        interval_s=0.1,
    )
    task = asyncio.create_task(monitor.run())
    try:
        yield monitor
        assert not task.done(), "the watchdog gave up"
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_only_questions_of_committed_transactions_are_answered(
    kafka_settings: Kafka, topics: Topics
) -> None:
    pipeline = ScriptedPipeline()
    settings = settings_for(kafka_settings)
    async with running_engine(settings, pipeline), transacting(kafka_settings, "asker") as producer:
        async with producer.transaction():
            await ask(producer, topics, "first")
        await producer.begin_transaction()
        await ask(producer, topics, "aborted", "aborted too")
        await producer.abort_transaction()
        async with producer.transaction():
            await ask(producer, topics, "last")
        answers = await read_topic(kafka_settings, topics.answers, 2)
    assert [decode_answer(record.value).id for record in answers] == ["first", "last"]
    assert [asked.question.id for asked in pipeline.asked] == ["first", "last"]
    assert await end_offsets(kafka_settings, topics.answers) == {0: 2}


async def test_the_markers_of_transactions_are_no_lag_with_and_without_restart(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    group = settings.worker.group_id
    async with transacting(kafka_settings, "asker") as producer:
        async with producer.transaction():
            await ask(producer, topics, "q")
        await producer.begin_transaction()
        await ask(producer, topics, "aborted")
        await producer.abort_transaction()
    for _ in range(2):
        async with (
            running_engine(settings, ScriptedPipeline()) as engine,
            monitored(kafka_settings, topics, engine) as monitor,
        ):
            await eventually(lambda: engine.consumer.positions == {0: 4}, 20, "the end")
            await eventually(lambda: monitor.drain_s == 0, 5, "no lag")
            await until_committed(settings, {0: 4}, 5)
            [shown] = await aread_group_offsets(kafka_settings, group)
            assert (shown.commit_point, shown.end_offset, shown.lag) == (4, 4, 0)


async def test_an_aborted_transaction_alone_is_committed(kafka_settings: Kafka, topics: Topics) -> None:
    settings = settings_for(kafka_settings)
    async with transacting(kafka_settings, "asker") as producer:
        await producer.begin_transaction()
        await ask(producer, topics, "aborted")
        await producer.abort_transaction()
    async with running_engine(settings, ScriptedPipeline()):
        await until_committed(settings, {0: 2}, 20)
    assert await end_offsets(kafka_settings, topics.answers) == {0: 0}


async def test_an_open_transaction_is_shown_and_is_neither_lag_nor_a_stuck_consumer(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    async with (
        running_engine(settings, ScriptedPipeline()) as engine,
        monitored(kafka_settings, topics, engine) as monitor,
        transacting(kafka_settings, "asker") as producer,
        producing(kafka_settings) as other,
    ):
        await ask(other, topics, "before")
        await read_topic(kafka_settings, topics.answers, 1)
        await producer.begin_transaction()
        await ask(producer, topics, "open")
        await ask(other, topics, "behind")

        def held_s() -> float:
            return float(engine.consumer.state()["partitions"]["0"]["open_transaction_s"])

        await eventually(lambda: held_s() > 1.5, 20, "a transaction that is open")
        assert monitor.state()["rebuilds"] == 0
        assert monitor.drain_s == 0
        [shown] = await aread_group_offsets(kafka_settings, settings.worker.group_id)
        assert (shown.end_offset, shown.lag, shown.held) == (1, 0, 2)
        assert await end_offsets(kafka_settings, topics.answers) == {0: 1}
        await producer.commit_transaction()
        answers = await read_topic(kafka_settings, topics.answers, 3)
        await eventually(lambda: held_s() == 0, 5, "its end")
        assert not math.isnan(monitor.drain_s)
    assert {decode_answer(record.value).id for record in answers} == {"before", "open", "behind"}


async def test_a_worker_starts_beside_open_transactions_on_questions_and_answers(
    kafka_settings: Kafka, topics: Topics
) -> None:
    """A foreign transaction on our own topics must not hold a recovery."""
    settings = settings_for(kafka_settings)
    async with transacting(kafka_settings, "stranger") as stranger, producing(kafka_settings) as other:
        await ask(other, topics, "before")
        await stranger.begin_transaction()
        await stranger.send_and_wait(topics.answers, b"{}", partition=0)
        await ask(stranger, topics, "open")
        async with running_engine(settings, ScriptedPipeline()):
            answers = await read_topic(kafka_settings, topics.answers, 2)
        async with running_engine(settings, ScriptedPipeline()) as engine:
            await eventually(lambda: engine.consumer.joined, 20, "a second recovery")
        await stranger.abort_transaction()
    assert decode_answer(answers[1].value).id == "before"


@pytest.mark.parametrize("group", [None, "shared"])
async def test_only_documents_of_committed_transactions_are_known(
    kafka_settings: Kafka, topics: Topics, group: str | None
) -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    group = group and f"{kafka_settings.topic_prefix}{group}"
    versions = KnowledgeVersions()
    feed = KnowledgeFeed(kafka_settings, index, Hook(), group=group, versions=versions)

    async def put(producer: AIOKafkaProducer, years: str) -> None:
        document = Document(id="warranty", text=f"The warranty lasts {years} years.")
        await producer.send_and_wait(
            topics.documents, encode(document), key=document_key("default", "warranty")
        )

    def held_s() -> float:
        return float(feed.state()["partitions"]["0"]["open_transaction_s"])

    try:
        async with transacting(kafka_settings, "writer") as producer:
            async with producer.transaction():
                await put(producer, "two")
            await producer.begin_transaction()
            await put(producer, "ninety-nine")
            await producer.abort_transaction()
            await feed.start()
            await eventually(lambda: feed.caught_up, 20, "all that is committed")
            await eventually(lambda: versions.known, 20, "a version")
            await producer.begin_transaction()
            await put(producer, "seven")
            await eventually(lambda: held_s() > 0.5, 20, "a transaction that is open")
            [found] = await index.asearch("default", "warranty", 5)
            assert "two" in found.text
            await producer.commit_transaction()

            await eventually(lambda: versions.of("default") is not None, 20, "a version")
            await eventually(lambda: feed.state()["documents"] == 2, 20, "the new text")
            [found] = await index.asearch("default", "warranty", 5)
            assert "seven" in found.text
            await eventually(lambda: held_s() == 0, 20, "its end")
        assert await index.acount() == 1
    finally:
        await feed.stop()
        await index.aclose()
