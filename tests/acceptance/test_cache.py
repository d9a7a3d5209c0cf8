"""Cached answers in real workers on a real Redis: shared and never outdated, in every fault of Redis."""

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from schemas.answer import Answer, Usage
from schemas.codec import decode_answer, decode_trace, encode
from schemas.document import Document
from schemas.question import Question
from schemas.topics import Topics
from streams.ingestion.sending import DocumentSender
from streams.settings.model import Kafka
from tests.acceptance.conftest import start_worker
from tests.support.engine import producing, read_topic
from tests.support.model_server import ModelServer, text
from tests.support.redis import RedisServer
from tests.support.system import Program, environment

TEXT = "How long is the warranty?"


@dataclass
class Stage:
    """Two workers with one Redis, and a model that counts."""

    kafka: Kafka
    model: ModelServer
    redis: RedisServer
    asked: int = 0
    told: int = 0
    workers: list[Program] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)

    @property
    def topics(self) -> Topics:
        return Topics(self.kafka.topic_prefix)

    async def tell(self, said: str) -> None:
        async with DocumentSender(self.kafka) as sender:
            await sender.send(Document(id="handbook", title="Warranty", text=said))
        self.told += 1

    async def indexed(self) -> None:
        """Wait until both workers have indexed all documents."""

        def read() -> bool:
            states = [
                orjson.loads(urllib.request.urlopen(f"{at}/state", timeout=5).read()) for at in self.statuses
            ]
            return all(state["knowledge"]["documents"] == self.told for state in states)

        async with asyncio.timeout(30):
            while not await asyncio.to_thread(read):  # noqa: ASYNC110 - a worker sends no event
                await asyncio.sleep(0.05)

    async def ask(self, count: int, text: str = TEXT) -> list[Answer]:
        """Ask the same question in `count` conversations."""
        async with producing(self.kafka) as producer:
            for number in range(self.asked, self.asked + count):
                question = Question(id=f"q{number}", text=text)
                key = question.conversation_id.encode()
                await producer.send_and_wait(self.topics.questions, encode(question), key=key)
        first, self.asked = self.asked, self.asked + count
        records = await read_topic(self.kafka, self.topics.answers, self.asked, 60)
        answers = {answer.question_id: answer for answer in map(decode_answer, (r.value for r in records))}
        return [answers[f"q{number}"] for number in range(first, self.asked)]


@pytest.fixture
async def stage(
    kafka_settings: Kafka, topics: Topics, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[Stage]:
    async with ModelServer(text("It lasts three years [1].")) as model:
        stage = Stage(kafka_settings, model, redis_server)
        await stage.tell("The warranty lasts three years.")
        env = environment(
            KOTAE_KAFKA__BOOTSTRAP_SERVERS=kafka_settings.bootstrap_servers,
            KOTAE_KAFKA__TOPIC_PREFIX=kafka_settings.topic_prefix,
            KOTAE_WORKER__GROUP_ID=f"{kafka_settings.topic_prefix}group",
            KOTAE_MODEL__BASE_URL=model.base_url,
            KOTAE_CACHE__REDIS_URL=redis_server.url,
        )
        try:
            for _ in range(2):
                worker, status = await start_worker(tmp_path, env)
                stage.workers.append(worker)
                stage.statuses.append(status)
            yield stage
        finally:
            for worker in stage.workers:
                await worker.kill()


async def shared(stage: Stage, text: str) -> bool:
    """Whether one worker's answer served both. If Redis is slow, each may make one of its own."""
    calls = len(stage.model.requests)
    answers = await stage.ask(1, text)
    answers += await stage.ask(20, text)
    made = len(stage.model.requests) - calls
    assert answers[0].usage != Usage()
    assert sum(answer.usage != Usage() for answer in answers) == made <= len(stage.workers)
    assert len({(answer.text, answer.citations) for answer in answers}) == 1
    records = await read_topic(stage.kafka, stage.topics.events, stage.asked, 60)
    asked = {answer.question_id for answer in answers}
    traces = [trace for trace in (decode_trace(r.value) for r in records) if trace.question_id in asked]
    found = [stage.detail for trace in traces for stage in trace.stages if stage.stage == "cache"]
    assert found.count("miss") == made
    assert "hit, memory" in found
    return made == 1 and "hit, shared" in found


async def test_answers_are_shared_until_a_document_changes_in_every_fault_of_redis(stage: Stage) -> None:
    # A worker waits 20 ms for Redis, which a busy machine may take: then a later answer is shared.
    async with asyncio.timeout(120):
        attempts = 0
        while not await shared(stage, f"How long is the warranty of product {attempts}?"):
            attempts += 1

    for years, hangs in (("five", False), ("seven", True)):
        if hangs:
            stage.redis.signal(signal.SIGSTOP)
        said = text(f"It lasts {years} years [1].")
        stage.model.script = lambda _, said=said: said
        calls = len(stage.model.requests)
        await stage.tell(f"The warranty lasts {years} years.")
        await stage.indexed()
        answers = await stage.ask(20)
        assert {(answer.status, answer.text) for answer in answers} == {
            ("answered", f"It lasts {years} years [1].")
        }
        # Once for all, or once for each worker where they cannot share.
        assert 1 <= len(stage.model.requests) - calls <= 2
