"""Questions that their askers call back, on a real broker, up to the model's connection."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.pipeline import Answered, Asked
from schemas.answer import Answer, Source
from schemas.codec import decode_answer, decode_cancel, encode
from schemas.control import Cancel
from schemas.errors import ErrorCode
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.answerer import build_answerer
from streams.client.asking import AskClient
from streams.settings.model import Kafka, Model, Settings
from streams.telemetry.hook import Hook
from tests.integration.test_worker_process import WorkerProgram
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
from tests.support.model_server import ModelServer, Reply
from tests.support.system import eventually

pytestmark = pytest.mark.usefixtures("topics")
LIMIT_S = 10.0
HANGS = Reply(delay_s=600.0)


@asynccontextmanager
async def asking(kafka: Kafka) -> AsyncIterator["Asker"]:
    async with producing(kafka) as producer:
        yield Asker(producer, Topics(kafka.topic_prefix))


class Asker:
    """Writes questions, each of a conversation of its own, and cancels."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics) -> None:
        self.producer = producer
        self.topics = topics

    async def ask(self, identifier: str, conversation: str = "", partition: int | None = None) -> Source:
        conversation = conversation or identifier
        value = question(identifier, conversation_id=conversation)
        written = await self.producer.send_and_wait(
            self.topics.questions, value, key=conversation.encode(), partition=partition
        )
        return Source(written.topic, written.partition, written.offset)

    async def cancel(
        self, source: Source, conversation: str, *, tenant: str = "default", partition: int | None = None
    ) -> float:
        """Return the time before it was sent."""
        began = time.time()
        value = encode(Cancel(type="cancel", source=source, tenant=tenant))
        await self.tell(value, conversation.encode(), source.partition if partition is None else partition)
        return began

    async def tell(self, value: bytes | None, key: bytes | None, partition: int) -> None:
        await self.producer.send_and_wait(self.topics.control, value, key=key, partition=partition)


async def outcomes(kafka: Kafka, count: int) -> dict[str, Answer]:
    """All outcomes, once there are so many; each question has one."""
    topics = Topics(kafka.topic_prefix)
    records = await read_topic(kafka, topics.answers, count)
    answers = [decode_answer(record.value) for record in records]
    assert len({answer.source for answer in answers}) == len(answers) == count
    return {answer.id: answer for answer in answers}


def cancelled(answers: Collection[Answer]) -> set[str]:
    return {answer.id for answer in answers if answer.error and answer.error.code is ErrorCode.CANCELLED}


async def test_a_cancel_closes_the_models_connection(kafka_settings: Kafka, topics: Topics) -> None:
    count, began = 100, {}
    async with ModelServer(HANGS) as server, asking(kafka_settings) as asker:
        settings = settings_for(kafka_settings)
        answerer = await asyncio.to_thread(
            build_answerer, Settings(model=Model(base_url=server.base_url)), {}, Hook()
        )
        try:
            async with running_engine(settings, answerer.pipeline) as engine:
                sources = {f"q{n}": await asker.ask(f"q{n}") for n in range(count)}
                kept = {f"k{n}": await asker.ask(f"k{n}") for n in range(5)}
                await eventually(lambda: len(server.requests) == count + 5, 30, "the model has all")
                for identifier, source in sources.items():
                    began[identifier] = await asker.cancel(source, identifier)
                await eventually(lambda: server.lost >= count, LIMIT_S, "the connections are closed")
                found = await outcomes(kafka_settings, count)
                await eventually(
                    lambda: engine.consumer.in_flight == len(kept), LIMIT_S, "the slots are free"
                )
                assert server.lost == count, "the others go on"
        finally:
            await answerer.aclose()
    assert cancelled(found.values()) == set(sources)
    assert sum((await end_offsets(kafka_settings, topics.dead_letters)).values()) == 0
    closed = {unquote(one.headers["X-Request-Id"]).split("/")[0]: at for one, at in server.abandoned}
    took = sorted(closed[identifier] - at for identifier, at in began.items())
    print(f"cancel to closed connection: p50 {took[count // 2]:.3f} s, p95 {took[int(count * 0.95)]:.3f} s")
    assert took[int(count * 0.95)] < LIMIT_S


async def test_a_question_is_cancelled_before_it_is_polled(kafka_settings: Kafka, topics: Topics) -> None:
    pipeline = ScriptedPipeline()
    async with asking(kafka_settings) as asker:
        for number in range(50):
            source = await asker.ask(f"q{number}")
            if number % 2:
                await asker.cancel(source, f"q{number}")
    async with running_engine(settings_for(kafka_settings), pipeline) as engine:
        found = await outcomes(kafka_settings, 50)
        await eventually(lambda: engine.cancelling.kept == 0, LIMIT_S, "nothing is kept")
    assert cancelled(found.values()) == {f"q{number}" for number in range(1, 50, 2)}
    assert {asked.question.id for asked in pipeline.asked} == {f"q{number}" for number in range(0, 50, 2)}
    # Another worker has nothing left to do.
    async with running_engine(settings_for(kafka_settings), pipeline) as engine:
        await eventually(lambda: engine.consumer.joined, 30, "all is recovered")
        assert sum((await end_offsets(kafka_settings, topics.answers)).values()) == 50
    assert len(pipeline.asked) == 25


async def test_a_waiting_question_is_cancelled_at_once_and_in_its_order(kafka_settings: Kafka) -> None:
    free = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        await free.wait()
        return answer_to(asked)

    pipeline = ScriptedPipeline(script)
    settings = settings_for(kafka_settings, max_in_flight=1)
    async with asking(kafka_settings) as asker, running_engine(settings, pipeline):
        await asker.ask("a1", "a", 0)
        await eventually(lambda: pipeline.running == 1, 30, "the slot is taken")
        behind = await asker.ask("a2", "a", 0)
        await asker.ask("a3", "a", 0)
        alone = await asker.ask("b1", "b", 1)
        await asker.cancel(behind, "a")
        await asker.cancel(alone, "b")
        # Though no slot is free. The one of the conversation has to wait for the answer before it.
        assert cancelled((await outcomes(kafka_settings, 1)).values()) == {"b1"}
        free.set()
        found = await outcomes(kafka_settings, 4)
    assert [name for name in found if name != "b1"] == ["a1", "a2", "a3"]
    assert cancelled(found.values()) == {"a2", "b1"}
    assert [asked.question.id for asked in pipeline.asked] == ["a1", "a3"]


async def test_records_of_strangers_and_other_tenants_cancel_nothing(kafka_settings: Kafka) -> None:
    free = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        await free.wait()
        return answer_to(asked)

    guesses = 1_000
    async with (
        asking(kafka_settings) as asker,
        running_engine(settings_for(kafka_settings), ScriptedPipeline(script)) as engine,
    ):
        ours = await asker.ask("ours", "c", 0)
        marked = await asker.ask("marked", "m", 0)
        late = await asker.ask("elsewhere", "e", 1)
        for value in (None, b"", b"\xff", b"[]", b'{"type":"forget"}', b"{" * 100_000, b'{"type":"cancel"}'):
            await asker.tell(value, b"c", 0)
        for number in range(guesses):
            source = Source(ours.topic, 0, number)
            guess = encode(Cancel(type="cancel", source=source, tenant="other"))
            await asker.producer.send(asker.topics.control, guess, key=b"c", partition=0)
        await asker.cancel(late, "e", partition=0)
        await asker.cancel(ours, "c", partition=1)
        await asker.cancel(marked, "m")
        # It came last on its partition: all the others have been read.
        assert cancelled((await outcomes(kafka_settings, 1)).values()) == {"marked"}
        await eventually(lambda: engine.cancelling.ignored("misplaced") == 2, LIMIT_S, "both were read")
        free.set()
        found = await outcomes(kafka_settings, 3)
        assert engine.cancelling.ignored("unreadable") == 7
        assert engine.cancelling.kept <= guesses
    assert cancelled(found.values()) == {"marked"}
    assert found["ours"].status == found["elsewhere"].status == "answered"


async def test_a_cancel_after_the_outcome_changes_nothing(kafka_settings: Kafka, topics: Topics) -> None:
    async with (
        asking(kafka_settings) as asker,
        running_engine(settings_for(kafka_settings), ScriptedPipeline()) as engine,
    ):
        source = await asker.ask("q", "q", 0)
        await outcomes(kafka_settings, 1)
        await eventually(lambda: engine.consumer.in_flight == 0, LIMIT_S, "it is done")
        await asker.cancel(source, "q")
        await eventually(lambda: engine.cancelling.ignored("late") == 1, LIMIT_S, "the cancel is read")
        await asker.ask("r", "q", 0)
        found = await outcomes(kafka_settings, 2)
    assert cancelled(found.values()) == set()


async def test_kills_before_and_after_the_outcome(
    kafka_settings: Kafka, topics: Topics, tmp_path: Path
) -> None:
    """`kill -9`: what `answers` and the topic say is all that the next worker knows."""
    programs: list[WorkerProgram] = []

    async def start(server: ModelServer) -> WorkerProgram:
        log = tmp_path / f"{len(programs)}.log"
        programs.append(WorkerProgram(kafka_settings, log, KOTAE_MODEL__BASE_URL=server.base_url))
        await programs[-1].ready()
        return programs[-1]

    try:
        async with ModelServer(HANGS) as server, asking(kafka_settings) as asker:
            first = await start(server)
            after, before = await asker.ask("after"), await asker.ask("before")
            await eventually(lambda: len(server.requests) == 2, 30, "both run")
            await asker.cancel(after, "after")
            assert cancelled((await outcomes(kafka_settings, 1)).values()) == {"after"}
            await first.kill()
            await asker.cancel(before, "before")
            await start(server)
            found = await outcomes(kafka_settings, 2)
            asked = len(server.requests)
            await asker.ask("next")
            await eventually(lambda: len(server.requests) == asked + 1, 30, "the next one runs")
    finally:
        for program in programs:
            await program.kill()
    assert cancelled(found.values()) == {"after", "before"}
    assert asked == 2, "no model call after the cancel"
    assert sum((await end_offsets(kafka_settings, topics.answers)).values()) == 2


async def test_without_the_topic_a_worker_answers_and_says_so_once(
    kafka_settings: Kafka, topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topics.control])
        while any(topic["topic"] == topics.control for topic in await admin.describe_topics()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
    caplog.set_level(logging.WARNING)
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline()) as engine:
        async with asking(kafka_settings) as asker:
            for number in range(6):
                await asker.ask(f"q{number}")
        found = await outcomes(kafka_settings, 6)
        assert topics.control in engine.state()["cancel"]["problem"]
    assert {answer.status for answer in found.values()} == {"answered"}
    assert sum("kotae topics create" in record.getMessage() for record in caplog.records) == 1


async def test_a_client_cancels_by_a_call_and_by_going_away(kafka_settings: Kafka, topics: Topics) -> None:
    free = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        if asked.question.id != "kept":
            await free.wait()
        return answer_to(asked)

    pipeline = ScriptedPipeline(script)
    async with (
        running_engine(settings_for(kafka_settings), pipeline),
        AskClient(kafka_settings, streaming=False) as client,
    ):
        asking = [
            asyncio.create_task(client.aask(Question(id=name, text="What now?"))) for name in ("call", "gone")
        ]
        await eventually(lambda: pipeline.running == 2, 30, "both run")
        assert client.cancel("call")
        assert not client.cancel("unknown")
        asking[1].cancel()
        answer = await asyncio.wait_for(asking[0], LIMIT_S)
        assert answer.error is not None
        assert answer.error.code is ErrorCode.CANCELLED
        assert (await client.aask(Question(id="kept", text="What now?"))).status == "answered"
        # One that nobody waits for even before the broker has it.
        early = asyncio.create_task(client.aask(Question(id="early", text="What now?")))
        await asyncio.sleep(0)
        early.cancel()
        found = await outcomes(kafka_settings, 4)
    assert cancelled(found.values()) == {"call", "gone", "early"}
    records = await read_topic(kafka_settings, topics.control, 3)
    assert sorted(decode_cancel(record.value).reason for record in records) == [
        "disconnect",
        "disconnect",
        "request",
    ]
