"""Documents while the embeddings' or the index's server refuses us, over a real broker: none is lost."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.embeddings.server import OpenAIEmbeddings
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.server import ServerIndex
from agents.knowledge.version import KnowledgeVersions
from schemas.answer import Answer
from schemas.codec import decode_answer, encode
from schemas.document import Document, document_key
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.remedies import remedy_for
from streams.assembly.worker import build_worker
from streams.knowledge.feed import KnowledgeFeed
from streams.settings.model import Embeddings, Kafka, Knowledge, Settings
from streams.settings.model import Worker as WorkerSettings
from streams.telemetry.hook import Hook
from streams.telemetry.troubles import Troubles
from streams.worker.life import Worker
from tests.support.embeddings_server import EmbeddingsServer, running_embeddings
from tests.support.engine import committed_offsets, producing, read_topic
from tests.support.qdrant_shim import QdrantShim, running_shim
from tests.support.system import eventually, free_port

GROUP = "kotae.knowledge"


@pytest.fixture
async def embedder() -> AsyncIterator[EmbeddingsServer]:
    async with running_embeddings() as server:
        yield server


@pytest.fixture(scope="module")
def qdrant() -> Iterator[tuple[str, QdrantShim]]:
    with running_shim() as running:
        yield running


async def put(kafka: Kafka, topics: Topics, *documents: Document) -> None:
    async with producing(kafka) as producer:
        for document in documents:
            key = document_key(document.tenant, document.id)
            await producer.send(topics.documents, encode(document), key=key)


@asynccontextmanager
async def worker_of(settings: Settings) -> AsyncIterator[Worker]:
    worker = await asyncio.to_thread(build_worker, settings, {}, lines_dropped=lambda: 0.0)
    running = asyncio.create_task(worker.run())
    try:
        await eventually(lambda: worker.ready().ok or running.done(), 60, "the worker is ready")
        yield worker
    finally:
        worker.stop()
        assert await running == 0


class Asker:
    """Asks one question after another, and reads the answer of each."""

    def __init__(self, kafka: Kafka, topics: Topics) -> None:
        self.kafka = kafka
        self.topics = topics
        self.asked = 0

    async def ask(self, text: str) -> Answer:
        question = Question(id=f"q{self.asked}", text=text)
        self.asked += 1
        async with producing(self.kafka) as producer:
            await producer.send(self.topics.questions, encode(question), key=question.id.encode())
        answers = [
            decode_answer(r.value) for r in await read_topic(self.kafka, self.topics.answers, self.asked)
        ]
        return next(answer for answer in answers if answer.id == question.id)


def quotes(answer: Answer) -> str:
    return " ".join(citation.quote for citation in answer.citations)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("store", ["embedded", "server"])
async def test_a_key_that_is_revoked_for_a_while_loses_no_change(
    kafka_settings: Kafka,
    topics: Topics,
    embedder: EmbeddingsServer,
    qdrant: tuple[str, QdrantShim],
    tmp_path: Path,
    store: str,
    restart: bool,
) -> None:
    knowledge = (
        Knowledge(path=str(tmp_path / "index"))
        if store == "embedded"
        else Knowledge(qdrant_url=qdrant[0], collection=f"test-{uuid.uuid4().hex}")
    )
    settings = Settings(
        kafka=kafka_settings,
        worker=WorkerSettings(group_id=f"{topics.answers}.workers", http_port=free_port()),
        embeddings=Embeddings(base_url=embedder.url, name="meanings"),
        knowledge=knowledge,
    )
    asker = Asker(kafka_settings, topics)
    question = "How many years does the warranty last?"
    office = Document(id="office", text="The office opens at nine.")
    await put(kafka_settings, topics, Document(id="w", text="The warranty lasts three years."), office)

    async def changed_while_revoked(worker: Worker) -> None:
        assert "three" in quotes(await asker.ask(question))
        embedder.status = 401
        await put(kafka_settings, topics, Document(id="w", text="The warranty lasts five years."))
        await eventually(lambda: worker.state()["knowledge"]["vectors_problem"], 20, "the refusal is told")
        assert worker.state()["knowledge"]["without_vectors"] == 1
        ready = worker.ready()
        assert ready.ok
        assert "1 documents have no vectors" in ready.reason
        assert "401" in ready.reason
        assert "five" in quotes(await asker.ask(question)), "found by words meanwhile"

    async def answered_afterwards(worker: Worker) -> None:
        embedder.status = 200
        await eventually(lambda: not worker.state()["knowledge"]["without_vectors"], 30, "the vectors")
        answer = await asker.ask(question)
        assert "five" in quotes(answer)
        assert "three" not in quotes(answer)
        state = worker.state()["knowledge"]
        assert (state["skipped"], state["problems"], state["vectors_problem"]) == (0, [], None)
        await eventually(lambda: worker.ready().reason == "ready", 20, "nothing is told any more")

    if restart:
        async with worker_of(settings) as worker:
            await changed_while_revoked(worker)
        async with worker_of(settings) as worker:
            assert worker.state()["knowledge"]["without_vectors"] == 1, "known from the index"
            await answered_afterwards(worker)
    else:
        async with worker_of(settings) as worker:
            await changed_while_revoked(worker)
            await answered_afterwards(worker)
    assert any("five" in text for texts in embedder.requests for text in texts)


@asynccontextmanager
async def feeding(
    kafka: Kafka,
    embedder: EmbeddingsServer | None,
    url: str | None,
    versions: KnowledgeVersions | None = None,
    hook: Hook | None = None,
) -> AsyncIterator[tuple[KnowledgeFeed, Any]]:
    """A feed, and its index: embedded, or on the server at `url`."""
    pool = HttpPool("embeddings", allowed={endpoint(embedder.url)} if embedder else ())
    embeddings = OpenAIEmbeddings(pool, embedder.url, "meanings") if embedder else None
    index: Any = (
        await asyncio.to_thread(EmbeddedIndex.open, embeddings=embeddings)
        if url is None
        else ServerIndex(url, f"test-{kafka.topic_prefix}", embeddings=embeddings)
    )
    group = f"{kafka.topic_prefix}{GROUP}" if url else None
    feed = KnowledgeFeed(kafka, index, hook or Hook(), group=group, versions=versions)
    await feed.start()
    try:
        yield feed, index
    finally:
        await feed.stop()
        await index.aclose()
        await pool.aclose()


@pytest.mark.parametrize("store", ["embedded", "server"])
async def test_a_text_that_the_embeddings_refuse_alone_is_found_by_words_and_told(
    kafka_settings: Kafka,
    topics: Topics,
    embedder: EmbeddingsServer,
    qdrant: tuple[str, QdrantShim],
    store: str,
) -> None:
    embedder.refuses = {"poison": 400}
    garage = Document(id="garage", text="The automobile stands in the yard.")
    await put(kafka_settings, topics, Document(id="p", tenant="acme", text="A bottle of poison."), garage)
    async with feeding(kafka_settings, embedder, qdrant[0] if store == "server" else None) as (feed, index):
        await eventually(lambda: feed.caught_up and feed.state()["problems"], 30, "the refusal")
        await eventually(lambda: not index.lacking, 20, "the other's vectors")
        [problem] = feed.state()["problems"]
        assert (problem["tenant"], problem["id"], problem["partition"], problem["offset"]) == (
            "acme",
            "p",
            0,
            0,
        )
        assert "scripted refusal 400" in problem["reason"]
        assert feed.state()["skipped"] == 1
        assert (await index.asearch("default", "car", 1))[0].document_id == "garage"
        assert (await index.asearch("acme", "bottle", 1))[0].document_id == "p"
        assert not index.weakened
        # Written again, it is tried again.
        embedder.refuses = {}
        await put(kafka_settings, topics, Document(id="p", tenant="acme", text="A bottle of poison."))
        await eventually(lambda: not feed.state()["problems"] and not index.lacking, 20, "it is in the index")


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422, 429, 500, 503])
async def test_a_server_that_refuses_every_text_is_waited_for(
    kafka_settings: Kafka, topics: Topics, embedder: EmbeddingsServer, status: int
) -> None:
    embedder.status = status
    troubles = Troubles(remedy_for)
    await put(kafka_settings, topics, Document(id="garage", text="The automobile stands in the yard."))
    async with feeding(kafka_settings, embedder, None, hook=troubles) as (feed, index):
        await eventually(lambda: feed.state()["vectors_problem"], 30, "the trouble is told")
        last = troubles.last_error("embeddings")
        assert last is not None, "/state says so without any search"
        assert (last["status"], "KOTAE_EMBEDDINGS__" in last["remedy"]) == (status, True)
        await eventually(lambda: feed.caught_up, 30, "the index is whole without vectors")
        assert feed.waits
        assert str(status) in feed.state()["vectors_problem"]
        assert (await index.asearch("default", "automobile", 1))[0].document_id == "garage"
        embedder.status = 200
        await eventually(lambda: not index.lacking, 30, "the vectors")
        assert (await index.asearch("default", "car", 1))[0].document_id == "garage"
        assert feed.state()["skipped"] == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500])
async def test_an_index_that_refuses_everything_is_waited_for_and_nothing_is_committed(
    kafka_settings: Kafka, topics: Topics, qdrant: tuple[str, QdrantShim], status: int
) -> None:
    url, shim = qdrant
    group = f"{kafka_settings.topic_prefix}{GROUP}"
    settings = Settings(kafka=kafka_settings, worker=WorkerSettings(group_id=group))

    async def committed() -> int:
        return sum((await committed_offsets(settings, topics.documents)).values())

    await put(kafka_settings, topics, Document(id="a", text="The first."))
    troubles = Troubles(remedy_for)
    async with feeding(kafka_settings, None, url, hook=troubles) as (feed, index):
        await eventually(lambda: feed.caught_up, 30, "the first document")
        shim.failing = status
        try:
            await put(kafka_settings, topics, Document(id="b", text="The second."))
            await eventually(lambda: feed.state()["problem"], 30, "the trouble is told")
            assert str(status) in feed.state()["problem"]
            assert str(status) in " ".join(feed.notes())
            last = troubles.last_error("knowledge")
            assert last is not None
            assert (last["status"], "KOTAE_KNOWLEDGE__" in last["remedy"]) == (status, True)
            assert await committed() == 1
        finally:
            shim.failing = None

        await eventually(lambda: feed.state()["documents"] == 2, 30, "the second document")
        assert feed.state()["skipped"] == 0
        assert (await index.asearch("default", "second", 1))[0].document_id == "b"


async def test_a_shared_index_knows_which_key_holds_a_document_when_another_worker_reads_on(
    kafka_settings: Kafka, topics: Topics, qdrant: tuple[str, QdrantShim]
) -> None:
    async def write(*records: tuple[bytes, bytes | None]) -> None:
        async with producing(kafka_settings) as producer:
            for key, value in records:
                await producer.send(topics.documents, value, key=key)

    watched = KnowledgeVersions()
    gull, tern = (Document(id=name, tenant="acme", text=f"A {name}.") for name in ("gull", "tern"))
    await write((b'"acme/gull"', encode(gull)), (b"7", encode(tern)))
    async with feeding(kafka_settings, None, qdrant[0]) as (feed, index):
        await eventually(lambda: feed.caught_up and feed.state()["documents"] == 2, 30, "the documents")
    async with feeding(kafka_settings, None, qdrant[0], versions=watched) as (feed, index):
        await eventually(lambda: feed.caught_up and watched.of("acme"), 30, "the second reader")
        before = watched.of("acme")
        await write(
            (b'"acme/gull"', None), (b"7", encode(Document(id="owl", tenant="other", text="An owl.")))
        )
        await eventually(lambda: feed.state()["tombstones"] == 2, 30, "both deletions")
        assert await index.asearch("acme", "gull tern", 5) == []
        assert (await index.asearch("other", "owl", 5))[0].document_id == "owl"
        await eventually(lambda: watched.of("acme") not in {None, before}, 30, "another version")


async def test_the_next_reader_of_a_shared_index_still_lists_the_skipped_documents(
    kafka_settings: Kafka, topics: Topics, qdrant: tuple[str, QdrantShim]
) -> None:
    async def write(*records: tuple[bytes, bytes]) -> None:
        async with producing(kafka_settings) as producer:
            for key, value in records:
                await producer.send_and_wait(topics.documents, value, key=key)

    good = encode(Document(id="gull", tenant="acme", text="A gull."))
    await write((document_key("acme", "tern"), b"no document"), (document_key("acme", "gull"), good))
    async with feeding(kafka_settings, None, qdrant[0]) as (feed, _):
        await eventually(lambda: feed.caught_up and feed.state()["problems"], 30, "the first reader")
        told = feed.state()["problems"]
    async with feeding(kafka_settings, None, qdrant[0]) as (feed, _):
        await eventually(lambda: feed.caught_up and feed.state()["problems"], 30, "the second reader")
        assert feed.state()["problems"] == told
        assert "'kotae documents problems' lists them" in " ".join(feed.notes())
        tern = encode(Document(id="tern", tenant="acme", text="A tern."))
        await write((document_key("acme", "tern"), tern))
        await eventually(lambda: not feed.state()["problems"], 30, "it is mended")
    async with feeding(kafka_settings, None, qdrant[0]) as (feed, _):
        await eventually(lambda: feed.caught_up, 30, "the third reader")
        assert feed.state()["problems"] == []
