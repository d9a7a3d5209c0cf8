"""Others write to our topics and our group, widen, empty and delete them. Nothing is lost or done twice."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from agents.pipeline import Answered, Asked
from schemas.codec import decode_answer
from schemas.topics import Topics
from streams.settings.model import Kafka, Limits, Settings
from streams.telemetry.hook import Hook
from streams.worker.engine import Engine
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
from tests.support.system import eventually


class Told(Hook):
    def __init__(self) -> None:
        self.out_of_range: list[tuple[int, int, int]] = []
        self.failures: list[str] = []

    def offset_out_of_range(self, partition: int, committed: int, start: int) -> None:
        self.out_of_range.append((partition, committed, start))

    def recovery_failed(self, error: BaseException) -> None:
        self.failures.append(str(error))


async def ask(kafka: Kafka, topics: Topics, count: int, partition: int = 0, first: int = 0) -> None:
    async with producing(kafka) as producer:
        for n in range(first, first + count):
            name = f"{partition}/{n}"
            await producer.send(topics.questions, question(name), key=name.encode(), partition=partition)


async def commit(settings: Settings, topics: Topics, commits: dict[int, tuple[int, str]]) -> None:
    """Commit as another user of our group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        group_id=settings.worker.group_id,
        enable_auto_commit=False,
    )
    consumer.assign([TopicPartition(topics.questions, number) for number in commits])
    await consumer.start()
    try:
        await consumer.commit(
            {TopicPartition(topics.questions, n): OffsetAndMetadata(*value) for n, value in commits.items()}
        )
    finally:
        await consumer.stop()


def asked(pipeline: ScriptedPipeline) -> list[str]:
    return sorted(each.question.id for each in pipeline.asked)


async def widen(kafka: Kafka, engine: Engine, counts: dict[str, int]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        wanted = {name: NewPartitions(total_count=count) for name, count in counts.items()}
        await admin.create_partitions(wanted)
    finally:
        await admin.close()
    # As it does by itself after `METADATA_AGE_MS`.
    connection: Any = engine.consumer._connection
    consumer = connection._consumer
    async with asyncio.timeout(20):
        for topic in {*counts} & consumer.subscription():
            while len(consumer.partitions_for_topic(topic) or ()) < counts[topic]:
                await consumer._client.force_metadata_update()


@pytest.mark.parametrize("metadata", ["another tool's", "kt1:", "kt9:AAAA", "kt1:!!!!", "x" * 4096])
async def test_a_commit_of_another_tool_counts_without_its_metadata(
    kafka_settings: Kafka, topics: Topics, metadata: str
) -> None:
    settings = settings_for(kafka_settings)
    await ask(kafka_settings, topics, 5)
    await commit(settings, topics, {0: (2, metadata)})
    pipeline, told = ScriptedPipeline(), Told()
    async with running_engine(settings, pipeline, told):
        await read_topic(kafka_settings, topics.answers, 3)
    assert asked(pipeline) == ["0/2", "0/3", "0/4"]
    assert (await committed_offsets(settings))[0] == 5
    assert not told.failures


async def test_answers_of_other_writers_are_passed_over(kafka_settings: Kafka, topics: Topics) -> None:
    def source(**changed: Any) -> bytes:
        fields = {"topic": topics.questions, "partition": 0, "offset": 0} | changed
        return orjson.dumps({"source": fields})

    foreign: Sequence[bytes | None] = [
        None,
        b"",
        b"\xff\x00garbage",
        b'{"source": ',
        b"[1, 2]",
        b"7",
        b'{"source": null}',
        b'{"source": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        orjson.dumps({"id": "0/0", "question_id": "0/0", "status": "answered"}),
        source(topic="others.questions"),
        source(partition=1),
        source(partition="0"),
        source(offset=-1),
        source(offset=2**62),
        source(offset=1.5),
    ]
    settings = settings_for(kafka_settings)
    await ask(kafka_settings, topics, 4)
    async with producing(kafka_settings) as producer:
        for value in foreign:
            await producer.send_and_wait(topics.answers, value, key=b"k", partition=0)
        await producer.send_and_wait(topics.answers, source(offset=1), partition=0)
    pipeline, told = ScriptedPipeline(), Told()
    async with running_engine(settings, pipeline, told):
        await read_topic(kafka_settings, topics.answers, len(foreign) + 1 + 3)
    assert asked(pipeline) == ["0/0", "0/2", "0/3"], "the one true answer counts"
    assert (await committed_offsets(settings))[0] == 4
    assert not told.failures


async def test_partitions_added_to_all_topics_are_served(kafka_settings: Kafka, topics: Topics) -> None:
    settings = settings_for(kafka_settings)
    pipeline, told = ScriptedPipeline(), Told()
    async with running_engine(settings, pipeline, told) as engine:
        await ask(kafka_settings, topics, 3)
        await read_topic(kafka_settings, topics.answers, 3)
        await widen(
            kafka_settings, engine, dict.fromkeys((topics.questions, topics.answers, topics.journal), 5)
        )
        await eventually(lambda: len(engine.state()["partitions"]) == 5, 30, "five partitions")
        await ask(kafka_settings, topics, 3, partition=4)
        await read_topic(kafka_settings, topics.answers, 6)
    assert asked(pipeline) == ["0/0", "0/1", "0/2", "4/0", "4/1", "4/2"]
    assert (await committed_offsets(settings))[4] == 3


async def test_partitions_of_questions_alone_wait_for_those_of_answers(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    pipeline, told = ScriptedPipeline(), Told()
    async with running_engine(settings, pipeline, told) as engine:
        await eventually(lambda: engine.consumer.joined, 20, "the group")
        await widen(kafka_settings, engine, {topics.questions: 4})
        await ask(kafka_settings, topics, 2, partition=3)
        await ask(kafka_settings, topics, 2, partition=0)
        await eventually(lambda: told.failures, 30, "a clear error")
        await read_topic(kafka_settings, topics.answers, 2)
        assert asked(pipeline) == ["0/0", "0/1"], "the others go on"
        assert f"{topics.answers} has no partitions [3]" in told.failures[0]
        assert "kotae topics create" in told.failures[0]
        assert not engine.consumer.joined
        await widen(kafka_settings, engine, {topics.answers: 4, topics.journal: 4})
        await read_topic(kafka_settings, topics.answers, 4)
    assert asked(pipeline) == ["0/0", "0/1", "3/0", "3/1"]


async def test_records_that_retention_took_are_counted_and_the_rest_answered(
    kafka_settings: Kafka, topics: Topics
) -> None:
    settings = settings_for(kafka_settings)
    for partition in range(2):
        await ask(kafka_settings, topics, 10, partition=partition)
    await commit(settings, topics, {0: (2, ""), 1: (50, "")})
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topics.questions, 0): RecordsToDelete(before_offset=6)})
    finally:
        await admin.close()
    pipeline, told = ScriptedPipeline(), Told()
    async with running_engine(settings, pipeline, told):
        await read_topic(kafka_settings, topics.answers, 14)
    assert sorted(told.out_of_range) == [(0, 2, 6), (1, 50, 0)]
    assert asked(pipeline) == sorted([f"0/{n}" for n in range(6, 10)] + [f"1/{n}" for n in range(10)])
    assert await committed_offsets(settings) == {0: 10, 1: 10}


async def test_records_deleted_while_a_worker_is_behind_are_reported(
    kafka_settings: Kafka, topics: Topics
) -> None:
    release = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        await release.wait()
        return answer_to(asked)

    settings = settings_for(kafka_settings, max_in_flight=5, deadline_s=300)
    pipeline, told = ScriptedPipeline(script), Told()
    async with running_engine(settings, pipeline, told) as engine:
        async with producing(kafka_settings) as producer:
            # More than is buffered here and fetched ahead by the client.
            for n in range(1_000):
                large = question(f"large-{n}") + b" " * 60_000
                await producer.send(topics.questions, large, key=b"%d" % n, partition=0)
        await eventually(lambda: engine.state()["buffered"] >= 100, 30, "the buffer is full")
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
        await admin.start()
        try:
            before = RecordsToDelete(before_offset=990)
            await admin.delete_records({TopicPartition(topics.questions, 0): before})
        finally:
            await admin.close()
        release.set()
        await eventually(lambda: bool(told.out_of_range), 60, "it is told")
        await eventually(
            lambda: engine.state()["partitions"]["0"]["committed"] == 1_000, 60, "all that is left is done"
        )
    [(partition, expected, start)] = told.out_of_range
    assert (partition, start) == (0, 990)
    assert len(pipeline.asked) == expected + 10


async def make_anew(kafka: Kafka, topics: Topics) -> None:
    """Delete `questions` and create it again, at once."""
    new = NewTopic(topics.questions, 3, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topics.questions])
        while (await admin.create_topics([new])).topic_errors[0][1]:  # noqa: ASYNC110 - a broker sends no event
            await asyncio.sleep(0.005)
    finally:
        await admin.close()


async def test_a_topic_made_anew_while_a_worker_runs_is_answered_from_its_beginning(
    kafka_settings: Kafka, topics: Topics
) -> None:
    """Some of its records have the place and the id of one of the old topic, which was answered."""
    held = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        if asked.question.id == "0/5":
            await held.wait()
        return answer_to(asked, text=f"answer {len(pipeline.asked)}")

    settings = settings_for(kafka_settings, deadline_s=300)
    pipeline, told = ScriptedPipeline(script), Told()
    async with running_engine(settings, pipeline, told) as engine:
        partitions = engine.consumer._assignment.partitions
        await ask(kafka_settings, topics, 8)
        await ask(kafka_settings, topics, 2, partition=1)
        await read_topic(kafka_settings, topics.answers, 9)
        await eventually(lambda: partitions[0].committed == 5 and partitions[1].committed == 2, 20, "commits")
        await make_anew(kafka_settings, topics)
        await ask(kafka_settings, topics, 4)
        await read_topic(kafka_settings, topics.answers, 13, limit_s=90)
        held.set()
        await ask(kafka_settings, topics, 1, partition=1)
        await ask(kafka_settings, topics, 1, partition=2)
        answers = await read_topic(kafka_settings, topics.answers, 15, limit_s=90)
    assert sorted(told.out_of_range) == [(0, 5, 0), (1, 2, 0)]
    found = sorted((a.partition, decode_answer(a.value).source.offset) for a in answers)
    assert found == sorted(
        [(0, n) for n in (0, 1, 2, 3, 4, 6, 7)]
        + [(1, 0), (1, 1)]
        + [(0, n) for n in range(4)]
        + [(1, 0), (2, 0)]
    )
    assert await committed_offsets(settings) == {0: 4, 1: 1, 2: 1}


@pytest.mark.parametrize("partitions", [1])
async def test_offsets_below_the_next_one_begin_the_partition_anew(
    kafka_settings: Kafka, topics: Topics
) -> None:
    """A full worker fetches nothing, so it sees only by the offsets that the topic is another."""
    release = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        await release.wait()
        return answer_to(asked)

    settings = settings_for(kafka_settings, max_in_flight=5, deadline_s=300)
    pipeline, told = ScriptedPipeline(script), Told()
    large = question("large") + b" " * 60_000
    async with running_engine(settings, pipeline, told) as engine:
        async with producing(kafka_settings) as producer:
            # More than is buffered here, so that the client has some fetched ahead, and fetches no more.
            for n in range(700):
                await producer.send(topics.questions, large, key=b"%d" % n, partition=0)
        await eventually(lambda: engine.state()["buffered"] >= 490, 30, "the buffer is full")
        await make_anew(kafka_settings, topics)
        await ask(kafka_settings, topics, 4)
        release.set()
        await eventually(lambda: bool(told.out_of_range), 60, "it is told")
        await eventually(
            lambda: engine.state()["partitions"]["0"]["committed"] == 4, 60, "all of the new topic is done"
        )
        assert engine.state()["in_flight"] == 0
    [(partition, expected, start)] = told.out_of_range
    assert (partition, start) == (0, 0)
    assert expected > 490
    assert [name for name in asked(pipeline) if name != "large"] == ["0/0", "0/1", "0/2", "0/3"]
    assert await committed_offsets(settings) == {0: 4}
    written = (await end_offsets(kafka_settings, topics.answers))[0]
    answers = [
        decode_answer(each.value) for each in await read_topic(kafka_settings, topics.answers, written)
    ]
    assert [answer.source.offset for answer in answers if answer.id != "large"] == [0, 1, 2, 3]


async def test_the_answers_of_a_topic_that_was_made_anew_meanwhile_are_no_outcomes(
    kafka_settings: Kafka, topics: Topics
) -> None:
    # The new topic's first questions repeat the old one's, and would get their results.
    settings = replace(settings_for(kafka_settings), limits=Limits(deduplicate_s=0))
    await ask(kafka_settings, topics, 5)
    async with running_engine(settings, ScriptedPipeline()):
        await read_topic(kafka_settings, topics.answers, 5)
    await make_anew(kafka_settings, topics)
    await ask(kafka_settings, topics, 2)
    await ask(kafka_settings, topics, 2, first=100)
    pipeline = ScriptedPipeline()
    async with running_engine(settings, pipeline):
        await read_topic(kafka_settings, topics.answers, 9)
    assert asked(pipeline) == ["0/0", "0/1", "0/100", "0/101"]
    assert (await committed_offsets(settings))[0] == 4


async def test_a_map_that_grows_too_long_holds_the_rest_back_and_loses_nothing(
    kafka_settings: Kafka, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is stuck, and so many above it, at random, that the map has no short form."""
    # As many at once as on a machine of its own, and never out of the group.
    monkeypatch.setattr("streams.consumer.capacity.LATE_S", float("inf"))
    kafka_settings = replace(kafka_settings, session_timeout_s=60)
    count, more, release = 24_000, 200, asyncio.Event()
    chance = random.Random(4)
    held = {0} | {n for n in range(count) if chance.random() < 0.3}

    async def script(asked: Asked) -> Answered:
        if asked.source.offset in held:
            await release.wait()
        return answer_to(asked)

    settings = settings_for(kafka_settings, max_in_flight=count, deadline_s=300)
    pipeline = ScriptedPipeline(script)
    async with running_engine(settings, pipeline) as engine:
        await ask(kafka_settings, topics, count)
        assigned = engine.consumer._assignment.partitions
        await eventually(lambda: assigned[0].ceiling is not None, 60, "the ceiling")
        # It may come among them, where they end faster than the others begin.
        await eventually(
            lambda: len(pipeline.asked) + len(assigned[0].held_back) == count, 60, "the rest waits"
        )
        begun = len(pipeline.asked)
        assert begun > count / 2
        await ask(kafka_settings, topics, more, first=count)
        await eventually(
            lambda: len(assigned[0].held_back) == count - begun + more, 60, "what came since, and waits"
        )
        assert len(pipeline.asked) == begun
        assert engine.state()["partitions"]["0"]["commit_point"] == 0
        release.set()
        await eventually(
            lambda: engine.state()["partitions"]["0"]["committed"] == count + more, 60, "all is committed"
        )
    assert len(pipeline.asked) == count + more
    assert (await end_offsets(kafka_settings, topics.answers))[0] == count + more
    found = await read_topic(kafka_settings, topics.answers, count + more)
    assert {decode_answer(each.value).source.offset for each in found} == set(range(count + more))
