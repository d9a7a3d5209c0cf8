"""`kotae worker --processes`: real processes on a real broker, killed, drained and left alone."""

import asyncio
import os
import re
import signal
import sys
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
from tests.support.system import Program, environment, eventually, free_port, free_ports

COUNT = 3


class SupervisorProgram(Program):
    def __init__(self, kafka: Kafka, log: Path, **settings: str) -> None:
        self.port = free_ports(COUNT)
        named = {
            "KOTAE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KOTAE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
            "KOTAE_KAFKA__SESSION_TIMEOUT_S": "6",
            "KOTAE_WORKER__GROUP_ID": settings_for(kafka).worker.group_id,
            "KOTAE_WORKER__HTTP_PORT": str(self.port),
        }
        super().__init__(
            ["streams", "worker", "--processes", str(COUNT)], environment(**(named | settings)), log
        )

    def pids(self, index: int) -> list[int]:
        """The processes that were started as the worker of this index, the first one first."""
        return [int(pid) for pid in re.findall(rf"worker {index} runs as process (\d+)", self.output)]

    async def ready(self, index: int) -> None:
        await self.answers_http(f"http://127.0.0.1:{self.port + index}/health/ready")

    def partitions(self) -> list[list[str]]:
        """Of each worker."""
        return [sorted(self._state(index)["partitions"]) for index in range(COUNT)]

    async def ended(self, limit_s: float) -> int:
        return await asyncio.wait_for(self._child.wait(), limit_s)

    def _state(self, index: int) -> Any:
        url = f"http://127.0.0.1:{self.port + index}/state"
        with urllib.request.urlopen(url, timeout=5) as response:
            return orjson.loads(response.read())


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
async def programs() -> AsyncIterator[list[SupervisorProgram]]:
    started: list[SupervisorProgram] = []
    yield started
    for program in started:
        await program.kill()


async def test_processes_share_the_work_outlive_a_crash_and_drain_together(
    kafka_settings: Kafka, topics: Topics, tmp_path: Path, programs: list[SupervisorProgram]
) -> None:
    programs.append(SupervisorProgram(kafka_settings, tmp_path / "workers.log"))
    [program] = programs
    for index in range(COUNT):
        await program.ready(index)
    await eventually(lambda: sorted(program.partitions()) == [["0"], ["1"], ["2"]], 30, "one partition each")

    half = 150
    async with producing(kafka_settings) as producer:
        for number in range(half):
            await producer.send(topics.questions, question(f"q{number}"), key=b"%d" % number)
        await read_topic(kafka_settings, topics.answers, 1)
        os.kill(program.pids(1)[0], signal.SIGKILL)
        for number in range(half, 2 * half):
            await producer.send(topics.questions, question(f"q{number}"), key=b"%d" % number)
    await eventually(lambda: len(program.pids(1)) == 2, 30, "it is started again")
    await program.ready(1)
    wanted = {f"q{number}" for number in range(2 * half)}
    settings = settings_for(kafka_settings)
    async with asyncio.timeout(40):
        while sum((await committed_offsets(settings)).values()) < 2 * half:  # noqa: ASYNC110 - the broker sends no event
            await asyncio.sleep(0.2)
    written = sum((await end_offsets(kafka_settings, topics.answers)).values())
    answers = await read_topic(kafka_settings, topics.answers, written)
    assert {decode_answer(record.value).id for record in answers} == wanted

    assert [len(program.pids(index)) for index in range(COUNT)] == [1, 2, 1]
    assert '"worker":1' in program.output
    assert await program.stop() == 0, program.output
    assert not [pid for index in range(COUNT) for pid in program.pids(index) if alive(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_no_process_is_left_when_the_supervisor_is_killed(
    kafka_settings: Kafka, topics: Topics, tmp_path: Path, programs: list[SupervisorProgram]
) -> None:
    programs.append(SupervisorProgram(kafka_settings, tmp_path / "workers.log"))
    [program] = programs
    for index in range(COUNT):
        await program.ready(index)
    pids = [program.pids(index)[0] for index in range(COUNT)]
    assert all(alive(pid) for pid in pids)
    await program.kill()
    await eventually(lambda: not any(alive(pid) for pid in pids), 10, "all are gone")


async def test_wrong_settings_of_one_process_end_all(
    tmp_path: Path, programs: list[SupervisorProgram]
) -> None:
    nowhere = Kafka(bootstrap_servers=f"127.0.0.1:{free_port()}")
    log = tmp_path / "workers.log"
    programs.append(SupervisorProgram(nowhere, log, KOTAE_COMPONENTS__RETRIEVER="no_such_module:make"))
    assert await programs[0].ended(60) == 2, programs[0].output
    assert "no_such_module" in programs[0].output
    assert "Traceback" not in programs[0].output
    assert [len(programs[0].pids(index)) for index in range(COUNT)] == [1, 1, 1]


async def test_missing_topics_end_all_processes(kafka_settings: Kafka, tmp_path: Path) -> None:
    programs = SupervisorProgram(
        kafka_settings, tmp_path / "workers.log", KOTAE_KAFKA__TOPIC_PREFIX="nowhere."
    )
    try:
        assert await programs.ended(60) == 1, programs.output
    finally:
        await programs.kill()
    assert "kotae topics create" in programs.output
    assert "cannot start, and has said above why" in programs.output
    assert "Traceback" not in programs.output
    assert [len(programs.pids(index)) for index in range(COUNT)] == [1, 1, 1]
