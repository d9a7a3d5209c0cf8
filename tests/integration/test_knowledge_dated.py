"""What answers say about the knowledge that they rest on, while it changes, over a real broker."""

import asyncio
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.embeddings.server import OpenAIEmbeddings
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.knowledge.dated import DatedRetriever
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.retriever import IndexRetriever
from agents.knowledge.version import KnowledgeVersions
from agents.run import Run
from schemas.answer import AnswerKnowledge
from schemas.codec import encode
from schemas.document import Document, document_key
from schemas.question import Question
from schemas.topics import Topics
from streams.knowledge.feed import KnowledgeFeed
from streams.settings.model import Kafka, Settings
from streams.settings.model import Worker as WorkerSettings
from streams.telemetry.hook import Hook
from tests.integration.test_knowledge_troubles import Asker, put, quotes, worker_of
from tests.support.components import RecordingObserver
from tests.support.embeddings_server import running_embeddings
from tests.support.engine import producing
from tests.support.system import eventually, free_port

PARTS = 40
"""Paragraphs of the document that changes, each a chunk or a part of one."""

VERSIONS = 25


def manual(version: int, tenant: str = "default") -> Document:
    """A document of many chunks, each of which says which version it is of."""
    filler = "Read this page to its end before you begin, and keep it for later. " * 12
    parts = (f"Warranty of part {n}: edition {version} holds. {filler}" for n in range(PARTS))
    return Document(id="manual", tenant=tenant, text="\n\n".join(parts))


def editions(texts: Iterable[str]) -> set[int]:
    return {int(found) for text in texts for found in re.findall(r"edition (\d+)", text)}


@pytest.mark.parametrize("dense", [False, True])
async def test_an_exact_position_holds_whatever_changes_during_the_search(
    kafka_settings: Kafka, topics: Topics, dense: bool
) -> None:
    """A search with the exact offset N finds no record at or above N, and misses none below."""
    versions = KnowledgeVersions()
    offsets: list[int] = []  # of each edition
    exact = 0
    async with running_embeddings() as server:
        pool = HttpPool("embeddings", allowed={endpoint(server.url)})
        embeddings = OpenAIEmbeddings(pool, server.url, "meanings") if dense else None
        index = await asyncio.to_thread(EmbeddedIndex.open, "", embeddings)
        retriever = DatedRetriever(IndexRetriever(index, 8), versions, shared=False)
        feed = KnowledgeFeed(kafka_settings, index, Hook(), versions=versions)
        await feed.start()
        await eventually(lambda: versions.known, 30, "the feed has read everything")

        async def change() -> None:
            async with producing(kafka_settings) as producer:
                for version in range(VERSIONS):
                    other = manual(1000 + version, "other")
                    await producer.send(topics.documents, encode(other), document_key("other", "manual"))
                    document = manual(version)
                    key = document_key("default", "manual")
                    sent = await producer.send_and_wait(topics.documents, encode(document), key)
                    offsets.append(sent.offset)
                    await asyncio.sleep(0.05)

        changing = asyncio.create_task(change())
        loop = asyncio.get_running_loop()
        asked = 0
        seen: list[tuple[AnswerKnowledge | None, set[int], int]] = []
        while not (changing.done() and (versions.position or (0,))[0] > max(offsets, default=0)):
            question = Question(id=f"q{asked}", text=f"The warranty of part {asked % PARTS}?")
            run = Run(question, loop.time() + 10, RecordingObserver())
            passages = await retriever.aretrieve(question, run.call("retrieve", run.deadline))
            seen.append((run.knowledge, editions(passage.text for passage in passages), len(passages)))
            asked += 1
            await asyncio.sleep(0)
        await changing
        for knowledge, found, count in seen:
            if knowledge is None:
                assert found <= {0}, "before the first record, or while it comes in"
                continue
            below = [version for version, at in enumerate(offsets) if at < knowledge.offset]
            if knowledge.exact:
                exact += 1
                assert found == ({below[-1]} if below else set())
                assert count in {0, 8}
            else:
                assert not below or max(found) >= below[-1]
        assert exact >= 3, "else little is tested"
        await feed.stop()
        await index.aclose()
        await pool.aclose()


async def test_answers_name_their_knowledge_and_the_worker_its_delays(
    kafka_settings: Kafka, topics: Topics, tmp_path: Path
) -> None:
    settings = Settings(
        kafka=kafka_settings,
        worker=WorkerSettings(group_id=f"{topics.answers}.workers", http_port=free_port()),
    )
    asker = Asker(kafka_settings, topics)
    began = datetime.now(UTC)
    async with worker_of(settings) as worker:
        nothing = await asker.ask("Which edition holds?")
        assert nothing.knowledge is None
        for version in range(3):
            await put(kafka_settings, topics, manual(version), manual(version, "other"))
            await eventually(
                lambda: worker.state()["knowledge"]["documents"] == 2 * version + 2,  # noqa: B023
                30,
                "the change is in the index",
            )
            answer = await asker.ask(f"Which edition of the warranty holds for part {version}?")
            assert answer.knowledge is not None
            assert (answer.knowledge.offset, answer.knowledge.exact) == (2 * version + 2, True)
            assert began <= answer.knowledge.at <= answer.created_at
            assert editions([quotes(answer)]) == {version}
        slowest = worker.state()["knowledge"]["slowest_tenants"]
        assert {each["tenant"] for each in slowest} == {"default", "other"}
        metrics = worker.status._metrics().decode()
        assert "kotae_knowledge_delay_seconds_count 6.0" in metrics
