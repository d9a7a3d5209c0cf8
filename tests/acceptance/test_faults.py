"""The whole worker under faults: a dead or hung model, SIGTERM and SIGKILL under load."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.answer import Answer
from schemas.codec import decode_answer, encode
from schemas.question import Question
from schemas.topics import Topics
from streams.ingestion.sending import DocumentSender
from streams.local.knowledge import read_documents
from streams.settings.model import Kafka
from tests.acceptance.conftest import start_worker
from tests.support.engine import end_offsets, producing, read_topic
from tests.support.model_server import ModelServer, Recorded, Reply, text
from tests.support.stalls import watch_stalls
from tests.support.system import Program, environment, eventually, free_port

TEXT = "How long does the battery of the Heron Air 3 last?"
ANSWER = text("It lasts 14 months [1].")


class Stage:
    """Topics with knowledge, and workers on them."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka = kafka
        self.topics = Topics(kafka.topic_prefix)
        self._folder = folder
        self._workers: list[Program] = []

    async def prepare(self) -> None:
        async with DocumentSender(self.kafka) as sender:
            for document in await asyncio.to_thread(read_documents):
                await sender.send(document)

    async def worker(self, model_url: str, **settings: str) -> Program:
        env = environment(
            KOTAE_KAFKA__BOOTSTRAP_SERVERS=self.kafka.bootstrap_servers,
            KOTAE_KAFKA__TOPIC_PREFIX=self.kafka.topic_prefix,
            KOTAE_KAFKA__SESSION_TIMEOUT_S="6",
            KOTAE_WORKER__GROUP_ID=f"{self.kafka.topic_prefix}group",
            KOTAE_MODEL__BASE_URL=model_url,
            KOTAE_CACHE__TTL_S="0",  # one text is asked all the time, and is to reach the model
            **settings,
        )
        worker, _ = await start_worker(self._folder, env)
        self._workers.append(worker)
        return worker

    async def ask(self, count: int, timeout_ms: int | None = None) -> list[str]:
        headers = [("timeout_ms", b"%d" % timeout_ms)] if timeout_ms else []
        ids = [f"q{n}" for n in range(count)]
        async with producing(self.kafka) as producer:
            for number, question_id in enumerate(ids):
                question = Question(id=question_id, text=TEXT, conversation_id=f"c{number % 20}")
                key = question.conversation_id.encode()
                await producer.send(self.topics.questions, encode(question), key=key, headers=headers)
        return ids

    async def answers(self, count: int, limit_s: float = 60) -> list[Answer]:
        records = await read_topic(self.kafka, self.topics.answers, count, limit_s)
        return [decode_answer(record.value) for record in records]

    async def aclose(self) -> None:
        for worker in self._workers:
            await worker.kill()


@pytest.fixture
async def stage(kafka_settings: Kafka, topics: Topics, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(kafka_settings, tmp_path)
    await stage.prepare()
    try:
        yield stage
    finally:
        await stage.aclose()


def once_each(ids: Sequence[str], answers: Sequence[Answer]) -> None:
    """Every question has exactly one outcome, counted by source."""
    assert {answer.question_id for answer in answers} == set(ids)
    assert len({answer.source for answer in answers}) == len(ids)


@asynccontextmanager
async def slow_model(delay_s: float) -> AsyncIterator[ModelServer]:
    async with ModelServer(replace(ANSWER, delay_s=delay_s)) as model:
        yield model


async def test_without_a_model_every_question_is_answered_from_the_documents(stage: Stage) -> None:
    await stage.worker(f"http://127.0.0.1:{free_port()}/v1")
    ids = await stage.ask(50)
    answers = await stage.answers(50)
    once_each(ids, answers)
    assert {(answer.status, answer.degraded) for answer in answers} == {("degraded", ("model_unavailable",))}
    assert all("14 months" in answer.text and answer.citations for answer in answers)


@pytest.mark.parametrize("pieces", [(), (b'{"choices":',)], ids=["silent", "dribbling"])
async def test_with_a_hung_model_every_question_meets_its_deadline(
    stage: Stage, pieces: Sequence[bytes]
) -> None:
    async with ModelServer(Reply(pieces=pieces, hangs=True)) as model:
        await stage.worker(model.base_url)
        with watch_stalls() as stalls:
            ids = await stage.ask(20, timeout_ms=3000)
            answers = await stage.answers(20)
        once_each(ids, answers)
        questions = await read_topic(stage.kafka, stage.topics.questions, 20)
        asked_at = {(record.partition, record.offset): record.timestamp / 1000 for record in questions}
        took_s = [
            answer.created_at.timestamp() - asked_at[answer.source.partition, answer.source.offset]
            for answer in answers
        ]
        assert max(took_s) < 3 + 2 + stalls.lost_s
        assert {answer.status for answer in answers} == {"degraded"}
        assert {answer.degraded for answer in answers} == {("model_timeout",)}
        await eventually(lambda: model.lost == len(model.requests), 30, "every call is given up on the wire")


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGKILL"])
async def test_a_worker_that_ends_under_load_loses_nothing(stage: Stage, ending: str) -> None:
    async with slow_model(0.3) as model:
        first = await stage.worker(model.base_url, KOTAE_WORKER__MAX_IN_FLIGHT="10")
        ids = await stage.ask(100)
        await eventually(lambda: len(model.requests) > 20, 30, "it is in the middle of it")
        if ending == "SIGTERM":
            assert await first.stop() == 0, first.output
        else:
            await first.kill()
        second = await stage.worker(model.base_url)
        await eventually(lambda: len(model.requests) >= 100, 60, "the other takes over")
        await stage.answers(100)
        assert await second.stop() == 0, second.output
    written = sum((await end_offsets(stage.kafka, stage.topics.answers)).values())
    once_each(ids, await stage.answers(written))
    assert written == 100, "what has its outcome is not answered again"


async def test_request_ids_join_the_models_log_with_the_workers(stage: Stage) -> None:
    seen: list[Recorded] = []

    def script(request: Recorded) -> Reply:
        seen.append(request)
        return ANSWER

    async with ModelServer(script) as model:
        await stage.worker(model.base_url)
        await stage.ask(1)
        await stage.answers(1)
    assert [request.headers["X-Request-Id"] for request in seen] == ["q0/generate/1"]


async def test_order_is_kept_within_a_conversation(stage: Stage) -> None:
    async with slow_model(0.01) as model:
        await stage.worker(model.base_url)
        await stage.ask(200)
        answers = await stage.answers(200)
    for conversation in {answer.conversation_id for answer in answers}:
        numbers = [int(answer.id[1:]) for answer in answers if answer.conversation_id == conversation]
        assert numbers == sorted(numbers)
