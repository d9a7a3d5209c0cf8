"""The engine with a test's own pipeline, and readers of the topics that it writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.pipeline import Answered, Asked
from schemas.answer import Answer
from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.engine import build_engine, build_parts
from streams.settings.model import Kafka, Limits, Settings, Worker
from streams.telemetry.hook import Hook
from streams.worker.engine import Engine


def answer_to(asked: Asked, text: str = "An answer.", **fields: Any) -> Answered:
    question = asked.question
    values: dict[str, Any] = {
        "id": question.id,
        "question_id": question.id,
        "conversation_id": question.conversation_id,
        "tenant": question.tenant,
        "status": "answered",
        "source": asked.source,
        "created_at": datetime.now(UTC),
        "text": text,
        "metadata": question.metadata,
    }
    return Answered(Answer(**values | fields))


class ScriptedPipeline:
    """Answers by calling `script`; keeps the questions asked and how many ran at once."""

    def __init__(self, script: Callable[[Asked], Awaitable[Answered]] | None = None) -> None:
        self._script = script
        self.asked: list[Asked] = []
        self.running = 0
        self.most_running = 0

    async def aanswer(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return answer_to(asked) if self._script is None else await self._script(asked)
        finally:
            self.running -= 1


def settings_for(kafka: Kafka, *, max_in_flight: int = 1000, deadline_s: float = 30.0) -> Settings:
    return Settings(
        kafka=kafka,
        worker=Worker(
            group_id=f"{kafka.topic_prefix}workers", max_in_flight=max_in_flight, grace_s=10, http_port=0
        ),
        limits=Limits(deadline_s=deadline_s),
    )


@asynccontextmanager
async def running_engine(
    settings: Settings, pipeline: Any, hook: Hook | None = None
) -> AsyncIterator[Engine]:
    """A running engine, drained at the end of the block."""
    engine = build_engine(build_parts(settings, hook or Hook()), pipeline)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.drain(5.0, asyncio.Event())


def question(identifier: str, **fields: Any) -> bytes:
    return encode(Question(id=identifier, text="What now?", **fields))


@asynccontextmanager
async def producing(kafka: Kafka, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    options = {"acks": "all", "max_request_size": 4_000_000} | options
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def read_topic(kafka: Kafka, topic: str, count: int, limit_s: float = 30.0) -> list[ConsumerRecord]:
    """The first `count` records of a topic, each partition in order; TimeoutError with those found."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: list[ConsumerRecord] = []
    try:
        partitions = [TopicPartition(topic, p) for p in await consumer._client._wait_on_metadata(topic)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        until = asyncio.get_running_loop().time() + limit_s
        while len(found) < count:
            if asyncio.get_running_loop().time() > until:
                raise TimeoutError(f"{topic}: {len(found)} of {count} records: {found[-3:]}")
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
    finally:
        await consumer.stop()
    return found


async def end_offsets(kafka: Kafka, topic: str) -> Mapping[int, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, p) for p in await consumer._client._wait_on_metadata(topic)]
        return {tp.partition: offset for tp, offset in (await consumer.end_offsets(partitions)).items()}
    finally:
        await consumer.stop()


async def committed_offsets(settings: Settings, topic: str = "") -> Mapping[int, int]:
    """The group's committed offsets on a topic; default: `questions`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.worker.group_id)
    finally:
        await admin.close()
    topic = topic or Topics(settings.kafka.topic_prefix).questions
    return {tp.partition: found.offset for tp, found in offsets.items() if tp.topic == topic}


def headers_of(record: ConsumerRecord) -> dict[str, bytes]:
    return dict(record.headers)


def by_offset(records: Collection[ConsumerRecord]) -> list[ConsumerRecord]:
    return sorted(records, key=lambda record: (record.partition, record.offset))
