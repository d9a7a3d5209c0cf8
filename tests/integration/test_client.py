"""The public client on a real broker: replies of its own, lost ones, streams, and older clusters."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.answer import Answer, Source
from schemas.codec import DecodeError, decode_feedback
from schemas.event import AnswerDelta
from schemas.question import Question
from schemas.topics import Topics
from streams.client import AskClient
from streams.kafka.options import client_options
from streams.kafka.topics import acreate_topics, alist_topics
from streams.local.broker import LocalBroker
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from tests.support.answerer import Reply, answer_to, answering, delta_of
from tests.support.engine import read_topic
from tests.support.kafka import QuickBroker
from tests.support.system import eventually, free_port

CLIENTS = 10


def echo(question: Question, source: Source) -> Sequence[Reply]:
    return [answer_to(question, source, text=question.text.upper())]


def spell(question: Question, source: Source) -> Sequence[Reply]:
    deltas = [delta_of(question, 1, number, letter) for number, letter in enumerate(question.text)]
    return [*deltas, delta_of(question, 1, len(deltas)), answer_to(question, source, text=question.text)]


async def remove(kafka: Kafka, topic: str) -> None:
    """Make the cluster one of 0.1.0."""
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
    async with asyncio.timeout(20):
        while any(state.name == topic and state.partitions for state in await alist_topics(kafka)):  # noqa: ASYNC110 - a broker sends no event
            await asyncio.sleep(0.02)


@pytest.fixture
async def older(kafka_settings: Kafka, topics: Topics) -> Kafka:
    """A cluster without the topic for replies."""
    await remove(kafka_settings, topics.replies)
    return kafka_settings


@pytest.fixture
def records_read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every record that a client has read."""
    read: list[Any] = []
    getmany = AIOKafkaConsumer.getmany

    async def counting(consumer: Any, *partitions: Any, **options: Any) -> Any:
        batches = await getmany(consumer, *partitions, **options)
        read.extend(record for records in batches.values() for record in records)
        return batches

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", counting)
    return read


@pytest.mark.parametrize(("as_older", "times"), [(False, 1), (True, CLIENTS)])
async def test_ten_clients_read_their_own_replies_and_no_others(
    kafka_settings: Kafka,
    monkeypatch: pytest.MonkeyPatch,
    records_read: list[Any],
    as_older: bool,
    times: int,
) -> None:
    monkeypatch.setattr("schemas.topics.REPLY_PARTITIONS", CLIENTS)
    await acreate_topics(kafka_settings)
    if as_older:
        await remove(kafka_settings, Topics(kafka_settings.topic_prefix).replies)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AskClient(kafka_settings, reply_partition=number))
            for number in range(CLIENTS)
        ]
        async with answering(kafka_settings, echo):
            answers = await asyncio.gather(
                *(client.aask(f"question {n}") for client in clients for n in range(10))
            )
        await eventually(lambda: len(records_read) >= times * 100, 20, "each reads what is sent to it")
    assert len(answers) == 100
    assert len(records_read) == times * 100


async def test_a_partition_is_drawn_and_must_be_there(kafka_settings: Kafka, topics: Topics) -> None:
    drawn = set()
    for _ in range(12):
        async with AskClient(kafka_settings) as client:
            drawn.add(client.reply_partition)
    assert len(drawn) > 1
    assert drawn <= {0, 1, 2, 3}
    with pytest.raises(OperatorError, match="has no partition 4: it has 4"):
        await AskClient(kafka_settings, reply_partition=4).start()


async def test_two_clients_may_share_a_partition(kafka_settings: Kafka, topics: Topics) -> None:
    async with (
        AskClient(kafka_settings, reply_partition=1) as one,
        AskClient(kafka_settings, reply_partition=1) as other,
        answering(kafka_settings, spell),
    ):
        answers = await asyncio.gather(*(client.aask(f"q{n}") for n in range(10) for client in (one, other)))
    assert [answer.text for answer in answers] == [f"q{n}" for n in range(10) for _ in range(2)]


async def test_replies_can_come_to_a_topic_of_ones_own(kafka_settings: Kafka, topics: Topics) -> None:
    async with (
        AskClient(kafka_settings, reply_to=topics.deltas, reply_partition=2) as client,
        answering(kafka_settings, echo) as seen,
    ):
        assert (await client.aask("hello")).text == "HELLO"
    assert (seen[0].reply_to, seen[0].reply_partition) == (topics.deltas, 2)
    with pytest.raises(OperatorError, match="lacks the topics nowhere"):
        await AskClient(kafka_settings, reply_to="nowhere").start()


def loses_answers(topic: str, reply: Reply) -> bool:
    return topic.endswith("answers.replies") and isinstance(reply, Answer)


async def test_a_lost_reply_is_found_soon_after_the_last_delta(kafka_settings: Kafka, topics: Topics) -> None:
    told: list[AnswerDelta] = []
    async with AskClient(kafka_settings) as client, answering(kafka_settings, spell, loses=loses_answers):
        # Far from the deadline: the last delta tells.
        async with asyncio.timeout(60):
            answer = await client.aask("lost", timeout_s=600, on_delta=told.append)
            many = await asyncio.gather(
                *(client.aask(f"q{n}", timeout_s=600, on_delta=told.append) for n in range(20))
            )
    assert answer.text == "lost"
    assert [each.text for each in many] == [f"q{n}" for n in range(20)]


async def test_a_lost_reply_without_deltas_is_found_at_the_deadline(
    kafka_settings: Kafka, topics: Topics
) -> None:
    async with AskClient(kafka_settings) as client, answering(kafka_settings, echo, loses=loses_answers):
        answers = await asyncio.gather(*(client.aask(f"q{n}", timeout_s=2) for n in range(5)))
    assert [answer.text for answer in answers] == [f"Q{n}" for n in range(5)]


async def test_a_stream_yields_the_deltas_and_then_the_answer(kafka_settings: Kafka, topics: Topics) -> None:
    async with AskClient(kafka_settings) as client, answering(kafka_settings, spell):
        got = [part async for part in client.astream("abc")]
    *deltas, answer = got
    assert isinstance(answer, Answer)
    assert [delta.text for delta in deltas if isinstance(delta, AnswerDelta)] == ["a", "b", "c", ""]
    assert answer.text == "abc"


async def test_a_stream_that_is_left_waits_for_nothing(kafka_settings: Kafka, topics: Topics) -> None:
    async with AskClient(kafka_settings) as client, answering(kafka_settings, spell, lambda: False):
        async with aclosing(client.astream("abc")) as parts:
            assert isinstance(await anext(parts), AnswerDelta)
        assert not client._replies._pending


async def test_a_stream_raises_what_asking_raises(kafka_settings: Kafka, topics: Topics) -> None:
    async with AskClient(kafka_settings) as client:
        parts = client.astream(Question(id="q", text="x", metadata={"much": "x" * 1_100_000}))
        with pytest.raises(OperatorError, match="larger than"):
            await anext(parts)


async def test_an_older_cluster_serves_all_the_same_and_is_told_once(
    older: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[AnswerDelta] = []
    with caplog.at_level(logging.WARNING, "streams.client"):
        async with AskClient(older) as client, answering(older, spell, lambda: len(told) >= 3):
            assert client.reply_partition is None
            answer = await client.aask("abc", on_delta=told.append)
            again = await client.aask("again")
    assert (answer.text, again.text) == ("abc", "again")
    assert "".join(delta.text for delta in told) == "abc"
    assert caplog.text.count("run 'kotae topics create'") == 1


@pytest.fixture
async def own_broker(tmp_path: Any) -> AsyncIterator[LocalBroker]:
    broker = QuickBroker(free_port(), data=tmp_path / "kafka")
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


async def test_a_client_goes_on_when_its_broker_was_away(own_broker: LocalBroker) -> None:
    kafka = Kafka(bootstrap_servers=own_broker.bootstrap_servers, partitions=1)
    await acreate_topics(kafka)
    async with AskClient(kafka) as client:
        async with answering(kafka, echo):
            assert (await client.aask("before")).text == "BEFORE"
        await own_broker.stop()
        asking = asyncio.create_task(client.aask("while it is away", timeout_s=60))
        await asyncio.wait([asking], timeout=1)
        assert not asking.done()
        await own_broker.start()
        async with answering(kafka, echo):
            assert (await asking).text == "WHILE IT IS AWAY"
            assert (await client.aask("after")).text == "AFTER"


async def test_feedback_is_on_its_topic_by_the_conversation(kafka_settings: Kafka, topics: Topics) -> None:
    async with AskClient(kafka_settings) as client, answering(kafka_settings, echo):
        answer = await client.aask(Question(id="q", text="x", conversation_id="c", tenant="acme"))
        await client.feedback(answer, -1, comment="No.", tags=["wrong"], response_id="r")
        with pytest.raises(DecodeError, match="comment"):
            await client.feedback(answer, 1, comment="x" * 2_001)
        await client.feedback(answer, 1)
    records = await read_topic(kafka_settings, topics.feedback, 2)
    found = [decode_feedback(record.value) for record in records]
    assert [feedback.rating for feedback in found] == [-1, 1]
    assert {feedback.source for feedback in found} == {answer.source}
    assert (found[0].comment, found[0].tags, found[0].tenant) == ("No.", ("wrong",), "acme")
    assert {record.key for record in records} == {b"c"}
    assert len({dict(record.headers)["ce_id"] for record in records}) == 2


async def test_without_its_topic_feedback_says_what_to_do(kafka_settings: Kafka, topics: Topics) -> None:
    await remove(kafka_settings, topics.feedback)
    async with AskClient(kafka_settings) as client, answering(kafka_settings, echo):
        answer = await client.aask("x")
        with pytest.raises(OperatorError, match="kotae topics create"):
            await client.feedback(answer, 1)
