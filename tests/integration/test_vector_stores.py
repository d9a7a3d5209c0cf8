"""A worker with a vector store that only this test registers, over a real broker."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.admin import AIOKafkaAdminClient

import streams.worker.life
from schemas.codec import decode_answer, encode
from schemas.document import Document
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.stores import STORES
from streams.assembly.worker import build_worker
from streams.kafka.authorization import Operation, Right
from streams.kafka.topics import acheck_topics
from streams.settings.model import Kafka, Settings, Worker
from tests.support.engine import producing, read_topic
from tests.support.knowledge import ListIndex, list_store
from tests.support.system import eventually, free_port

DOCUMENTS = (
    Document(id="warranty", text="The warranty lasts three years."),
    Document(id="office", text="The office opens at nine."),
)


async def committed(kafka: Kafka, topic: str, group: str) -> int:
    """The offsets that a group has committed on a topic, added up."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return sum(found.offset for at, found in offsets.items() if at.topic == topic)


async def test_a_store_that_is_registered_is_filled_by_its_group_searched_and_cited(
    kafka_settings: Kafka, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Right] = []

    async def check(kafka: Kafka, needed: Sequence[str], rights: Sequence[Right]) -> dict[str, int]:
        asked.extend(rights)
        return await acheck_topics(kafka, needed=needed, rights=rights)

    monkeypatch.setattr(streams.worker.life, "acheck_topics", check)
    async with producing(kafka_settings) as producer:
        for document in DOCUMENTS:
            await producer.send(topics.documents, encode(document), key=f"default/{document.id}".encode())
        question = Question(id="q", text="How long is the warranty?")
        await producer.send(topics.questions, encode(question), key=b"q")
    group = f"{topics.answers}.workers"
    settings = Settings(kafka=kafka_settings, worker=Worker(group_id=group, http_port=free_port()))
    index = ListIndex()
    worker = await asyncio.to_thread(
        build_worker, settings, {}, lines_dropped=lambda: 0.0, stores=(list_store(index), *STORES)
    )
    running = asyncio.create_task(worker.run())
    try:
        await eventually(lambda: worker.ready().ok or running.done(), 60, "the worker is ready")
        (record,) = await read_topic(kafka_settings, topics.answers, 1)
        state = worker.state()
    finally:
        worker.stop()
        code = await running
    answer = decode_answer(record.value)
    assert (code, answer.status) == (0, "answered")
    assert [citation.document_id for citation in answer.citations] == ["warranty"]
    assert set(index.documents) == {("default", document.id) for document in DOCUMENTS}
    assert await committed(kafka_settings, topics.documents, f"{group}.knowledge") == len(DOCUMENTS)
    assert Right(Operation.READ, "group", f"{group}.knowledge") in asked
    assert "knowledge" in state["dependencies"]
    assert index.closed
