"""The settings choose a vector store; everything else follows from its entry in the registry."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.errors import TransientError
from agents.knowledge.index import OwnIndex
from agents.pipeline import Asked
from schemas.answer import Answer
from schemas.document import Document
from schemas.question import Question, Turn
from streams.assembly.answerer import Answerer, build_answerer
from streams.assembly.stores import STORES, StoreParts, VectorStore, choose_store
from streams.settings.model import Knowledge, Settings
from tests.support.components import SOURCE, RecordingObserver
from tests.support.knowledge import ListIndex, list_store

SERVER = Knowledge(qdrant_url="http://127.0.0.1:9", collection="theirs", qdrant_api_key="sk-secret")
DOCUMENTS = [Document(id="warranty", text="The warranty lasts three years.")]

Build = Callable[..., Awaitable[Answerer]]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    built: list[Answerer] = []

    async def build(*stores: VectorStore) -> Answerer:
        made = await asyncio.to_thread(
            build_answerer, Settings(), {}, RecordingObserver(), stores=(*stores, *STORES)
        )
        made.versions.begin()
        built.append(made)
        return made

    yield build
    for answerer in built:
        await answerer.aclose()


async def ask(answerer: Answerer, earlier: str = "Hello.") -> Answer:
    deadline = asyncio.get_running_loop().time() + 5
    # After another reply it is another question to the answer cache, and the same search.
    question = Question(id="q", text="How long is the warranty?", history=[Turn("assistant", earlier)])
    return (await answerer.pipeline.aanswer(Asked(question, SOURCE, deadline))).answer


@pytest.mark.parametrize(("knowledge", "name"), [(Knowledge(), "embedded"), (SERVER, "qdrant")])
def test_a_server_is_chosen_where_its_address_is_set_and_else_the_embedded_engine(
    knowledge: Knowledge, name: str
) -> None:
    assert choose_store(knowledge, STORES).name == name


def test_only_a_shared_index_is_filled_by_a_group() -> None:
    assert {store.name: store.group("qa") for store in STORES} == {
        "qdrant": "qa.knowledge",
        "embedded": None,
    }


def test_names_differ_and_no_identity_holds_a_secret() -> None:
    assert len({store.name for store in STORES}) == len(STORES)
    assert not any("sk-secret" in part for store in STORES for part in store.identity(SERVER))


@pytest.mark.parametrize("store", STORES, ids=lambda store: str(store.name))
async def test_an_index_that_is_not_shared_knows_how_far_it_has_been_filled(
    store: VectorStore, tmp_path: Path
) -> None:
    knowledge = Knowledge(qdrant_url=SERVER.qdrant_url, path=str(tmp_path))
    index = await asyncio.to_thread(store.open, StoreParts(knowledge, None, None))
    try:
        assert isinstance(index, OwnIndex) != store.shared
    finally:
        await index.aclose()


async def test_a_registered_store_is_searched_guarded_cached_and_closed(build: Build) -> None:
    index = ListIndex()
    await index.aupsert(DOCUMENTS)
    answerer = await build(list_store(index))
    assert answerer.index is index
    for earlier in ("Hello.", "Good day."):
        answer = await ask(answerer, earlier)
        assert [citation.document_id for citation in answer.citations] == ["warranty"]
    assert "knowledge" in answerer.guards.state()
    assert answerer.caches.state()["searches"] == {"found": 1, "missed": 1}
    await answerer.aclose()
    assert index.closed


async def test_a_store_in_the_process_gets_neither_guard_nor_cache(build: Build) -> None:
    index = ListIndex(immediate=True)
    await index.aupsert(DOCUMENTS)
    answerer = await build(list_store(index, shared=False, remote=False))
    assert (await ask(answerer)).citations
    assert "knowledge" not in answerer.guards.state()
    assert answerer.caches.state()["searches"] is None


async def test_a_search_of_a_remote_store_that_fails_is_repeated(build: Build) -> None:
    class Faltering(ListIndex):
        away = True

        async def asearch(self, tenant: str, text: str, limit: int, trail: Any = None) -> Any:
            if self.away:
                self.away = False
                raise TransientError("knowledge", "connection reset")
            return await super().asearch(tenant, text, limit)

    index = Faltering()
    await index.aupsert(DOCUMENTS)
    answer = await ask(await build(list_store(index)))
    assert (answer.status, len(answer.citations)) == ("answered", 1)


@pytest.mark.parametrize(
    "other", [{"name": "another"}, {"identity": lambda _: ("elsewhere",)}], ids=["name", "identity"]
)
async def test_answers_from_another_store_have_other_keys(build: Build, other: dict[str, Any]) -> None:
    question = Question(id="q", text="How long is the warranty?")
    digests = []
    for fields in ({}, {}, other):
        cache = (await build(list_store(ListIndex(), **fields))).caches.answers
        assert cache is not None
        key = cache._keys.of(question)
        assert key is not None
        # The versions of the knowledge are the same, since nothing was read.
        digests.append(key.digest)
    assert digests[0] == digests[1] != digests[2]
