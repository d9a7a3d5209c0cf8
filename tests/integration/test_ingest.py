"""`kotae ingest` onto a real broker."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from schemas.codec import decode_document
from schemas.document import Document, parse_document_key
from schemas.topics import Topics
from streams.cli.main import run
from streams.settings.model import Kafka

Ingest = Callable[..., int]


@pytest.fixture
def ingest(kafka_settings: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingest:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOTAE_KAFKA__BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KOTAE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)
    return lambda *arguments: run(["ingest", *arguments])


async def on_topic(kafka: Kafka, count: int) -> dict[tuple[str, str], Document]:
    topic = Topics(kafka.topic_prefix).documents
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=9_000_000,
    )
    await consumer.start()
    found: dict[tuple[str, str], Document] = {}
    try:
        async with asyncio.timeout(20):
            while len(found) < count:
                record = await consumer.getone()
                found[parse_document_key(record.key)] = decode_document(record.value)
    finally:
        await consumer.stop()
    return found


async def test_readable_files_become_documents_and_others_are_reported(
    ingest: Ingest, topics: Topics, kafka_settings: Kafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Tea\n\n绿茶用八十度的水冲泡。")
    (tmp_path / "docs" / "b.txt").write_text("")
    (tmp_path / "set.jsonl").write_text("\n".join(f'{{"text": "Line {n}."}}' for n in range(1_200)))
    code = await asyncio.to_thread(ingest, "docs", "set.jsonl", "none.md", "--tenant", "räd/1", "--json")
    report = orjson.loads(capsys.readouterr().out)
    assert code == 1
    assert (report["documents"], report["files"], report["topic"]) == (1_201, 3, topics.documents)
    assert [problem["path"] for problem in report["problems"]] == ["none.md", "docs/b.txt"]
    found = await on_topic(kafka_settings, 1_201)
    assert found["räd/1", "docs/a.md"].title == "Tea"
    assert found["räd/1", "set.jsonl#1200"].text == "Line 1199."


async def test_a_large_document_is_sent_and_a_too_large_one_is_refused_alone(
    ingest: Ingest, topics: Topics, kafka_settings: Kafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "book.txt").write_text("A sentence of a book. " * 200_000)
    (tmp_path / "library.txt").write_text("A sentence of a library. " * 400_000)
    (tmp_path / "note.txt").write_text("A note.")
    assert await asyncio.to_thread(ingest, "book.txt", "library.txt", "note.txt") == 1
    told = capsys.readouterr()
    assert "2 documents from 3 files" in told.out
    assert told.err.startswith("kotae: library.txt: is too large")
    assert set(await on_topic(kafka_settings, 2)) == {("default", "book.txt"), ("default", "note.txt")}


async def test_a_run_without_problems_is_exit_code_0(
    ingest: Ingest, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("A note.")
    assert await asyncio.to_thread(ingest, str(tmp_path)) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out == f"wrote 1 document from 1 file to the topic {topics.documents}\n"


def test_a_missing_topic_is_reported_with_its_remedy(
    ingest: Ingest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("A note.")
    assert ingest("note.txt") == 1
    assert "kotae topics create" in capsys.readouterr().err


def test_wrong_usage_is_exit_code_2(ingest: Ingest) -> None:
    assert ingest() == 2
    assert ingest("x", "--tenant", "") == 2
