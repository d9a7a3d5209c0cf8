"""`kotae dlq` on a real broker: lists and shows failed questions, and sends each back at most three times."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
import orjson
import pytest

from agents.pipeline import Answered, Asked
from schemas.answer import AnswerError, Source
from schemas.codec import decode_answer
from schemas.errors import ErrorCode
from schemas.headers import DeadLetter, Header, dead_letter_headers
from schemas.topics import Topics
from streams.cli.main import run
from streams.operations.redrive import REDRIVES_MAX
from streams.settings.model import Kafka
from tests.support.engine import (
    ScriptedPipeline,
    answer_to,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)

Command = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def command(
    kafka_settings: Kafka, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("KOTAE_KAFKA__BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KOTAE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)

    async def call(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(run, ["dlq", *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return call


async def test_a_failed_question_is_sent_back_until_it_is_answered_or_parked(
    kafka_settings: Kafka, topics: Topics, command: Command
) -> None:
    broken = {"stays broken", "heals"}

    async def script(asked: Asked) -> Answered:
        answered = answer_to(asked)
        if asked.question.id not in broken:
            return answered
        error = AnswerError(ErrorCode.MODEL_UNAVAILABLE, "generate", "the model is down")
        return msgspec.structs.replace(
            answered, answer=msgspec.structs.replace(answered.answer, status="failed", error=error)
        )

    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(script)):
        async with producing(kafka_settings) as producer:
            for identifier in ("stays broken", "heals", "sound"):
                await producer.send(topics.questions, question(identifier), key=b"c", partition=1)
        await read_topic(kafka_settings, topics.answers, 3)
        code, out = await command("list", "--json")
        assert code == 0, out
        assert [(one["question_id"], one["redrive"]) for one in orjson.loads(out)] == [
            ("stays broken", "redrive"),
            ("heals", "redrive"),
        ]
        position = orjson.loads(out)[0]["position"]
        code, out = await command("show", position)
        assert "__connect.errors.exception.message: the model is down" in out
        broken.discard("heals")
        expected = 3
        for turn in range(1, REDRIVES_MAX + 1):
            code, out = await command("redrive", "--all", "--rate", "1000")
            assert f"({turn} of {REDRIVES_MAX})" in out
            expected += 2 if turn == 1 else 1
            await read_topic(kafka_settings, topics.answers, expected)
        code, out = await command("redrive", "--all")
        assert code == 0
        assert "sent back (" not in out
        code, out = await command("list")
        assert "[parked]" in out
        assert "[answered]" not in out
        assert "1 dead letter; 4 not shown" in out
        code, out = await command("list", "--all")
        assert out.count("[superseded]") == REDRIVES_MAX
        assert "[answered]" in out
        code, out = await command("list", "--state", "answered", "--json")
        assert [one["question_id"] for one in orjson.loads(out)] == ["heals"]
    answers = [
        decode_answer(record.value) for record in await read_topic(kafka_settings, topics.answers, expected)
    ]
    assert [(one.question_id, one.status) for one in answers if one.question_id == "heals"] == [
        ("heals", "failed"),
        ("heals", "answered"),
    ]
    assert sum(one.question_id == "stays broken" for one in answers) == 1 + REDRIVES_MAX


def failed_at(topic: str, partition: int, offset: int) -> list[Header]:
    """The headers of the dead letter of a question whose model was down."""
    failed = DeadLetter(
        source=Source(topic, partition, offset),
        stage="generate",
        exception="TransientError",
        message="down",
        timestamp=datetime.now(UTC),
        consumer_group="kotae",
        attempts=1,
        disposition="model_unavailable",
    )
    return dead_letter_headers([], failed)


async def test_a_pending_question_is_not_sent_back_again_with_any_clock(
    kafka_settings: Kafka, topics: Topics, command: Command
) -> None:
    ahead_ms = int(time.time() * 1000) + 3_000_000
    async with producing(kafka_settings) as producer:
        asked = [
            await producer.send_and_wait(topics.questions, question(name), key=b"c", partition=1)
            for name in ("first", "second")
        ]
        for record, name in zip(asked, ("first", "second"), strict=True):
            headers = failed_at(record.topic, record.partition, record.offset)
            await producer.send_and_wait(
                topics.dead_letters, question(name), headers=headers, timestamp_ms=ahead_ms
            )
    code, out = await command("redrive", "--all", "--rate", "1000")
    assert (code, out.count("sent back (1 of")) == (0, 2)
    code, out = await command("redrive", "--all", "--rate", "1000")
    assert (code, out.count("sent back (")) == (0, 0)
    assert len(await read_topic(kafka_settings, topics.questions, 4)) == 4


@pytest.mark.parametrize("others", [1, 8])
async def test_a_redriven_question_is_found_on_a_new_topic_that_has_grown_again(
    kafka_settings: Kafka, topics: Topics, command: Command, others: int
) -> None:
    async with producing(kafka_settings) as producer:
        for offset, name in ((3, "first"), (4, "second")):
            headers = failed_at(topics.questions, 1, offset)
            await producer.send_and_wait(topics.dead_letters, question(name), headers=headers)
        code, out = await command("redrive", "--all", "--rate", "1000")
        assert (code, out.count("sent back (1 of")) == (0, 2)
        for number in range(others):
            await producer.send_and_wait(topics.questions, question(f"new {number}"), partition=1)
    code, out = await command("redrive", "--all", "--rate", "1000")
    assert (code, out.count("sent back (")) == (0, 0), out


async def test_a_record_that_is_at_fault_goes_back_by_force_alone(
    kafka_settings: Kafka, topics: Topics, command: Command
) -> None:
    too_long = orjson.dumps({"id": "long", "text": "x" * 40_000})
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(always_answers)):
        async with producing(kafka_settings) as producer:
            for value in (b"{", b'{"id": "no text", "tenant": "acme"}', too_long):
                await producer.send_and_wait(topics.questions, value, key=b"c", partition=1)
            null = producer.create_batch()  # the only way to send a record without key and value
            null.append(key=None, value=None, timestamp=None)
            await (await producer.send_batch(null, topics.questions, partition=1))
        await read_topic(kafka_settings, topics.answers, 4)
        code, out = await command("list", "--json")
        assert [(one["code"], one["state"]) for one in orjson.loads(out)] == [
            ("undecodable", "unfit"),
            ("invalid", "unfit"),
            ("too_large", "unfit"),
            ("undecodable", "unfit"),
        ], out
        code, out = await command("list", "--code", "invalid", "--code", "too_large", "--tenant", "acme")
        assert "no text" in out
        assert "1 dead letter; 3 not shown" in out
        code, out = await command("redrive", "--all")
        assert (code, "0 of 4 dead letters sent back" in out) == (0, True), out
        assert "--force" in out
        code, out = await command("redrive", "--all", "--force", "--dry-run")
        assert "4 of 4 dead letters would be sent back" in out
        code, out = await command("redrive", "--all", "--force", "--rate", "1000")
        assert "4 of 4 dead letters sent back" in out
        await read_topic(kafka_settings, topics.answers, 8)
        code, out = await command("list", "--json")
        assert [one["redrives"] for one in orjson.loads(out)] == [1] * 4, "the same failure, one open letter"


async def always_answers(asked: Asked) -> Answered:
    return answer_to(asked)


async def test_letters_are_listed_by_the_time_of_their_writing(
    kafka_settings: Kafka, topics: Topics, command: Command
) -> None:
    now_ms = int(time.time() * 1000)
    async with producing(kafka_settings) as producer:
        await producer.send_and_wait(topics.questions, question("asked"), partition=1)
        for age_h in (72, 1):
            await producer.send_and_wait(
                topics.dead_letters,
                question(f"{age_h} hours ago"),
                headers=failed_at(topics.questions, 1, age_h),
                timestamp_ms=now_ms - age_h * 3_600_000,
            )
    _, out = await command("list", "--since", "2d")
    assert ("1 hours ago" in out, "72 hours ago" in out) == (True, False), out
    day = datetime.fromtimestamp(now_ms / 1000 - 2 * 86_400, UTC).isoformat()
    _, out = await command("list", "--until", day)
    assert ("1 hours ago" in out, "72 hours ago" in out) == (False, True), out
    code, out = await command("list", "--since", "yesterday")
    assert (code, "write 2026-11-30" in out) == (2, True)


def of_connect(topic: str, partition: int, offset: int) -> list[Header]:
    return [
        ("__connect.errors.topic", topic.encode()),
        ("__connect.errors.partition", b"%d" % partition),
        ("__connect.errors.offset", b"%d" % offset),
    ]


def of_spring(topic: str, partition: int, offset: int) -> list[Header]:
    return [
        ("kafka_dlt-original-topic", topic.encode()),
        ("kafka_dlt-original-partition", partition.to_bytes(4)),
        ("kafka_dlt-original-offset", offset.to_bytes(8)),
    ]


def of_a_share_group(topic: str, partition: int, offset: int) -> list[Header]:
    return [
        ("__dlq.errors.topic", topic.encode()),
        ("__dlq.errors.partition", b"%d" % partition),
        ("__dlq.errors.offset", b"%d" % offset),
        ("__dlq.errors.message", b"Offset delivery count exceeded the threshold."),
    ]


@pytest.mark.parametrize("headers_of", [of_connect, of_spring, of_a_share_group])
@pytest.mark.parametrize("copied", [False, True])
async def test_letters_of_other_programs_are_read_and_their_records_sent_back(
    kafka_settings: Kafka,
    topics: Topics,
    command: Command,
    headers_of: Callable[[str, int, int], list[Header]],
    copied: bool,
) -> None:
    async with producing(kafka_settings) as producer:
        await producer.send_and_wait(topics.questions, question("before"), partition=1)
        asked = await producer.send_and_wait(
            topics.questions, question("theirs"), key=b"c", partition=1, headers=[("correlation_id", b"7")]
        )
        await producer.send_and_wait(topics.questions, question("after"), partition=1)
        for topic, offset in ((topics.questions, asked.offset), ("orders", 0), (topics.questions, 99)):
            await producer.send_and_wait(
                topics.dead_letters,
                question("theirs") if copied and topic != "orders" else None,
                partition=0,
                key=b"d",
                headers=headers_of(topic, 1, offset),
            )
    code, out = await command("list", "--all", "--json")
    assert code == 0, out
    found = {one["position"]: (one["question_id"], one["state"]) for one in orjson.loads(out)}
    if copied:  # the third is another letter of the same question: its latest
        expected = [("theirs", "superseded"), (None, "foreign"), ("theirs", "redrive")]
    else:
        expected = [("theirs", "redrive"), (None, "foreign"), (None, "damaged")]
    assert [found[f"0/{offset}"] for offset in range(3)] == expected
    code, out = await command("redrive", "--all", "--rate", "1000")
    assert "1 of 3 dead letters sent back" in out
    again = (await read_topic(kafka_settings, topics.questions, 4))[-1]
    assert (again.value, again.partition) == (question("theirs"), 1)
    if not copied:
        assert again.key == b"c"
        assert dict(again.headers)["correlation_id"] == b"7"
    code, out = await command("redrive", "--all", "--rate", "1000")
    assert "0 of 3 dead letters sent back" in out


async def test_a_missing_letter_is_a_usage_error(
    kafka_settings: Kafka, topics: Topics, command: Command
) -> None:
    code, out = await command("redrive", "7/7")
    assert code == 2
    assert "there is no dead letter 7/7" in out
    code, out = await command("redrive")
    assert code == 2
    assert "--all" in out
