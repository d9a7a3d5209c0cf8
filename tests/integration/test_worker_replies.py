"""Replies on `answers.replies`: each on the partition that its question names, after its deltas."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient

from agents.pipeline import Answered, Asked
from schemas.codec import decode_answer, decode_delta
from schemas.headers import is_delta
from schemas.topics import Topics
from streams.kafka.options import client_options
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook
from tests.support.engine import (
    ScriptedPipeline,
    answer_to,
    end_offsets,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)

WORDS = ("one ", "two ", "three")


async def speak(asked: Asked) -> Answered:
    if asked.on_delta:
        for word in WORDS:
            asked.on_delta(word)
            await asyncio.sleep(0)
    return answer_to(asked)


async def test_deltas_and_then_the_answer_come_on_the_partition_that_is_named(
    kafka_settings: Kafka, topics: Topics
) -> None:
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(speak)):
        async with producing(kafka_settings) as producer:
            for number in range(8):
                headers = [
                    ("reply_to", topics.replies.encode()),
                    ("reply_partition", b"%d" % (number % 4)),
                    ("reply_deltas", b"true"),
                ]
                value = question(f"q{number}", stream=True)
                await producer.send_and_wait(topics.questions, value, key=b"%d" % number, headers=headers)
        records = await read_topic(kafka_settings, topics.replies, 8 * 5)
        answers = await read_topic(kafka_settings, topics.answers, 8)
    assert sum((await end_offsets(kafka_settings, topics.deltas)).values()) == 0, "not there, too"
    whole = {decode_answer(record.value).id: record for record in answers}
    for number in range(8):
        mine = [
            record
            for record in records
            if (decode_delta if is_delta(record.headers) else decode_answer)(record.value).question_id
            == f"q{number}"
        ]
        assert {record.partition for record in mine} == {number % 4}
        *deltas, answer = sorted(mine, key=lambda record: record.offset)
        assert [decode_delta(record.value).text for record in deltas] == [*WORDS, ""]
        assert decode_delta(deltas[-1].value).done
        assert (answer.value, answer.headers) == (whole[f"q{number}"].value, whole[f"q{number}"].headers)


class Refusals(Hook):
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def reply_refused(self, topic: str, reason: str) -> None:
        self.told.append((topic, reason))


async def test_a_partition_that_is_not_there_gets_no_reply_and_is_told(
    kafka_settings: Kafka, topics: Topics
) -> None:
    hook = Refusals()
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(speak), hook):
        async with producing(kafka_settings) as producer:
            for number, partition in enumerate((b"3", b"4", b"-1", b"", b"x")):
                headers = [
                    ("reply_to", topics.replies.encode()),
                    ("reply_partition", partition),
                    ("reply_deltas", b"true"),
                ]
                value = question(f"q{number}", stream=True)
                await producer.send_and_wait(topics.questions, value, key=b"k", headers=headers)
        answers = await read_topic(kafka_settings, topics.answers, 5)
        replies = await read_topic(kafka_settings, topics.replies, 5)
        await read_topic(kafka_settings, topics.deltas, 4 * 4)
    assert {record.partition for record in replies} == {3}
    told = {decode_answer(record.value).id: decode_answer(record.value).warnings for record in answers}
    assert told.pop("q0") == ()
    assert [[warning.partition(":")[0] for warning in warnings] for warnings in told.values()] == [
        ["unusable_reply_partition"]
    ] * 4
    assert hook.told == [(topics.replies, "the question names a partition that the topic does not have")] * 4


async def test_without_the_topic_questions_are_answered_all_the_same(
    kafka_settings: Kafka, topics: Topics
) -> None:
    admin = AIOKafkaAdminClient(**client_options(kafka_settings))
    await admin.start()
    try:
        await admin.delete_topics([topics.replies])
    finally:
        await admin.close()
    kafka = kafka_settings
    async with running_engine(settings_for(kafka), ScriptedPipeline(speak)), producing(kafka) as producer:
        headers = [("reply_to", topics.replies.encode()), ("reply_partition", b"1")]
        for number in range(5):
            await producer.send_and_wait(topics.questions, question(f"q{number}"), key=b"k", headers=headers)
        answers = await asyncio.wait_for(read_topic(kafka, topics.answers, 5), 20)
    assert [decode_answer(record.value).id for record in answers] == [f"q{n}" for n in range(5)]
