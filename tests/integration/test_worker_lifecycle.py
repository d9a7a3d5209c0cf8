"""Starting, committing, rebalancing and draining on a real broker."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.pipeline import Answered, Asked
from schemas.codec import decode_answer
from schemas.topics import Topics
from streams.assembly.engine import build_engine, build_parts
from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.intake import Intake
from streams.consumer.recovered import Recovered
from streams.kafka.topics import acreate_topics
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook
from streams.telemetry.loop_monitor import LoopMonitor
from streams.worker.engine import Engine
from streams.worker.life import Worker
from tests.support.engine import (
    ScriptedPipeline,
    answer_to,
    committed_offsets,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)
from tests.support.parts import NoFeed, nothing
from tests.support.system import Program, environment, eventually, free_port


class NoMonitor:
    """Sees nothing."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    def state(self) -> dict[str, Any]:
        return {}


def worker_for(settings: Any, engine: Engine) -> Worker:
    return Worker(
        settings=settings,
        engine=engine,
        feed=NoFeed(),
        monitor=NoMonitor(),
        slowest_tenants=list,
        loop_monitor=LoopMonitor(Hook()),
        metrics=lambda: b"",
        dependencies=dict,
        caches=dict,
        embeddings=lambda: None,
        aclose=nothing,
    )


async def ask(kafka: Kafka, topic: str, names: list[str], partition: int = 0) -> None:
    async with producing(kafka) as producer:
        for name in names:
            await producer.send_and_wait(topic, question(name), key=name.encode(), partition=partition)


async def test_only_the_contiguous_prefix_is_committed(kafka_settings: Kafka, topics: Topics) -> None:
    held = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        if asked.question.id == "q3":
            await held.wait()
        return answer_to(asked)

    settings = settings_for(kafka_settings)
    async with running_engine(settings, ScriptedPipeline(script)) as engine:
        await ask(kafka_settings, topics.questions, [f"q{n}" for n in range(8)])
        await read_topic(kafka_settings, topics.answers, 7)
        await eventually(lambda: engine.state()["partitions"]["0"]["committed"] == 3, 5, "a commit")
        assert await committed_offsets(settings) == {0: 3}
        assert engine.state()["partitions"]["0"]["incomplete"] == 1
        held.set()
        await eventually(lambda: engine.state()["partitions"]["0"]["committed"] == 8, 5, "the last commit")
    assert (await committed_offsets(settings))[0] == 8


async def test_a_second_member_takes_over_without_loss(kafka_settings: Kafka, topics: Topics) -> None:
    async def script(asked: Asked) -> Answered:
        await asyncio.sleep(0.005)
        return answer_to(asked)

    settings = settings_for(kafka_settings, max_in_flight=20)
    names = [f"q{n}" for n in range(300)]
    async with producing(kafka_settings) as producer:
        for number, name in enumerate(names):
            await producer.send(topics.questions, question(name), key=name.encode(), partition=number % 3)
    async with running_engine(settings, ScriptedPipeline(script)) as first:
        await eventually(lambda: first.state()["in_flight"], 20, "work")
        async with running_engine(settings, ScriptedPipeline(script)) as second:
            await eventually(lambda: second.state()["partitions"], 20, "partitions of the second")
            await eventually(
                lambda: (
                    all(
                        100 in (p["commit_point"], p["committed"])
                        for e in (first, second)
                        for p in e.state()["partitions"].values()
                    )
                    and len(first.state()["partitions"]) + len(second.state()["partitions"]) == 3
                ),
                30,
                "the backlog's end",
            )
    answers = await read_topic(kafka_settings, topics.answers, 300)
    assert {decode_answer(record.value).id for record in answers} == set(names)
    assert await committed_offsets(settings) == {0: 100, 1: 100, 2: 100}


async def test_a_commit_leaves_out_partitions_of_other_workers(kafka_settings: Kafka, topics: Topics) -> None:
    settings = settings_for(kafka_settings)
    async with running_engine(settings, ScriptedPipeline()) as engine:
        await ask(kafka_settings, topics.questions, ["a", "b"])
        await eventually(lambda: engine.state()["partitions"].get("0", {}).get("committed") == 2, 20, "two")
        assignment = Assignment(Intake(max_in_flight=1, max_buffered=1, max_bytes=1))
        assignment.assign([17, 1], generation=1)
        for number in (17, 1):
            assigned = assignment.recover(Recovered(number, 0, None))
            assert assigned is not None
            assigned.tracker.polled(0, 0.0)
            assigned.tracker.complete(0)
        committer = Committer(
            engine.consumer._connection._member,  # type: ignore[union-attr]
            topics.questions,
            assignment,
            Hook(),
        )
        await committer.acommit(5.0)
        assert await committed_offsets(settings) == {0: 2, 1: 1}


async def test_sigterm_finishes_running_questions_and_leaves_the_rest(
    kafka_settings: Kafka, topics: Topics
) -> None:
    release = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        await release.wait()
        return answer_to(asked)

    settings = settings_for(kafka_settings, max_in_flight=3)
    pipeline = ScriptedPipeline(script)
    worker = worker_for(settings, build_engine(build_parts(settings, Hook()), pipeline))
    await ask(kafka_settings, topics.questions, [f"q{n}" for n in range(9)])
    running = asyncio.create_task(worker.run())
    await eventually(lambda: len(pipeline.asked) == 3, 20, "three at work")
    assert worker.ready().ok
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: not worker.ready().ok, 5, "the drain")
    release.set()
    assert await asyncio.wait_for(running, 15) == 0
    assert len(await read_topic(kafka_settings, topics.answers, 3)) == 3
    assert await committed_offsets(settings) == {0: 3}
    async with running_engine(settings, ScriptedPipeline()):
        answers = await read_topic(kafka_settings, topics.answers, 9)
    assert sorted(decode_answer(record.value).id for record in answers) == [f"q{n}" for n in range(9)]


async def test_a_second_signal_does_not_wait(kafka_settings: Kafka, topics: Topics) -> None:
    async def script(asked: Asked) -> Answered:
        await asyncio.Event().wait()
        raise AssertionError

    settings = settings_for(kafka_settings)
    pipeline = ScriptedPipeline(script)
    worker = worker_for(settings, build_engine(build_parts(settings, Hook()), pipeline))
    await ask(kafka_settings, topics.questions, ["q"])
    running = asyncio.create_task(worker.run())
    await eventually(lambda: pipeline.asked, 20, "work")
    worker.stop()
    worker.stop()
    assert await asyncio.wait_for(running, 5) == 0
    assert pipeline.running == 0
    assert await committed_offsets(settings) == {}


class OwnBroker:
    """A broker that a test may kill and start again, always on the same port with the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: list[Program] = []
        self._port = free_port()
        self.kafka = Kafka(bootstrap_servers=f"127.0.0.1:{self._port}", partitions=2)

    async def start(self) -> None:
        await eventually(self._port_is_free, 20, "the end of the broker before")
        arguments = ["streams", "broker", "--port", str(self._port), "--data", str(self._folder / "data")]
        program = Program(arguments, environment(), self._folder / f"broker-{len(self._programs)}.log")
        self._programs.append(program)
        await program.printed("Kafka listens")
        await acreate_topics(self.kafka)

    def _port_is_free(self) -> bool:
        # With SO_REUSEADDR, as Java does it: connections of the one before may still linger.
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", self._port))
            except OSError:
                return False
            return True

    async def kill(self) -> None:
        await self._programs[-1].kill()

    async def close(self) -> None:
        for program in self._programs:
            await program.kill()


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncIterator[OwnBroker]:
    broker = OwnBroker(tmp_path)
    yield broker
    await broker.close()


@pytest.mark.parametrize("outcome_waits", [True, False])
async def test_without_its_broker_a_worker_ends_within_15_s(
    own_broker: OwnBroker, outcome_waits: bool
) -> None:
    release = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        await release.wait()
        return answer_to(asked)

    await own_broker.start()
    kafka = own_broker.kafka
    settings = settings_for(kafka)
    pipeline = ScriptedPipeline(script)
    worker = worker_for(settings, build_engine(build_parts(settings, Hook()), pipeline))
    running = asyncio.create_task(worker.run())
    await eventually(lambda: worker.ready().ok, 20, "the worker")
    if outcome_waits:
        await ask(kafka, Topics().questions, ["q"])
        await eventually(lambda: pipeline.asked, 10, "work")
    await own_broker.kill()
    release.set()
    started = time.monotonic()
    worker.stop()
    assert await asyncio.wait_for(running, 20) == (1 if outcome_waits else 0)
    assert time.monotonic() - started < 15


async def test_outcomes_wait_for_a_broker_that_comes_back(own_broker: OwnBroker) -> None:
    release = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        await release.wait()
        return answer_to(asked)

    await own_broker.start()
    kafka = own_broker.kafka
    settings = settings_for(kafka)
    pipeline = ScriptedPipeline(script)
    async with running_engine(settings, pipeline) as engine:
        await ask(kafka, Topics().questions, [f"q{n}" for n in range(5)])
        await eventually(lambda: len(pipeline.asked) == 5, 20, "work")
        await own_broker.kill()
        release.set()
        await eventually(lambda: engine.state()["unpublished"] == 5, 20, "outcomes that wait")
        await own_broker.start()
        await eventually(lambda: engine.state()["unpublished"] == 0, 60, "the outcomes")
        answers = await read_topic(kafka, Topics().answers, 5)
        assert sorted(decode_answer(record.value).id for record in answers) == [f"q{n}" for n in range(5)]
        await ask(kafka, Topics().questions, ["later"])
        await read_topic(kafka, Topics().answers, 6)
    assert (await committed_offsets(settings))[0] == 6
