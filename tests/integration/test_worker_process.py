"""`kotae worker` as its own process, from settings in the environment."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.codec import decode_answer
from schemas.topics import Topics
from streams.settings.model import Kafka
from tests.support.engine import committed_offsets, end_offsets, producing, question, read_topic, settings_for
from tests.support.model_server import ModelServer, Reply
from tests.support.system import Program, environment, eventually, free_port


class WorkerProgram(Program):
    def __init__(self, kafka: Kafka, log: Path, **settings: str) -> None:
        self.port = free_port()
        named = {
            "KOTAE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KOTAE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
            "KOTAE_WORKER__GROUP_ID": settings_for(kafka).worker.group_id,
            "KOTAE_WORKER__HTTP_PORT": str(self.port),
        }
        super().__init__(["streams", "worker"], environment(**(named | settings)), log)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
            return response.read()

    async def ended(self, limit_s: float) -> int:
        return await asyncio.wait_for(self._child.wait(), limit_s)

    async def ready(self) -> None:
        await self.answers_http(f"http://127.0.0.1:{self.port}/health/ready")


@pytest.fixture
async def programs() -> AsyncIterator[list[WorkerProgram]]:
    started: list[WorkerProgram] = []
    yield started
    for program in started:
        await program.kill()


async def test_a_worker_drains_at_sigterm_and_the_next_one_repeats_nothing(
    kafka_settings: Kafka, topics: Topics, tmp_path: Path, programs: list[WorkerProgram]
) -> None:
    count = 200
    async with producing(kafka_settings) as producer:
        for number in range(count):
            await producer.send(topics.questions, question(f"q{number}"), key=b"%d" % number)
    programs.append(WorkerProgram(kafka_settings, tmp_path / "first.log"))
    await programs[0].ready()
    await read_topic(kafka_settings, topics.answers, 1)
    assert await programs[0].stop() == 0, programs[0].output
    assert f"are on http://127.0.0.1:{programs[0].port}" in programs[0].output
    assert "stopping: running questions have 30 s to finish" in programs[0].output
    programs.append(WorkerProgram(kafka_settings, tmp_path / "second.log"))
    await programs[1].ready()
    answers = await read_topic(kafka_settings, topics.answers, count)
    state = orjson.loads(programs[1].get("/state"))
    assert len(state["partitions"]) == 3
    await eventually(
        lambda: b"kotae_drain_seconds 0.0\n" in programs[1].get("/metrics"), 20, "all is drained"
    )
    assert await programs[1].stop() == 0, programs[1].output
    assert sorted(decode_answer(record.value).id for record in answers) == sorted(
        f"q{n}" for n in range(count)
    )
    assert sum((await end_offsets(kafka_settings, topics.answers)).values()) == count
    assert sum((await committed_offsets(settings_for(kafka_settings))).values()) == count


async def test_neither_markers_nor_an_open_transaction_are_lag_of_a_worker(
    kafka_settings: Kafka, topics: Topics, tmp_path: Path, programs: list[WorkerProgram]
) -> None:
    name = f"{kafka_settings.topic_prefix}asker"
    async with producing(kafka_settings, transactional_id=name) as producer:
        async with producer.transaction():
            await producer.send_and_wait(topics.questions, question("q"), partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(topics.questions, question("open"), partition=1)
        programs.append(WorkerProgram(kafka_settings, tmp_path / "worker.log"))
        await programs[0].ready()
        await read_topic(kafka_settings, topics.answers, 1)

        def partition(number: str) -> Any:
            return orjson.loads(programs[0].get("/state"))["partitions"][number]

        await eventually(lambda: partition("1")["open_transaction_s"] > 0.1, 20, "a transaction that is open")
        await eventually(lambda: partition("0")["committed"] == 2, 20, "a commit above the marker")
        await eventually(
            lambda: b"kotae_drain_seconds 0.0\n" in programs[0].get("/metrics"), 20, "nothing is left"
        )
        await producer.abort_transaction()
    assert await programs[0].stop() == 0, programs[0].output
    assert sum((await end_offsets(kafka_settings, topics.answers)).values()) == 1


async def test_a_worker_without_topics_says_how_to_create_them(
    kafka_settings: Kafka, tmp_path: Path, programs: list[WorkerProgram]
) -> None:
    programs.append(WorkerProgram(kafka_settings, tmp_path / "worker.log"))
    await programs[0].printed("kotae topics create", 30)
    assert await programs[0].ended(15) == 1
    assert "Traceback" not in programs[0].output


async def test_a_worker_without_a_broker_says_how_to_start_one(
    tmp_path: Path, programs: list[WorkerProgram]
) -> None:
    nowhere = Kafka(bootstrap_servers=f"127.0.0.1:{free_port()}")
    programs.append(WorkerProgram(nowhere, tmp_path / "worker.log"))
    await programs[0].printed("kotae broker", 30)
    assert await programs[0].ended(15) == 1
    assert "Traceback" not in programs[0].output


async def test_what_an_operator_has_to_mend_is_a_line_each(
    kafka_settings: Kafka, topics: Topics, tmp_path: Path, programs: list[WorkerProgram]
) -> None:
    refusal = Reply(401, [b'{"error": {"message": "wrong key sk-ours-and-secret"}}'])
    async with ModelServer(refusal) as server, producing(kafka_settings) as producer:
        worker = WorkerProgram(
            kafka_settings,
            tmp_path / "worker.log",
            KOTAE_MODEL__BASE_URL=server.base_url,
            KOTAE_MODEL__API_KEY="sk-ours-and-secret",
            KOTAE_KAFKA__REPLY_TOPICS="replies-nobody-made",
            KOTAE_MODEL_NAME="tcp://10.0.0.1:80",
            KOTAE_SERVICE_HOST="10.0.0.1",
        )
        programs.append(worker)
        await worker.ready()
        headers = [("reply_to", b"replies-nobody-made")]
        for number in range(20):
            await producer.send(topics.questions, question(f"q{number}"), key=b"%d" % number, headers=headers)
        await read_topic(kafka_settings, topics.answers, 20)
        last = orjson.loads(worker.get("/state"))["dependencies"]["model"]["last_error"]
        assert await worker.stop() == 0, worker.output
    assert (last["status"], last["message"]) == (401, "HTTP 401: wrong key ***")
    assert last["remedy"] == "check KOTAE_MODEL__API_KEY and KOTAE_MODEL__HEADERS"
    lines = [orjson.loads(line)["message"] for line in worker.output.splitlines() if line.startswith("{")]
    for told in (
        "a call to model failed: HTTP 401: wrong key ***; check KOTAE_MODEL__API_KEY and",
        "environment variable KOTAE_MODEL_NAME is not read: KOTAE_MODEL__NAME, with two underscores",
        "the reply topics replies-nobody-made do not exist",
    ):
        assert len([line for line in lines if told in line]) == 1, (told, lines)
    assert "KOTAE_SERVICE_HOST" not in worker.output
    assert "sk-ours-and-secret" not in worker.output
