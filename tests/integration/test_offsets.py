"""`kotae offsets show` against commits on a real broker."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from schemas.topics import Topics
from streams.cli.main import run
from streams.consumer.offset_map import encode
from streams.settings.model import Kafka
from tests.support.kafka import configure_topic

Show = Callable[..., int]


@pytest.fixture
def group(topic_prefix: str) -> str:
    return f"{topic_prefix}workers"


@pytest.fixture
def show(kafka_settings: Kafka, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOTAE_KAFKA__BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KOTAE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)
    monkeypatch.setenv("KOTAE_WORKER__GROUP_ID", group)
    return lambda *arguments: run(["offsets", "show", *arguments])


async def produce(
    kafka: Kafka, counts: dict[int, int], timestamp_ms: Callable[[int], int] | None = None, **options: Any
) -> None:
    """Write `counts` records to the partitions of `questions`; a transaction ends in a marker."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, **options)
    topic = Topics(kafka.topic_prefix).questions
    await producer.start()
    try:
        if options:
            await producer.begin_transaction()
        for partition, count in counts.items():
            for i in range(count):
                stamp = None if timestamp_ms is None else timestamp_ms(i)
                await producer.send_and_wait(topic, b"{}", partition=partition, timestamp_ms=stamp)
        if options:
            await producer.commit_transaction()
    finally:
        await producer.stop()


async def until_ends(kafka: Kafka, ends: dict[int, int]) -> None:
    """Wait for these end offsets: the broker writes a transaction's markers after its reply."""
    topic = Topics(kafka.topic_prefix).questions
    wanted = {TopicPartition(topic, partition): end for partition, end in ends.items()}
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers)
    await consumer.start()
    try:
        async with asyncio.timeout(10):
            while await consumer.end_offsets(list(wanted)) != wanted:  # noqa: ASYNC110 - a broker sends no event
                await asyncio.sleep(0.02)
    finally:
        await consumer.stop()


async def commit(kafka: Kafka, group: str, commits: dict[int, tuple[int, str]]) -> None:
    """Commit like a worker, but without subscribing, so that no group has to be joined."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    topic = Topics(kafka.topic_prefix).questions
    consumer.assign([TopicPartition(topic, partition) for partition in commits])
    await consumer.start()
    try:
        await consumer.commit(
            {TopicPartition(topic, each): OffsetAndMetadata(*value) for each, value in commits.items()}
        )
    finally:
        await consumer.stop()


async def test_commits_are_shown_by_partition(
    show: Show, topics: Topics, kafka_settings: Kafka, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    began = int(time.time() * 1000) - 100_000
    await configure_topic(kafka_settings, topics.questions, message_timestamp_type="CreateTime")
    await produce(kafka_settings, {0: 20, 1: 5}, timestamp_ms=lambda i: began + 1_000 * i)
    await commit(
        kafka_settings,
        group,
        {0: (10, encode(10, [11, 12, 15, 16], 321).metadata), 1: (5, "another tool's")},
    )
    assert await asyncio.to_thread(show, "--json") == 0
    first, second, third = orjson.loads(capsys.readouterr().out)
    age = first.pop("oldest_age_s")
    assert first == {
        "partition": 0,
        "commit_point": 10,
        "start_offset": 0,
        "end_offset": 20,
        "held": 0,
        "lag": 6,
        "map": "read",
        "completed": 4,
        "incomplete": [[10, 10], [13, 14]],
        "oldest_timestamp_ms": began + 10_000,
        "scan_from": 321,
    }
    assert 90 <= age < 120
    assert (second["map"], second["lag"], second["oldest_age_s"]) == ("foreign", 0, None)
    assert (third["commit_point"], third["lag"], third["oldest_age_s"]) == (None, 0, None)

    assert await asyncio.to_thread(show, "--group", group) == 0
    shown = capsys.readouterr().out
    assert "incomplete: 10, 13-14" in shown
    assert "is not an offset map of Kotae" in shown


async def test_the_oldest_age_skips_offsets_without_a_record(
    show: Show, topics: Topics, kafka_settings: Kafka, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A transaction's marker takes an offset; the record behind it may be done."""
    began = int(time.time() * 1000) - 100_000
    await configure_topic(kafka_settings, topics.questions, message_timestamp_type="CreateTime")
    await produce(kafka_settings, {0: 2, 2: 1}, transactional_id=group)
    await until_ends(kafka_settings, {0: 3, 2: 2})
    await produce(kafka_settings, {0: 3}, timestamp_ms=lambda i: began + 1_000 * i)
    await commit(kafka_settings, group, {0: (2, encode(2, [3], 0).metadata), 2: (1, "")})
    assert await asyncio.to_thread(show, "--json") == 0
    first, _, third = orjson.loads(capsys.readouterr().out)
    assert (first["oldest_timestamp_ms"], first["scan_from"]) == (began + 1_000, 0)
    assert (third["lag"], third["oldest_timestamp_ms"], third["map"]) == (0, None, "none"), "only a marker"


async def test_a_missing_group_is_reported(
    show: Show, topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(show, "--group", "nobody-of-this-name") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert "has no group 'nobody-of-this-name'" in line


async def test_a_missing_topic_is_reported(show: Show, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(show) == 1
    assert "kotae topics create" in capsys.readouterr().err
