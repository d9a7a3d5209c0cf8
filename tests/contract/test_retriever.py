"""The promises of every Retriever.

To put one of your own through it, subclass `RetrieverContract` and give it a `subject`: a way to
build a retriever over documents, which may be called more than once in a test.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import orjson
import pytest

from agents.components import Call, Passage, Retriever
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.retriever import IndexRetriever
from agents.language.terms import terms
from schemas.document import Document
from schemas.question import Question, Turn

Build = Callable[[Sequence[Document], int], Awaitable[Retriever]]

DOCUMENTS = [
    Document(id="kettle", title="Kettle", source="kettle.md", text="The kettle holds 1.7 litres of water."),
    Document(id="lamp", title="Lamp", source="lamp.md", text="The lamp is dimmed by a turn of its ring."),
    Document(id="伞", title="雨伞", source="umbrella.md", text="这把雨伞的伞骨由碳纤维制成，重 210 克。"),
    Document(id="kettle", tenant="acme", title="Kettle", text="The kettle of Acme whistles a canary's tune."),
    *(Document(id=f"filler-{n}", text=f"Filler number {n} mentions nothing of use.") for n in range(12)),
]


async def find(retriever: Retriever, text: str, tenant: str = "default") -> Sequence[Passage]:
    loop = asyncio.get_running_loop()
    call = Call("q", "retrieve", loop.time() + 5)
    return await retriever.aretrieve(Question(id="q", text=text, tenant=tenant), call)


class RetrieverContract:
    """Subclass it and define the fixture `build`."""

    @pytest.mark.parametrize(
        ("text", "document_id"), [("How many litres does the kettle hold?", "kettle"), ("雨伞有多重？", "伞")]
    )
    async def test_the_passage_that_answers_comes_first(
        self, build: Build, text: str, document_id: str
    ) -> None:
        found = await find(await build(DOCUMENTS, 5), text)
        assert found[0].document_id == document_id

    async def test_passages_name_their_source(self, build: Build) -> None:
        passage = (await find(await build(DOCUMENTS, 5), "litres of water in the kettle"))[0]
        assert (passage.title, passage.source) == ("Kettle", "kettle.md")
        assert "1.7 litres" in passage.text
        assert passage.chunk_id

    async def test_passages_come_best_first_and_once_each(self, build: Build) -> None:
        found = await find(await build(DOCUMENTS, 5), "filler number that mentions the kettle")
        assert len(found) > 1
        scores = [passage.score for passage in found]
        assert scores == sorted(scores, reverse=True)
        assert len({passage.chunk_id for passage in found}) == len(found)

    async def test_no_more_passages_than_configured_are_returned(self, build: Build) -> None:
        assert len(await find(await build(DOCUMENTS, 3), "filler number mentions")) == 3

    async def test_a_tenant_finds_its_own_documents_only(self, build: Build) -> None:
        retriever = await build(DOCUMENTS, 20)
        theirs = await find(retriever, "kettle canary whistles", tenant="acme")
        ours = await find(retriever, "kettle canary whistles")
        assert [passage.text for passage in theirs] == ["The kettle of Acme whistles a canary's tune."]
        assert ours
        assert not any("canary" in passage.text for passage in ours)
        assert not list(await find(retriever, "kettle", tenant="stranger"))

    async def test_tenants_at_the_same_time_do_not_mix(self, build: Build) -> None:
        retriever = await build(DOCUMENTS, 5)
        tenants = ["acme", "default"] * 20
        found = await asyncio.gather(*(find(retriever, "the kettle", tenant) for tenant in tenants))
        for tenant, passages in zip(tenants, found, strict=True):
            assert {"Acme" in passage.text for passage in passages} == {tenant == "acme"}

    async def test_a_question_without_matches_gets_an_empty_result(self, build: Build) -> None:
        assert not list(await find(await build(DOCUMENTS, 5), "zygomorphic quasar"))
        assert not list(await find(await build([], 5), "kettle"))

    @pytest.mark.parametrize(
        "text",
        [
            "?",
            "？！",
            "   .",
            "\u0000",
            "🦆",
            '"AND (OR NOT',
            "*:*",
            "a" * 32_768,
            "水" * 32_768,
            "kettle\n" * 4_000,
        ],
        ids=[
            "mark",
            "marks",
            "dot",
            "null",
            "emoji",
            "syntax",
            "wildcard",
            "long word",
            "long",
            "many words",
        ],
    )
    async def test_any_text_can_be_asked(self, build: Build, text: str) -> None:
        for passage in await find(await build(DOCUMENTS, 5), text):
            orjson.dumps(passage.text)

    async def test_a_cancelled_retrieval_can_be_repeated(self, build: Build) -> None:
        retriever = await build(DOCUMENTS, 5)
        tasks = [asyncio.create_task(find(retriever, "kettle")) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await find(retriever, "kettle"))[0].document_id == "kettle"


class CountingRetriever:
    """The smallest retriever that keeps the promises: shared terms, counted."""

    def __init__(self, documents: Sequence[Document], limit: int) -> None:
        self.documents = documents
        self.limit = limit

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        asked = set(terms(question.text))
        found = [
            Passage(document.id, document.id, document.title, document.source, document.text, float(shared))
            for document in self.documents
            if document.tenant == question.tenant
            and (shared := len(asked & set(terms(f"{document.title} {document.text}"))))
        ]
        return sorted(found, key=lambda passage: -passage.score)[: self.limit]


class TestCountingRetriever(RetrieverContract):
    @pytest.fixture
    def build(self) -> Build:
        async def build(documents: Sequence[Document], limit: int) -> Retriever:
            return CountingRetriever(documents, limit)

        return build


class TestIndexRetriever(RetrieverContract):
    @pytest.fixture
    async def build(self) -> AsyncIterator[Build]:
        opened: list[EmbeddedIndex] = []

        async def build(documents: Sequence[Document], limit: int) -> Retriever:
            index = EmbeddedIndex.open()
            opened.append(index)
            await index.aupsert(documents)
            return IndexRetriever(index, limit)

        yield build
        for index in opened:
            await index.aclose()

    @pytest.mark.parametrize("history", [(), (Turn(role="user", content="What does the lamp do?"),)])
    async def test_an_immediate_retriever_never_waits(self, build: Build, history: tuple[Turn, ...]) -> None:
        retriever = await build(DOCUMENTS, 5)
        assert isinstance(retriever, IndexRetriever)
        assert retriever.immediate
        question = Question(id="q", text="And the kettle?", history=history)
        searching = retriever.aretrieve(question, Call("q", "retrieve", math.inf))
        with pytest.raises(StopIteration) as ended:
            searching.send(None)  # type: ignore[attr-defined]
        assert {passage.document_id for passage in ended.value.value} >= {"kettle"}
