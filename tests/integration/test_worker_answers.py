"""The engine on a real broker: its answers as an outside client sees them."""

import asyncio
import time
from collections import defaultdict
from statistics import median

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.pipeline import Answered, Asked
from schemas.answer import AnswerError
from schemas.codec import decode_answer, decode_delta, decode_trace
from schemas.errors import ErrorCode
from schemas.topics import Topics
from streams.kafka.options import client_options
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook
from tests.support.engine import (
    ScriptedPipeline,
    answer_to,
    end_offsets,
    headers_of,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)
from tests.support.kafka import configure_topic
from tests.support.system import eventually


async def test_a_question_is_answered_on_its_own_partition(kafka_settings: Kafka, topics: Topics) -> None:
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline()):
        async with producing(kafka_settings) as producer:
            for number in range(6):
                await producer.send_and_wait(
                    topics.questions,
                    question(f"q{number}", conversation_id="c"),
                    key=b"c",
                    partition=number % 3,
                    headers=[("correlation_id", b"\x00\xff-%d" % number)],
                )
        answers = await read_topic(kafka_settings, topics.answers, 6)
        traces = await read_topic(kafka_settings, topics.events, 6)
    for record in answers:
        answer = decode_answer(record.value)
        number = int(answer.id[1:])
        assert answer.status == "answered"
        assert record.key == b"c"
        assert record.partition == number % 3 == answer.source.partition
        assert headers_of(record)["correlation_id"] == b"\x00\xff-%d" % number
    assert {decode_trace(record.value).question_id for record in traces} == {f"q{n}" for n in range(6)}


@pytest.mark.parametrize("keyed", [True, False])
async def test_conversations_keep_their_order_and_do_not_wait_for_each_other(
    kafka_settings: Kafka, topics: Topics, keyed: bool
) -> None:
    blocked = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        if asked.question.conversation_id == "slow":
            await blocked.wait()
        else:
            # Later questions of a conversation are quicker: only order keeps them behind.
            await asyncio.sleep(0.02 if asked.question.id.endswith("-0") else 0)
        return answer_to(asked)

    pipeline = ScriptedPipeline(script)
    async with running_engine(settings_for(kafka_settings), pipeline), producing(kafka_settings) as producer:
        for number in range(4):
            for conversation in ("slow", "a", "b"):
                await producer.send_and_wait(
                    topics.questions,
                    question(f"{conversation}-{number}", conversation_id=conversation),
                    key=conversation.encode() if keyed else None,
                    partition=1,
                )
        quick = await read_topic(kafka_settings, topics.answers, 8)
        assert sum(asked.question.conversation_id == "slow" for asked in pipeline.asked) == 1
        blocked.set()
        everything = await read_topic(kafka_settings, topics.answers, 12)
    assert not any(record.key == b"slow" for record in quick)
    order = defaultdict(list)
    for record in everything:
        order[record.key].append(decode_answer(record.value).id[-1])
    assert order == {b"slow": list("0123"), b"a": list("0123"), b"b": list("0123")}


async def test_no_more_than_max_in_flight_run_and_freed_slots_are_taken(
    kafka_settings: Kafka, topics: Topics
) -> None:
    async def script(asked: Asked) -> Answered:
        await asyncio.sleep(0.01)
        return answer_to(asked)

    pipeline = ScriptedPipeline(script)
    async with producing(kafka_settings) as producer:
        for number in range(400):
            await producer.send(topics.questions, question(f"q{number}"), key=b"%d" % number)
    async with running_engine(settings_for(kafka_settings, max_in_flight=7), pipeline):
        await read_topic(kafka_settings, topics.answers, 400)
    assert pipeline.most_running == 7
    assert len(pipeline.asked) == 400


async def test_an_idle_worker_starts_a_question_at_once(kafka_settings: Kafka, topics: Topics) -> None:
    seen: dict[str, float] = {}

    async def script(asked: Asked) -> Answered:
        seen[asked.question.id] = time.time()
        return answer_to(asked)

    waits, round_trips = [], []
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(script)) as engine:
        await eventually(lambda: engine.consumer.joined, 20, "partitions")
        async with producing(kafka_settings) as producer:
            for number in range(15):
                sent = time.time()
                await producer.send_and_wait(topics.questions, question(f"q{number}"), key=b"k%d" % number)
                acked = time.time()
                await eventually(lambda n=number: f"q{n}" in seen, 10, "the start")
                waits.append(seen[f"q{number}"] - acked)
                round_trips.append(acked - sent)
                assert seen[f"q{number}"] >= sent
    # A broken wake-up costs a poll's 100 ms; a busy machine holds up the broker's other answers, too.
    assert median(waits) < max(0.03, 2 * median(round_trips)), (waits, round_trips)


async def test_an_expired_question_is_shed_and_one_without_a_deadline_never_is(
    kafka_settings: Kafka, topics: Topics
) -> None:
    pipeline = ScriptedPipeline()
    long_ago = int((time.time() - 86_400) * 1000)
    cases = {
        "expired": [("ce_expirytime", b"2020-01-01T00:00:00Z")],
        "late": [("timeout_ms", b"5000")],
        "old": [],
        "in-time": [("ce_expirytime", b"2199-01-01T00:00:00Z")],
    }
    await configure_topic(kafka_settings, topics.questions, message_timestamp_type="CreateTime")
    async with producing(kafka_settings) as producer:
        for name, headers in cases.items():
            await producer.send_and_wait(
                topics.questions, question(name), key=name.encode(), headers=headers, timestamp_ms=long_ago
            )
    async with running_engine(settings_for(kafka_settings), pipeline):
        answers = await read_topic(kafka_settings, topics.answers, 4)
        letters = await read_topic(kafka_settings, topics.dead_letters, 2)
    found = {answer.id: answer for answer in (decode_answer(record.value) for record in answers)}
    for name in ("expired", "late"):
        error = found[name].error
        assert error is not None
        assert error.code is ErrorCode.EXPIRED_BEFORE_START
    assert found["old"].status == found["in-time"].status == "answered"
    assert {asked.question.id for asked in pipeline.asked} == {"old", "in-time"}
    assert {record.key for record in letters} == {b"expired", b"late"}
    assert all(headers_of(r)["qa.dlq.disposition"] == b"expired_before_start" for r in letters)


class Refusals(Hook):
    def __init__(self) -> None:
        self.topics: list[str] = []

    def reply_refused(self, topic: str, reason: str) -> None:
        self.topics.append(topic)


async def test_a_copy_goes_to_allowed_reply_topics_only(kafka_settings: Kafka, topics: Topics) -> None:
    allowed, forbidden = f"{topics.prefix}replies", f"{topics.prefix}other"
    admin = AIOKafkaAdminClient(**client_options(kafka_settings))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(allowed, 4, 1), NewTopic(forbidden, 4, 1)])
    finally:
        await admin.close()
    for topic in (allowed, forbidden):
        await end_offsets(kafka_settings, topic)  # returns once the topic can be used
    kafka = msgspec.structs.replace(
        kafka_settings, reply_topics=(allowed, f"{topics.prefix}missing", topics.dead_letters)
    )
    reply_to = [
        allowed,
        forbidden,
        topics.questions,
        topics.dead_letters,
        topics.answers,
        f"{topics.prefix}missing",
        "x" * 300,
    ]
    hook = Refusals()
    async with running_engine(settings_for(kafka), ScriptedPipeline(), hook), producing(kafka) as producer:
        for number, topic in enumerate(reply_to):
            headers = [("reply_to", topic.encode()), ("correlation_id", b"c%d" % number)]
            await producer.send_and_wait(
                topics.questions, question(f"q{number}"), key=b"k%d" % number, headers=headers
            )
        spring = [
            ("kafka_replyTopic", allowed.encode()),
            ("kafka_replyPartition", b"\0\0\0\3"),
            ("kafka_correlationId", b"\xff" * 16),
        ]
        await producer.send_and_wait(topics.questions, question("spring"), key=b"s", headers=spring)
        copies = await read_topic(kafka, allowed, 2)
        answers = await read_topic(kafka, topics.answers, len(reply_to) + 1)
    # `missing` may be made any moment, and 300 characters can name no topic.
    assert sorted(hook.topics) == sorted([forbidden, topics.questions, topics.dead_letters])
    by_id = {decode_answer(record.value).id: record for record in copies}
    assert set(by_id) == {"q0", "spring"}
    assert by_id["spring"].partition == 3
    assert headers_of(by_id["spring"])["kafka_correlationId"] == b"\xff" * 16
    original = next(record for record in answers if decode_answer(record.value).id == "q0")
    assert original.value == by_id["q0"].value
    assert original.headers == by_id["q0"].headers
    assert sum((await end_offsets(kafka, forbidden)).values()) == 0
    assert sum((await end_offsets(kafka, topics.dead_letters)).values()) == 0
    assert sum((await end_offsets(kafka, topics.questions)).values()) == len(reply_to) + 1
    assert len(answers) == len(reply_to) + 1


async def test_a_reply_topic_that_is_deleted_while_running_delays_no_answer(
    kafka_settings: Kafka, topics: Topics
) -> None:
    replies = f"{topics.prefix}replies"
    kafka = msgspec.structs.replace(kafka_settings, reply_topics=(replies,))
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(replies, 1, 1)])
        await end_offsets(kafka, replies)
        settings = settings_for(kafka, max_in_flight=1)
        async with running_engine(settings, ScriptedPipeline()), producing(kafka) as producer:

            async def ask(number: int) -> None:
                headers = [("reply_to", replies.encode())]
                await producer.send_and_wait(
                    topics.questions, question(f"q{number}"), key=b"k", headers=headers
                )

            await ask(0)
            await read_topic(kafka, replies, 1)
            await admin.delete_topics([replies])
            for number in range(1, 6):
                await ask(number)
            # Well within the 40 s for which the producer keeps what has no leader.
            answers = await asyncio.wait_for(read_topic(kafka, topics.answers, 6), 20)
    finally:
        await admin.close()
    assert [decode_answer(record.value).id for record in answers] == [f"q{n}" for n in range(6)]


async def test_a_streaming_answer_sends_its_pieces_in_order_and_says_when_it_is_done(
    kafka_settings: Kafka, topics: Topics
) -> None:
    async def script(asked: Asked) -> Answered:
        if asked.on_delta:
            for word in ("one ", "two ", "three"):
                asked.on_delta(word)
                await asyncio.sleep(0)
        return answer_to(asked, text="one two three")

    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(script)):
        async with producing(kafka_settings) as producer:
            await producer.send_and_wait(topics.questions, question("quiet"), key=b"q")
            await producer.send_and_wait(topics.questions, question("aloud", stream=True), key=b"a")
        records = await read_topic(kafka_settings, topics.deltas, 4)
    deltas = [decode_delta(record.value) for record in records]
    assert [delta.text for delta in deltas] == ["one ", "two ", "three", ""]
    assert [delta.sequence for delta in deltas] == [0, 1, 2, 3]
    assert [delta.done for delta in deltas] == [False, False, False, True]
    assert not any(delta.replaced for delta in deltas)
    assert {delta.question_id for delta in deltas} == {"aloud"}
    assert len({delta.epoch for delta in deltas}) == 1
    assert [headers_of(record)["ce_sequence"] for record in records] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_records_of_every_compression_codec_are_read(
    kafka_settings: Kafka, topics: Topics, codec: str | None
) -> None:
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline()):
        async with producing(kafka_settings, compression_type=codec, linger_ms=20) as producer:
            for number in range(50):
                await producer.send(topics.questions, question(f"q{number}"), key=b"%d" % number)
        answers = await read_topic(kafka_settings, topics.answers, 50)
    assert {decode_answer(record.value).id for record in answers} == {f"q{n}" for n in range(50)}


async def test_a_defect_and_a_failed_answer_have_their_dead_letter_first(
    kafka_settings: Kafka, topics: Topics
) -> None:
    async def script(asked: Asked) -> Answered:
        if asked.question.id == "defect":
            raise ZeroDivisionError("the secret of the tenant")
        if asked.question.id == "failed":
            error = AnswerError(ErrorCode.MODEL_UNAVAILABLE, "generate", "nobody there")
            return answer_to(asked, text="", status="failed", error=error)
        return answer_to(asked)

    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(script)):
        async with producing(kafka_settings) as producer:
            for name in ("fine", "defect", "failed", "fine too"):
                await producer.send_and_wait(topics.questions, question(name), key=name.encode())
        answers = await read_topic(kafka_settings, topics.answers, 4)
        letters = await read_topic(kafka_settings, topics.dead_letters, 2)
    found = {answer.id: answer for answer in (decode_answer(record.value) for record in answers)}
    assert found["fine"].status == found["fine too"].status == "answered"
    assert found["defect"].error == AnswerError(
        ErrorCode.INTERNAL,
        "pipeline",
        "a defect stopped the question (ZeroDivisionError); the worker's log has the details",
    )
    assert found["failed"].error == AnswerError(ErrorCode.MODEL_UNAVAILABLE, "generate", "nobody there")
    times = {record.key: record.timestamp for record in answers}
    for letter in letters:
        assert letter.timestamp <= times[letter.key]
        assert b"secret" not in b"".join(value for _, value in letter.headers)
