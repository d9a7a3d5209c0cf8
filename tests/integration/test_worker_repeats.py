"""Questions that are sent again, on a real broker: one result, one start of each tool, restarts included."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from msgspec import structs

from agents.graph import StageFailed
from agents.pipeline import Answered, Asked
from schemas.answer import Answer, Source, ToolCall, Usage
from schemas.codec import decode_answer, encode
from schemas.errors import ErrorCode
from schemas.fingerprint import digest_of
from schemas.headers import NO_HEADERS, answer_headers
from schemas.question import Question
from schemas.topics import Topics
from streams.settings.model import Kafka
from tests.integration.test_worker_journal import World, only_call
from tests.support.engine import (
    ScriptedPipeline,
    answer_to,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)
from tests.support.kafka import configure_topic
from tests.support.system import eventually

NO_MODEL = StageFailed("generate", ErrorCode.MODEL_UNAVAILABLE, "the model is down")


async def answers_in_order(kafka: Kafka, topics: Topics, count: int) -> list[Answer]:
    return [decode_answer(record.value) for record in await read_topic(kafka, topics.answers, count)]


async def ask(kafka: Kafka, *values: bytes, partition: int = 0) -> None:
    async with producing(kafka) as producer:
        for value in values:
            await producer.send_and_wait(
                Topics(kafka.topic_prefix).questions, value, key=b"c", partition=partition
            )


class Tickets:
    """A pipeline that opens a ticket each time it runs."""

    def __init__(self) -> None:
        self.opened = 0
        self.pipeline = ScriptedPipeline(self.script)

    async def script(self, asked: Asked) -> Answered:
        self.opened += 1
        await asyncio.sleep(0.05)
        call = ToolCall(id="a", name="open_ticket", arguments={}, status="ok", result={"ticket": self.opened})
        return answer_to(asked, f"Ticket {self.opened}.", tool_calls=(call,), usage=Usage(10, 5))


async def test_three_deliveries_of_one_event_open_one_ticket(kafka_settings: Kafka, topics: Topics) -> None:
    tickets = Tickets()
    async with running_engine(settings_for(kafka_settings), tickets.pipeline):
        await ask(kafka_settings, *[question("slack-1", metadata={"try": n}) for n in range(3)])
        first, *others = await answers_in_order(kafka_settings, topics, 3)
    assert tickets.opened == 1
    for number, other in enumerate(others, start=1):
        assert (other.text, other.status) == (first.text, "answered")
        assert other.source.offset == first.source.offset + number
        assert other.duplicate_of == first.source
        assert (other.usage, other.tool_calls[0].reused) == (Usage(), True)
        assert other.metadata == {"try": number}


async def test_a_repeat_after_a_restart_gets_the_first_result(kafka_settings: Kafka, topics: Topics) -> None:
    tickets = Tickets()
    settings = settings_for(kafka_settings)
    async with running_engine(settings, tickets.pipeline):
        await ask(kafka_settings, question("slack-1"), question("other"))
        await answers_in_order(kafka_settings, topics, 2)
    await ask(kafka_settings, question("slack-1"))
    async with running_engine(settings, tickets.pipeline):
        await answers_in_order(kafka_settings, topics, 3)
        # The partition has nothing left when it comes to this worker.
    async with running_engine(settings, tickets.pipeline):
        await ask(kafka_settings, question("slack-1"), question("other", tools=()))
        first, _, second, third, reused = await answers_in_order(kafka_settings, topics, 5)
    assert tickets.opened == 3
    assert second.duplicate_of == third.duplicate_of == first.source
    assert second.text == third.text == first.text
    assert reused.warnings[0].startswith("id_reused: ")


async def test_repeats_that_are_turned_off_run_again(kafka_settings: Kafka, topics: Topics) -> None:
    tickets = Tickets()
    settings = settings_for(kafka_settings)
    limits = structs.replace(settings.limits, deduplicate_s=0.0)
    settings = structs.replace(settings, limits=limits)
    async with running_engine(settings, tickets.pipeline):
        await ask(kafka_settings, question("q"), question("q"))
        answers = await answers_in_order(kafka_settings, topics, 2)
    assert tickets.opened == 2
    assert [answer.duplicate_of for answer in answers] == [None, None]


async def test_a_repeat_whose_first_answer_was_deleted_fails(kafka_settings: Kafka, topics: Topics) -> None:
    tickets = Tickets()
    async with running_engine(settings_for(kafka_settings, deadline_s=5.0), tickets.pipeline):
        await ask(kafka_settings, question("q"))
        await answers_in_order(kafka_settings, topics, 1)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(topics.answers, 0): RecordsToDelete(1)})
        finally:
            await admin.close()
        await ask(kafka_settings, question("q"))
        [answer] = await answers_in_order(kafka_settings, topics, 1)
    assert tickets.opened == 1
    assert answer.error is not None
    assert "cannot be read" in answer.error.message


async def test_a_worker_that_ends_after_a_failed_outcome_leaves_what_its_tools_began(
    kafka_settings: Kafka, topics: Topics
) -> None:
    """The model fails after the booking, the worker ends, and the question is sent again."""
    world = World(kafka_settings)

    async def no_model(*_: Any, **__: Any) -> Any:
        raise NO_MODEL

    generate, world.agenerate = world.agenerate, no_model  # type: ignore[method-assign]
    async with world.worker():
        await world.ask("a/b")
        assert (await world.answers(1))["a/b"].status == "failed"
    world.agenerate = generate  # type: ignore[method-assign]
    async with world.worker():
        await world.ask("a/b")
        answers = await answers_in_order(kafka_settings, topics, 2)
        await world.ask("a/b")
        answers = await answers_in_order(kafka_settings, topics, 3)
    assert world.booked == {"a/b": 1}
    assert world.asked == {"a/b": 1}
    assert [answer.status for answer in answers] == ["failed", "answered", "answered"]
    assert [only_call(answer).result for answer in answers[1:]] == ["booked for a/b"] * 2
    assert only_call(answers[1]).reused
    assert [answer.duplicate_of for answer in answers] == [None, None, answers[1].source]


async def test_one_that_fails_within_one_life_leaves_what_its_tools_began(
    kafka_settings: Kafka, topics: Topics
) -> None:
    world = World(kafka_settings)
    generate = world.agenerate
    fails = [True, True, False]

    async def sometimes(*arguments: Any, **more: Any) -> Any:
        if fails.pop(0):
            raise NO_MODEL
        return await generate(*arguments, **more)

    world.agenerate = sometimes  # type: ignore[method-assign]
    async with world.worker():
        await world.ask("q", "q", "q")
        answers = await answers_in_order(kafka_settings, topics, 3)
    assert world.booked == {"q": 1}
    assert [answer.status for answer in answers] == ["failed", "failed", "answered"]
    assert only_call(answers[2]).reused


MANY = 100_000
IN_S = 3.0
"""Of this process's processor time, because other tests have the machine too."""


async def test_a_hundred_thousand_results_are_read_back_in_three_seconds(
    kafka_settings: Kafka, topics: Topics
) -> None:
    asked = [Question(id=f"q{n}", text="What now?", conversation_id=f"c{n}") for n in range(1000)]
    async with AIOKafkaProducer(
        bootstrap_servers=kafka_settings.bootstrap_servers, linger_ms=20, max_batch_size=900_000
    ) as producer:
        number = 0
        while number < MANY:
            batch = producer.create_batch()
            while number < MANY:
                one = structs.replace(asked[number % 1000], id=f"q{number}")
                answer = answer_to(
                    Asked(one, Source(topics.questions, 0, number), 0.0), "An answer. " * 40
                ).answer
                headers = answer_headers(NO_HEADERS, answer, answer.created_at, digest_of(one))
                if batch.append(key=b"c", value=encode(answer), timestamp=None, headers=headers) is None:
                    break
                number += 1
            await producer.send_batch(batch, topics.answers, partition=0)
        await producer.flush()
    began, took_s = time.monotonic(), -time.process_time()
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline()) as engine:
        await eventually(lambda: engine.consumer.joined, 60, "the recovery")
        took_s += time.process_time()
        kept = len(engine.answering._repeating._repeats)
    print(f"{kept} results in {took_s:.2f} s, {time.monotonic() - began:.2f} s by the wall")
    assert kept == MANY
    assert took_s <= IN_S


@pytest.mark.parametrize("kind", ["CreateTime", "LogAppendTime"])
async def test_topics_with_the_times_of_producers_and_of_brokers_serve_alike(
    kafka_settings: Kafka, topics: Topics, kind: str
) -> None:
    for topic in (topics.questions, topics.answers, topics.journal):
        await configure_topic(kafka_settings, topic, message_timestamp_type=kind)
    settings, tickets = settings_for(kafka_settings), Tickets()
    headers = [("timeout_ms", b"20000")]
    late = int((time.time() - 3000) * 1000)

    async def send(identifier: str, timestamp_ms: int | None = None) -> None:
        async with producing(kafka_settings) as producer:
            await producer.send_and_wait(
                topics.questions,
                question(identifier),
                key=b"c",
                partition=0,
                headers=headers,
                timestamp_ms=timestamp_ms,
            )

    async with running_engine(settings, tickets.pipeline):
        await send("first")
        await answers_in_order(kafka_settings, topics, 1)
    async with running_engine(settings, tickets.pipeline):
        await send("first")
        await send("asked long ago", late)
        first, again, old = await answers_in_order(kafka_settings, topics, 3)
    assert (first.status, again.duplicate_of) == ("answered", first.source)
    # Only where the times are its producer's can a question be old when it comes.
    assert old.status == ("failed" if kind == "CreateTime" else "answered")
    assert tickets.opened == (1 if kind == "CreateTime" else 2)
