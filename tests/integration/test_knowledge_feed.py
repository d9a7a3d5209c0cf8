"""The feed of the `documents` topic into the index, over a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from agents.errors import PermanentError, TransientError
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.index import Positions
from agents.knowledge.version import KnowledgeVersions
from schemas.codec import encode
from schemas.document import Document, document_key
from schemas.topics import Topics
from streams.kafka.topics import acreate_topics
from streams.knowledge.feed import KnowledgeFeed
from streams.settings.model import Kafka, Settings, Worker
from streams.telemetry.hook import Hook
from tests.support.engine import committed_offsets
from tests.support.knowledge import MeaningList

Put = Callable[..., Awaitable[None]]

GROUP = "kotae.knowledge"


class Told(Hook):
    def __init__(self) -> None:
        self.documents = self.tombstones = 0
        self.skipped: list[str] = []

    def knowledge_changed(self, documents: int, tombstones: int) -> None:
        self.documents += documents
        self.tombstones += tombstones

    def document_skipped(self, problem: str) -> None:
        self.skipped.append(problem)


@pytest.fixture
def settings(kafka_settings: Kafka) -> Settings:
    return Settings(kafka=kafka_settings)


@pytest.fixture
async def index() -> AsyncIterator[EmbeddedIndex]:
    made = await asyncio.to_thread(EmbeddedIndex.open)
    yield made
    await made.aclose()


@pytest.fixture
async def put(topics: Topics, kafka_settings: Kafka) -> AsyncIterator[Put]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka_settings.bootstrap_servers, acks="all")
    await producer.start()

    async def send(*messages: Document | tuple[bytes, bytes | None]) -> None:
        for message in messages:
            if isinstance(message, Document):
                key, value = document_key(message.tenant, message.id), encode(message)
                await producer.send(topics.documents, value, key)
            else:
                await producer.send(topics.documents, message[1], message[0])
        await producer.flush()

    yield send
    await producer.stop()


async def until(condition: Callable[[], object | Awaitable[object]], limit_s: float = 20) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            met = condition()
            if asyncio.iscoroutine(met):
                met = await met
            if met:
                return
            await asyncio.sleep(0.02)


def numbered(count: int, tenant: str = "default") -> list[Document]:
    return [Document(id=f"d{n}", tenant=tenant, text=f"Item {n} is here.") for n in range(count)]


async def test_the_topics_records_are_indexed_and_then_its_new_ones(
    settings: Settings, index: EmbeddedIndex, put: Put
) -> None:
    told = Told()
    await put(*numbered(300))
    feed = KnowledgeFeed(settings.kafka, index, told)
    await feed.start()
    await until(lambda: feed.caught_up)
    assert await index.acount() == 300
    assert told.documents == feed.state()["documents"] == 300
    await put(Document(id="late", text="A latecomer."), (document_key("default", "d0"), None))
    await until(lambda: told.tombstones)
    await until(lambda: index.asearch("default", "latecomer", 1))
    assert await index.acount() == 300
    await feed.stop()
    partition = feed.state()["partitions"]["0"]
    assert (partition["next_offset"], partition["end_at_start"]) == (302, 300)


async def test_a_feed_of_an_empty_topic_has_caught_up_at_once(
    settings: Settings, index: EmbeddedIndex, topics: Topics
) -> None:
    feed = KnowledgeFeed(settings.kafka, index, Hook())
    await feed.start()
    await until(lambda: feed.caught_up)
    await feed.stop()


async def test_records_that_are_not_documents_are_counted_and_skipped(
    settings: Settings, index: EmbeddedIndex, put: Put
) -> None:
    told = Told()
    good = Document(id="good", text="Good.")
    await put(
        (document_key("default", "x"), b"{truncated"),
        (document_key("default", "x"), b"\xff\xfe"),
        (document_key("default", "x"), b'{"id": "x"}'),
        (document_key("default", "other"), encode(good)),
        (document_key("other", "good"), encode(good)),
        (b"no-slash", None),
        (b"\xff\xff/x", None),
        (document_key("default", "x"), b"[" * 10_000 + b"]" * 10_000),
        good,
    )
    feed = KnowledgeFeed(settings.kafka, index, told)
    await feed.start()
    await until(lambda: feed.caught_up)
    assert await index.acount() == 1
    assert len(told.skipped) == feed.state()["skipped"] == 6
    assert [(each["tenant"], each["id"], each["offset"]) for each in feed.state()["problems"]] == [
        ("", "no-slash", 5),
        ("", "\\xff\\xff/x", 6),
        ("default", "x", 7),
    ]
    assert "6 of 9 records" in feed.notes()[0]
    await feed.stop()


async def test_documents_under_keys_of_another_form_are_taken_and_deleted_by_these(
    settings: Settings, put: Put, tmp_path: Path
) -> None:
    quoted, struct = b'"default/a"', b'{"tenant":"default","id":"b"}'
    one = Document(id="a", text="A gull.")
    await put((quoted, encode(one)), (struct, encode(Document(id="b", text="A tern."))))
    await put((b"42", encode(Document(id="c", text="A heron."))))
    await put((b"43", encode(Document(id="e", tenant="acme", text="An owl."))), (b'"default/z"', None))

    async def texts(index: EmbeddedIndex) -> list[str]:
        return sorted(each.text for each in await index.asearch("default", "gull tern heron stork", 9))

    index = await asyncio.to_thread(EmbeddedIndex.open, str(tmp_path))
    feed = KnowledgeFeed(settings.kafka, index, Hook())
    await feed.start()
    await until(lambda: feed.caught_up)
    assert await texts(index) == ["A gull.", "A heron.", "A tern."]
    assert feed.state()["skipped"] == 1, "a tombstone that deletes nothing"
    await feed.stop()
    await index.aclose()

    # Another process goes on from what was saved.
    index = await asyncio.to_thread(EmbeddedIndex.open, str(tmp_path))
    versions = KnowledgeVersions()
    feed = KnowledgeFeed(settings.kafka, index, Hook(), versions=versions)
    await feed.start()
    await until(lambda: feed.caught_up and versions.of("acme"))
    before = versions.of("acme")
    await put((quoted, None), (b"42", encode(Document(id="d", text="A stork."))), (b"43", None))
    await until(lambda: feed.state()["tombstones"] == 3)
    assert await texts(index) == ["A stork.", "A tern."]
    assert await index.asearch("acme", "owl", 5) == []
    assert versions.of("acme") != before
    await feed.stop()
    await index.aclose()


async def test_the_last_version_of_a_key_wins(settings: Settings, index: EmbeddedIndex, put: Put) -> None:
    key = document_key("default", "d")
    first, last = Document(id="d", text="First."), Document(id="d", text="Last.")
    await put(
        first, (key, None), last, Document(id="gone", text="Gone."), (document_key("default", "gone"), None)
    )
    feed = KnowledgeFeed(settings.kafka, index, Hook())
    await feed.start()
    await until(lambda: feed.caught_up)
    assert [passage.text for passage in await index.asearch("default", "first last gone", 5)] == ["Last."]
    await feed.stop()


async def test_a_feed_waits_for_its_topic(settings: Settings, index: EmbeddedIndex) -> None:
    feed = KnowledgeFeed(settings.kafka, index, Hook())
    await feed.start()
    await until(lambda: feed.state()["problem"])
    assert "documents" in feed.state()["problem"]
    assert not feed.caught_up
    await acreate_topics(settings.kafka)
    await until(lambda: feed.caught_up)
    assert feed.state()["problem"] is None
    await feed.stop()


async def test_without_a_broker_the_feed_keeps_trying_until_stopped(index: EmbeddedIndex) -> None:
    feed = KnowledgeFeed(Kafka(bootstrap_servers="127.0.0.1:1"), index, Hook())
    await feed.start()
    await until(lambda: feed.state()["problem"])
    async with asyncio.timeout(5):
        await feed.stop()
    assert not feed.caught_up


class TestRestart:
    async def run_once(self, settings: Settings, path: Path) -> tuple[int, int]:
        """Documents read, and chunks there are, of one life of a worker."""
        index = await asyncio.to_thread(EmbeddedIndex.open, str(path))
        feed = KnowledgeFeed(settings.kafka, index, Hook())
        await feed.start()
        await until(lambda: feed.caught_up)
        count = await index.acount()
        await feed.stop()
        await index.aclose()
        return feed.state()["documents"], count

    async def test_only_new_records_are_read(self, settings: Settings, put: Put, tmp_path: Path) -> None:
        await put(*numbered(20))
        assert await self.run_once(settings, tmp_path) == (20, 20)
        await put(Document(id="new", text="New."), (document_key("default", "d3"), None))
        assert await self.run_once(settings, tmp_path) == (1, 20)
        assert await self.run_once(settings, tmp_path) == (0, 20)

    async def test_a_restarted_feed_has_the_version_of_one_that_ran_on(
        self, settings: Settings, index: EmbeddedIndex, put: Put, tmp_path: Path
    ) -> None:
        await put(*numbered(3), *numbered(2, "other"))
        await self.run_once(settings, tmp_path)
        await put(Document(id="d0", tenant="other", text="Changed."), (document_key("default", "x"), b"{"))
        ran, restarted = KnowledgeVersions(), KnowledgeVersions()
        saved = await asyncio.to_thread(EmbeddedIndex.open, str(tmp_path))
        feeds = [
            KnowledgeFeed(settings.kafka, index, Hook(), versions=ran),
            KnowledgeFeed(settings.kafka, saved, Hook(), versions=restarted),
        ]
        assert ran.of("default") is None
        for feed in feeds:
            await feed.start()
        await until(lambda: all(feed.caught_up for feed in feeds))
        before = ran.of("default"), ran.of("other"), ran.of("nobody")
        assert None not in before
        assert before == (restarted.of("default"), restarted.of("other"), restarted.of("nobody"))
        await put((document_key("other", "d1"), None))
        await until(lambda: ran.of("other") != before[1] and ran.of("other") == restarted.of("other"))
        assert (ran.of("default"), restarted.of("default")) == (before[0], before[0])
        for feed in feeds:
            await feed.stop()
        await saved.aclose()

    async def test_an_index_of_other_records_or_long_ago_is_compared_with_the_topic(
        self, settings: Settings, put: Put, topics: Topics, tmp_path: Path
    ) -> None:
        """It keeps what has not changed, and loses what the topic does not hold any more."""
        embeddings = MeaningList()
        index = await asyncio.to_thread(EmbeddedIndex.open, str(tmp_path), embeddings)
        await index.aupsert(numbered(5))
        await put(*numbered(4), Document(id="d4", text="Changed."))
        for number, positions in enumerate(
            (
                Positions("other.documents", {0: 3}, time.time()),
                Positions(topics.documents, {0: 99}, time.time()),
                Positions(topics.documents, {0: 3}, time.time() - 9 * 24 * 3600),
                Positions(topics.documents, {0: 3}, time.time() + 3600),
                Positions(topics.documents, {}, time.time(), whole=False),
            )
        ):
            await index.aupsert([Document(id="compacted", text=f"Compacted away {number}.")])
            await index.asave(positions)
            await index.aclose()
            embeddings.texts.clear()
            index = await asyncio.to_thread(EmbeddedIndex.open, str(tmp_path), embeddings)
            feed = KnowledgeFeed(settings.kafka, index, told := Told())
            await feed.start()
            await until(lambda: feed.caught_up)  # noqa: B023 - called before the next one is made
            assert embeddings.texts == (["Changed."] if number == 0 else [])
            assert await index.anames() == {("default", f"d{n}") for n in range(5)}
            assert told.tombstones == 1
            await feed.stop()
            assert index.positions is not None
            assert index.positions.whole
        await index.aclose()

    async def test_an_index_of_a_week_ago_goes_on_where_it_was(
        self, settings: Settings, put: Put, topics: Topics, tmp_path: Path
    ) -> None:
        """The topic keeps a deletion for its lag of compaction and a day more, eight days in all."""
        await put(*numbered(3))
        index = await asyncio.to_thread(EmbeddedIndex.open, str(tmp_path))
        await index.aupsert(numbered(3))
        await index.asave(Positions(topics.documents, {0: 3}, time.time() - 7.9 * 24 * 3600))
        await index.aclose()
        await put(Document(id="new", text="New."), (document_key("default", "d0"), None))
        assert await self.run_once(settings, tmp_path) == (1, 3)

    async def test_a_rebuild_that_was_stopped_goes_on_with_what_it_has(
        self, settings: Settings, put: Put, tmp_path: Path
    ) -> None:
        await put(*numbered(600))
        embeddings = MeaningList()
        index = await asyncio.to_thread(Held.open, str(tmp_path), embeddings)
        index.after = 250
        feed = KnowledgeFeed(settings.kafka, index, Hook())
        await feed.start()
        await until(lambda: index.taken >= 250)
        assert any(" of 600" in note for note in feed.notes())
        rebuild = feed.state()["rebuild"]
        assert (rebuild["offsets"], rebuild["read"], rebuild["documents"]) == (600, 600, 600)
        await feed.stop()
        await index.aclose()
        assert 0 < len(embeddings.texts) < 600

        again = await asyncio.to_thread(EmbeddedIndex.open, str(tmp_path), embeddings)
        feed = KnowledgeFeed(settings.kafka, again, Hook())
        await feed.start()
        await until(lambda: feed.caught_up)
        assert feed.state()["rebuild"] is None
        assert await again.acount() == len(set(embeddings.texts)) == len(embeddings.texts) == 600
        await feed.stop()
        await again.aclose()


async def test_a_build_indexes_the_last_record_of_each_document_alone(
    settings: Settings, put: Put, index: EmbeddedIndex
) -> None:
    for version in range(5):
        await put(*(Document(id=f"d{n}", text=f"Version {version} of {n}.") for n in range(100)))
    await put(
        *((document_key("default", f"d{n}"), None) for n in range(50)),
        (b"foreign", encode(Document(id="f", text="Foreign."))),
        (b"foreign", None),
        (document_key("default", "d99"), b"{"),
    )
    versions = KnowledgeVersions()
    feed = KnowledgeFeed(settings.kafka, index, told := Told(), versions=versions)
    await feed.start()
    await until(lambda: feed.caught_up and versions.known)
    assert told.documents == feed.state()["documents"] == 50
    assert await index.anames() == {("default", f"d{n}") for n in range(50, 100)}
    assert [each.text for each in await index.asearch("default", "version 99", 1)] == ["Version 4 of 99."]
    assert feed.state()["skipped"] == 1, "the deletion under a foreign key is none"
    position = versions.position
    assert position is not None
    assert position.offset == 553
    assert (versions.of("default") or ())[0][:2] == (0, 551), "of the last record that is one"
    await feed.stop()


class Refusing(EmbeddedIndex):
    """Refuses one document for good, and everything once for the moment."""

    away = True

    async def aupsert(self, documents: Sequence[Document], begun: Callable[[], None] = lambda: None) -> None:
        if self.away:
            self.away = False
            raise TransientError("knowledge", "connection refused")
        if any(document.id == "poison" for document in documents):
            raise PermanentError("knowledge", "too much")
        await super().aupsert(documents, begun)


async def test_a_refused_document_does_not_stop_the_others(settings: Settings, put: Put) -> None:
    told = Told()
    await put(*numbered(3), Document(id="poison", text="Poison."), Document(id="last", text="Last."))
    index = await asyncio.to_thread(Refusing.open)
    feed = KnowledgeFeed(settings.kafka, index, told)
    await feed.start()
    await until(lambda: feed.caught_up)
    assert await index.acount() == 4
    assert len(told.skipped) == 1
    assert "poison" in told.skipped[0]
    await feed.stop()
    await index.aclose()


class Held(EmbeddedIndex):
    """Accepts no document while it is held, as it is once it has taken `after`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.held = asyncio.Event()
        self.held.set()
        self.taken, self.after = 0, 1 << 60

    async def aupsert(self, documents: Sequence[Document], begun: Callable[[], None] = lambda: None) -> None:
        if self.taken >= self.after:
            self.held.clear()
        await self.held.wait()
        await super().aupsert(documents, begun)
        self.taken += len(documents)


class TestShared:
    """Several feeds of one index share the topic as a consumer group."""

    async def test_each_document_is_read_once_by_one_feed(
        self, settings: Settings, index: EmbeddedIndex, put: Put
    ) -> None:
        told = [Told(), Told()]
        await put(*numbered(50))
        feeds = [KnowledgeFeed(settings.kafka, index, each, group=GROUP) for each in told]
        for feed in feeds:
            await feed.start()
        await until(lambda: all(feed.caught_up for feed in feeds), 40)
        assert await index.acount() == 50
        for feed in feeds:
            await feed.stop()
        again = KnowledgeFeed(settings.kafka, index, third := Told(), group=GROUP)
        await again.start()
        await until(lambda: again.caught_up)
        assert third.documents == 0
        await put(Document(id="late", text="Late."))
        await until(lambda: third.documents == 1)
        await again.stop()

    async def test_all_feeds_agree_on_the_version_of_the_shared_index(
        self, settings: Settings, put: Put
    ) -> None:
        index = await asyncio.to_thread(Held.open)
        index.held.clear()  # both read the group's commits before it commits anything
        await put(*numbered(3), *numbered(2, "other"))
        versions = [KnowledgeVersions() for _ in range(3)]
        feeds = [
            KnowledgeFeed(settings.kafka, index, Hook(), group=GROUP, versions=each) for each in versions
        ]
        for feed in feeds[:2]:
            await feed.start()
        await until(lambda: all(each.known for each in versions[:2]), 40)
        index.held.set()
        await until(lambda: all(each.of("default") and each.of("other") for each in versions[:2]), 40)
        before = versions[0].of("default"), versions[0].of("other")
        assert before == (versions[1].of("default"), versions[1].of("other"))
        assert versions[0].of("nobody") is not None

        index.held.clear()
        await put(Document(id="d0", tenant="other", text="Changed."))
        await until(lambda: all(each.of("other") is None for each in versions[:2]))
        assert [each.of("default") for each in versions[:2]] == [before[0]] * 2
        await feeds[2].start()  # it begins before the index holds all records
        await until(lambda: versions[2].of("default"))
        assert versions[2].of("other") is None
        index.held.set()
        await until(lambda: all(each.of("other") for each in versions))
        now = versions[0].of("other")
        assert now != before[1]
        assert [each.of("other") for each in versions] == [now] * 3
        for feed in feeds:
            await feed.stop()
        assert versions[0].of("default") is None
        await index.aclose()

    async def test_an_empty_index_is_filled_with_the_last_record_of_each_document(
        self, settings: Settings, index: EmbeddedIndex, put: Put, topics: Topics
    ) -> None:
        for version in range(4):
            await put(*(Document(id=f"d{n}", text=f"Version {version} of {n}.") for n in range(100)))
        await put(*((document_key("default", f"d{n}"), None) for n in range(20)))
        feed = KnowledgeFeed(settings.kafka, index, told := Told(), group=GROUP)
        await feed.start()
        await until(lambda: feed.caught_up)
        assert told.documents == 80
        assert await index.anames() == {("default", f"d{n}") for n in range(20, 100)}
        await put(Document(id="late", text="Late."))
        await until(lambda: told.documents == 81)
        await feed.stop()
        ours = replace(settings, worker=Worker(group_id=GROUP))
        assert await committed_offsets(ours, topics.documents) == {0: 421}

    async def test_an_emptied_index_is_filled_again(
        self, settings: Settings, index: EmbeddedIndex, put: Put
    ) -> None:
        await put(*numbered(10))
        for _ in range(2):
            feed = KnowledgeFeed(settings.kafka, index, Hook(), group=GROUP)
            await feed.start()
            await until(lambda: feed.caught_up)  # noqa: B023 - called before the next one is made
            await feed.stop()
            assert await index.acount() == 10
            await index.aclear()
