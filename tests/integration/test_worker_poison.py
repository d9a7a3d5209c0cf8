"""Bad input on a real broker: one failed answer and one dead letter each, and neighbours unharmed."""

import asyncio
import json
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.codec import decode_answer
from schemas.errors import ErrorCode
from schemas.topics import OUTCOME_MAX_BYTES, RECORD_MAX_BYTES, Topics
from streams.kafka.options import client_options
from streams.kafka.topics import acreate_topics
from streams.settings.model import Kafka
from tests.support.batches import SPOIL, SpoiledBatch
from tests.support.engine import (
    ScriptedPipeline,
    answer_to,
    committed_offsets,
    end_offsets,
    headers_of,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)
from tests.support.system import eventually

POISON: dict[str, tuple[bytes | None, ErrorCode]] = {
    "truncated": (b'{"id": "x", "text": "Wh', ErrorCode.UNDECODABLE),
    "not UTF-8": (b'{"id": "x", "text": "\xff\xfe"}', ErrorCode.UNDECODABLE),
    "null": (None, ErrorCode.UNDECODABLE),
    "empty value": (b"", ErrorCode.UNDECODABLE),
    "NaN": (b'{"id": "x", "text": "What?", "metadata": {"n": NaN}}', ErrorCode.UNDECODABLE),
    "a list": (b"[1, 2]", ErrorCode.INVALID),
    "wrong type": (b'{"id": 7, "text": "What?"}', ErrorCode.INVALID),
    "missing id": (b'{"text": "What?"}', ErrorCode.INVALID),
    "empty text": (b'{"id": "x", "text": ""}', ErrorCode.INVALID),
    "blank text": (b'{"id": "x", "text": " \\n"}', ErrorCode.INVALID),
    "long text": (json.dumps({"id": "x", "text": "w" * 32_769}).encode(), ErrorCode.TOO_LARGE),
    "near the record limit": (
        json.dumps({"id": "x", "text": "w" * (RECORD_MAX_BYTES - 2000)}).encode(),
        ErrorCode.TOO_LARGE,
    ),
    "deep": (
        b'{"id": "x", "text": "W?", "metadata": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
        ErrorCode.UNDECODABLE,
    ),
}


async def test_each_poison_record_has_one_failed_answer_and_one_dead_letter(
    kafka_settings: Kafka, topics: Topics
) -> None:
    headers = [("trace", b"\x00\xff"), ("trace", b"again"), ("correlation_id", b"\xfe\xff")]
    settings = settings_for(kafka_settings)
    pipeline = ScriptedPipeline()
    sent: dict[str, str] = {}
    async with running_engine(settings, pipeline), producing(kafka_settings) as producer:
        for name, (value, _) in POISON.items():
            key = name.encode()
            for neighbour in ("before", "after"):
                await producer.send_and_wait(
                    topics.questions, question(f"{neighbour} {name}"), key=key, partition=0
                )
                if neighbour == "before":
                    at = await producer.send_and_wait(
                        topics.questions, value, key=key, partition=0, headers=headers
                    )
                    sent[f"{topics.questions}/0/{at.offset}"] = name
        count = len(POISON)
        answers = [
            decode_answer(record.value)
            for record in await read_topic(kafka_settings, topics.answers, 3 * count)
        ]
        letters = await read_topic(kafka_settings, topics.dead_letters, count)
    assert sorted(answer.source.offset for answer in answers) == list(range(3 * count))
    assert sum(answer.status == "answered" for answer in answers) == 2 * count
    failed = {sent[f"{a.source.topic}/0/{a.source.offset}"]: a for a in answers if a.status == "failed"}
    assert {name: answer.error.code for name, answer in failed.items() if answer.error} == {
        name: code for name, (_, code) in POISON.items()
    }
    assert failed["null"].question_id == next(place for place, name in sent.items() if name == "null")
    assert failed["wrong type"].question_id.startswith(f"{topics.questions}/0/")
    assert failed["empty text"].question_id == "x"
    for letter in letters:
        name = letter.key.decode()
        assert letter.value == POISON[name][0], name
        assert list(letter.headers[:3]) == headers
        found = headers_of(letter)
        assert sent[f"{topics.questions}/0/{int(found['__connect.errors.offset'])}"] == name
        assert found["qa.dlq.consumer-group"] == settings.worker.group_id.encode()
        assert found["qa.dlq.disposition"].decode() == POISON[name][1]
    assert await committed_offsets(settings) == {0: 3 * count}


async def test_a_record_with_neither_key_nor_value_is_a_dead_letter_too(
    kafka_settings: Kafka, topics: Topics
) -> None:
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline()):
        async with producing(kafka_settings) as producer:
            batch = producer.create_batch()
            batch.append(key=None, value=None, timestamp=None, headers=[])
            await (await producer.send_batch(batch, topics.questions, partition=2))
        [letter] = await read_topic(kafka_settings, topics.dead_letters, 1)
        [answer] = await read_topic(kafka_settings, topics.answers, 1)
    assert (letter.key, letter.value) == (None, None)
    assert decode_answer(answer.value).id == f"{topics.questions}/2/0"


async def test_a_header_whose_name_is_not_utf8_costs_its_own_record(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    async with running_engine(settings, ScriptedPipeline()):
        async with producing(kafka_settings) as producer:
            batch = SpoiledBatch(100_000, 0)
            for name in ("before", "bad", "after"):
                headers = [("correlation_id", b"c1"), (SPOIL if name == "bad" else "fine", b"x")]
                batch.append(key=b"k", value=question(name), timestamp=None, headers=headers)
            batch.close()
            await (await producer.send_batch(batch, topics.questions, partition=0))
        answers = await read_topic(kafka_settings, topics.answers, 3)
        [letter] = await read_topic(kafka_settings, topics.dead_letters, 1)
    found = [decode_answer(record.value) for record in answers]
    assert [(a.id, a.status) for a in found] == [
        ("before", "answered"),
        ("bad", "failed"),
        ("after", "answered"),
    ]
    assert found[1].error is not None
    assert found[1].error.code is ErrorCode.UNDECODABLE
    assert letter.value == question("bad")
    assert letter.headers[0] == ("correlation_id", b"c1")
    assert headers_of(letter)["qa.dlq.disposition"] == b"headers_lost"
    assert await committed_offsets(settings) == {0: 3}


@pytest.mark.parametrize("limit", ["ours", "the broker's"])
async def test_an_answer_too_large_becomes_an_explicit_failure(kafka_settings: Kafka, limit: str) -> None:
    allowed = 20_000 if limit == "the broker's" else OUTCOME_MAX_BYTES
    topics = await topics_where(kafka_settings, f"{kafka_settings.topic_prefix}answers", allowed)
    size = 30_000 if limit == "the broker's" else 3_000_000

    async def script(asked: Any) -> Any:
        return answer_to(asked, text="x" * size if asked.question.id == "big" else "small")

    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(script)):
        async with producing(kafka_settings) as producer:
            for name in ("before", "big", "after"):
                await producer.send(
                    topics.questions, question(name, metadata={"m": 1}), key=name.encode(), partition=0
                )
        answers = await read_topic(kafka_settings, topics.answers, 3)
        [letter] = await read_topic(kafka_settings, topics.dead_letters, 1)
    found = {answer.id: answer for answer in (decode_answer(record.value) for record in answers)}
    assert found["before"].text == found["after"].text == "small"
    error = found["big"].error
    assert error is not None
    assert error.code is ErrorCode.TOO_LARGE
    assert found["big"].metadata == {"m": 1}
    assert letter.key == b"big"


async def test_a_dead_letter_too_large_for_its_topic_points_to_the_record(
    kafka_settings: Kafka,
) -> None:
    topics = await topics_where(kafka_settings, f"{kafka_settings.topic_prefix}questions.dlq", 50_000)
    value = json.dumps({"id": "x", "text": "w" * 100_000}).encode()
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline()):
        async with producing(kafka_settings) as producer:
            await producer.send_and_wait(topics.questions, value, key=b"k", partition=1)
            await producer.send_and_wait(topics.questions, question("after"), key=b"k", partition=1)
        [letter] = await read_topic(kafka_settings, topics.dead_letters, 1)
        answers = await read_topic(kafka_settings, topics.answers, 2)
    assert headers_of(letter)["qa.dlq.disposition"] == b"truncated"
    assert headers_of(letter)["__connect.errors.offset"] == b"0"
    assert value.startswith(letter.value)
    assert len(letter.value) < len(value)
    assert [decode_answer(record.value).id for record in answers] == ["x", "after"]


async def topics_where(kafka: Kafka, topic: str, max_message_bytes: int) -> Topics:
    """All topics, one of them with a limit of its own from its creation: changed later, it lags."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        configs = {"max.message.bytes": str(max_message_bytes)}
        await admin.create_topics([NewTopic(topic, kafka.partitions, 1, topic_configs=configs)])
    finally:
        await admin.close()
    await end_offsets(kafka, topic)  # returns once the topic can be used
    await acreate_topics(kafka)
    return Topics(kafka.topic_prefix)


async def test_a_dead_letter_that_cannot_be_written_pauses_its_partition_and_skips_nothing(
    kafka_settings: Kafka, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.publishing.publisher.LETTER_S", 0.5)
    admin = AIOKafkaAdminClient(**client_options(kafka_settings))
    await admin.start()
    try:
        async with (
            running_engine(settings_for(kafka_settings), ScriptedPipeline()) as engine,
            producing(kafka_settings) as producer,
        ):

            async def ask(name: str, partition: int, value: bytes | None = None) -> None:
                value = question(name) if value is None else value
                await producer.send_and_wait(topics.questions, value, key=name.encode(), partition=partition)

            await ask("first", 0)
            await read_topic(kafka_settings, topics.answers, 1)
            await admin.delete_topics([topics.dead_letters])
            async with asyncio.timeout(30):
                while topics.dead_letters in await admin.list_topics():  # noqa: ASYNC110 - a broker sends no event
                    await asyncio.sleep(0.02)
            await ask("poison", 0, b"[]")
            await eventually(lambda: engine.consumer.paused, 20, "the pause")
            for number in range(3):
                await ask(f"other{number}", 1)
                await ask(f"behind{number}", 0)
            answers = await read_topic(kafka_settings, topics.answers, 4)
            assert {decode_answer(record.value).id for record in answers} == {
                "first",
                *(f"other{number}" for number in range(3)),
            }
            state = engine.state()["partitions"]
            assert (
                f"{topics.questions}/0/1 cannot be written to {topics.dead_letters}" in state["0"]["paused"]
            )
            assert state["1"]["paused"] == ""
            assert state["0"]["commit_point"] == 1
            await acreate_topics(kafka_settings)
            answers = await read_topic(kafka_settings, topics.answers, 8)
            assert len({decode_answer(record.value).id for record in answers}) == 8
            assert engine.consumer.paused == 0
            assert len(await read_topic(kafka_settings, topics.dead_letters, 1)) == 1
    finally:
        await admin.close()
