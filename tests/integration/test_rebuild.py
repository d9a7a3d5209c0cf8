"""A stuck consumer is replaced in place, and running questions go on."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from agents.pipeline import Answered, Asked
from schemas.codec import decode_answer
from schemas.topics import Topics
from streams.assembly.engine import build_engine, build_parts
from streams.consumer.watchdog import Patience, Watchdog
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook
from streams.telemetry.loop_monitor import LoopMonitor
from streams.worker.backlog import Backlog
from streams.worker.engine import Engine
from streams.worker.life import Worker
from streams.worker.monitor import Monitor
from tests.support.engine import (
    ScriptedPipeline,
    answer_to,
    committed_offsets,
    end_offsets,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)
from tests.support.parts import NoFeed, nothing
from tests.support.system import eventually

COUNT = 300


def consumer_of(engine: Engine) -> Any:
    connection = engine.consumer._connection
    assert connection is not None
    return connection._consumer


def lose_coordination(consumer: Any) -> None:
    """End the coordination without a word, as in aiokafka's issues 847 and 848."""
    consumer._coordinator._coordination_task.cancel()


def lose_a_rejoin(consumer: Any) -> None:
    """Let a rejoin wait for an answer that never comes."""

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    consumer._coordinator._do_rejoin_group = lambda _: wait_for_ever()
    consumer._coordinator.request_rejoin()


def lose_the_fetcher(consumer: Any) -> None:
    """End the fetcher and its open requests."""
    for task in (consumer._fetcher._fetch_task, *consumer._fetcher._pending_tasks):
        task.cancel()


class Script:
    """Answers every tenth question only after `release`, the others at once."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, asked: Asked) -> Answered:
        if int(asked.question.id[1:]) % 10 == 0:
            await self.release.wait()
        return answer_to(asked)


async def ask(kafka: Kafka, topics: Topics) -> None:
    async with producing(kafka) as producer:
        for n in range(COUNT):
            await producer.send(topics.questions, question(f"q{n}"), key=b"%d" % n, partition=n % 3)


async def answered_once(kafka: Kafka, topics: Topics) -> None:
    await read_topic(kafka, topics.answers, COUNT)
    written = sum((await end_offsets(kafka, topics.answers)).values())
    answers = await read_topic(kafka, topics.answers, written)
    assert sorted(decode_answer(a.value).id for a in answers) == sorted(f"q{n}" for n in range(COUNT))


@pytest.mark.parametrize("stuck", [lose_coordination, lose_a_rejoin, lose_the_fetcher])
async def test_running_questions_go_on_and_none_runs_twice(
    kafka_settings: Kafka, topics: Topics, stuck: Callable[[Any], None]
) -> None:
    settings = settings_for(kafka_settings)
    script = Script()
    pipeline = ScriptedPipeline(script)
    async with running_engine(settings, pipeline) as engine:
        await ask(kafka_settings, topics)
        await eventually(lambda: pipeline.running == COUNT // 10, 20, "those that are held")
        member = consumer_of(engine)._coordinator.member_id
        stuck(consumer_of(engine))
        await asyncio.sleep(0)
        await engine.consumer.rebuild()
        await eventually(lambda: engine.consumer.joined and consumer_of(engine).assignment(), 20, "the group")
        assert consumer_of(engine)._coordinator.member_id == member, "nobody waits for one that is gone"
        script.release.set()
        await eventually(lambda: not engine.consumer.incomplete, 20, "all is done")
        await answered_once(kafka_settings, topics)
    assert len(pipeline.asked) == COUNT, "what ran was adopted"
    assert sum((await committed_offsets(settings)).values()) == COUNT


async def test_a_broker_that_refuses_the_new_consumer_is_asked_again(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    script = Script()
    pipeline = ScriptedPipeline(script)
    async with running_engine(settings, pipeline) as engine:
        await ask(kafka_settings, topics)
        await eventually(lambda: pipeline.running == COUNT // 10, 20, "those that are held")
        loop = engine.consumer
        opens = loop._open_consumer

        def refused() -> Any:
            consumer = opens()

            async def refuse() -> None:
                raise KafkaConnectionError("refused")

            consumer._client.bootstrap = refuse
            return consumer

        loop._open_consumer = refused
        for _ in range(2):
            with pytest.raises(KafkaConnectionError):
                await loop.rebuild()
        script.release.set()
        loop._open_consumer = opens
        await loop.rebuild()
        await eventually(lambda: not engine.consumer.incomplete, 20, "all is done")
        await answered_once(kafka_settings, topics)
    assert len(pipeline.asked) == COUNT, "what ran was adopted"


async def test_a_drain_during_the_replacement_finishes_running_questions(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    script = Script()
    pipeline = ScriptedPipeline(script)
    async with running_engine(settings, pipeline) as engine:
        await ask(kafka_settings, topics)
        await eventually(lambda: pipeline.running == COUNT // 10, 20, "those that are held")
        rebuilding = asyncio.create_task(engine.consumer.rebuild())
        await asyncio.sleep(0)
        rebuilding.cancel()
        draining = asyncio.create_task(engine.drain(20.0, asyncio.Event()))
        script.release.set()
        assert await draining, "every outcome was published"
    await answered_once(kafka_settings, topics)
    assert len(pipeline.asked) == COUNT
    assert sum((await committed_offsets(settings)).values()) == COUNT


class Told(Hook):
    def __init__(self) -> None:
        self.symptoms: list[str] = []

    def consumer_rebuilt(self, symptom: str, detail: str) -> None:
        self.symptoms.append(symptom)


QUICK = Patience(polls_s=10, rejoin_s=10, stall_s=4, gap_s=60)


def monitor_for(engine: Engine, kafka: Kafka, topics: Topics, hook: Hook, limits: Patience) -> Monitor:
    def open_reader() -> Any:
        return AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, enable_auto_commit=False)

    return Monitor(
        consumer=engine.consumer,
        watchdog=Watchdog(limits),
        backlog=Backlog(open_reader, topics.questions),
        positions=lambda: dict.fromkeys(range(3)),
        completed=lambda: 0,
        hook=hook,
        interval_s=0.2,
    )


@pytest.mark.parametrize(
    ("stuck", "symptom"),
    [(lose_coordination, "ended"), (lose_a_rejoin, "group"), (lose_the_fetcher, "records")],
)
async def test_a_stuck_consumer_is_noticed_and_replaced(
    kafka_settings: Kafka, topics: Topics, stuck: Callable[[Any], None], symptom: str
) -> None:
    told = Told()
    script = Script()
    script.release.set()
    async with running_engine(settings_for(kafka_settings), ScriptedPipeline(script), told) as engine:
        monitor = monitor_for(engine, kafka_settings, topics, told, QUICK)
        watching = asyncio.create_task(monitor.run())
        await eventually(lambda: engine.consumer.joined, 20, "the group")
        stuck(consumer_of(engine))
        await ask(kafka_settings, topics)
        await answered_once(kafka_settings, topics)
        assert told.symptoms == [symptom]
        assert monitor.state()["rebuilds"] == 1
        assert monitor.state()["last_rebuild"]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_worker_whose_consumer_stays_stuck_ends_with_the_reason(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    engine = build_engine(build_parts(settings, Hook()), ScriptedPipeline())
    worker = Worker(
        settings=settings,
        engine=engine,
        feed=NoFeed(),
        monitor=monitor_for(engine, kafka_settings, topics, Hook(), replace(QUICK, rejoin_s=2, rebuilds=0)),
        slowest_tenants=list,
        loop_monitor=LoopMonitor(Hook()),
        metrics=lambda: b"",
        dependencies=dict,
        caches=dict,
        embeddings=lambda: None,
        aclose=nothing,
    )
    running = asyncio.create_task(worker.run())
    await eventually(lambda: engine.consumer.joined, 20, "the group")
    assert worker.live().ok
    lose_a_rejoin(consumer_of(engine))
    assert await asyncio.wait_for(running, 30) == 3
    assert not worker.live().ok
    assert "out of its group" in worker.live().reason
