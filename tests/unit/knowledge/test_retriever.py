"""Retrieval for follow-up questions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from agents.components import Call
from agents.errors import TransientError
from agents.knowledge import storage
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.retriever import IndexRetriever
from agents.knowledge.server import ServerIndex
from agents.language.follow_ups import standing_alone
from agents.run import Run
from schemas.document import Document
from schemas.question import Question, Turn
from tests.support.components import RecordingObserver
from tests.support.knowledge import MeaningList
from tests.support.qdrant_shim import running_shim

CALL = Call("q", "retrieve", 0.0)


def question(text: str, *said: str) -> Question:
    history = tuple(turn for content in said for turn in (Turn("user", content), Turn("assistant", "I see.")))
    return Question(id="q", text=text, history=history)


async def test_a_follow_up_finds_passages_for_the_turn_before_it() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    await index.aupsert(
        [
            Document(id="kettle", text="The Borealis kettle boils a litre. Its price is 40 crowns."),
            Document(id="lamp", text="The Polaris lamp burns for nine hours. Its price is 70 crowns."),
            Document(id="fines", text="The price of a lost key is ten crowns. What does it cost? Much."),
            Document(id="zh-lamp", text="北极星台灯可以亮九个小时，价格是七十克朗。"),
            Document(id="zh-kettle", text="极光水壶可以烧一升水，价格是四十克朗。"),
        ]
    )
    retriever = IndexRetriever(index, 2)

    async def first(asked: Question) -> str:
        passages = await retriever.aretrieve(replace(asked, text=standing_alone(asked)), CALL)
        assert len(passages) <= 2
        return passages[0].document_id

    assert await first(question("And what is its price?", "How long does the Polaris lamp burn?")) == "lamp"
    assert (
        await first(question("And what is its price?", "How much does the Borealis kettle boil?")) == "kettle"
    )
    assert await first(question("那它的价格呢？", "北极星台灯能亮多久？")) == "zh-lamp"
    assert await first(question("What of the Borealis kettle?", "How long does the lamp burn?")) == "kettle"
    await index.aclose()


async def test_copies_of_one_text_count_once_and_are_named() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    same = "The press warranty lasts two years. It covers the motor."
    copies = [Document(id=f"copy{n}", title=f"Title {n}", text=same) for n in range(12)]
    forms = [
        Document(id="upper", text=same.upper()),
        Document(id="wide", text=same.replace(" ", "\u3000 \n")),
    ]
    new = Document(id="new", text="As of 2026 the warranty of a press that is registered lasts four years.")
    await index.aupsert([*copies, *forms, new])
    found = await IndexRetriever(index, 3).aretrieve(question("How long is the press warranty?"), CALL)
    assert len(found) == 2
    assert {passage.document_id for passage in found} > {"new"}
    first = next(passage for passage in found if passage.document_id != "new")
    named = {first.document_id, *(copy.document_id for copy in first.copies)}
    assert named == {document.id for document in (*copies, *forms)}
    assert {copy.title for copy in first.copies} > {"Title 4"} - {first.title}
    await index.aclose()


async def test_the_same_text_under_other_headings_is_no_copy() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    long = "It turns. " * 300
    await index.aupsert(
        [
            Document(id=name, text=f"# {name}\n{long}\n\nThe warranty lasts two years.")
            for name in ("Fan", "Pump")
        ]
    )
    found = await IndexRetriever(index, 9).aretrieve(question("How long is the warranty of the pump?"), CALL)
    assert found[0].document_id == "Pump"
    assert found[0].headings == ("Pump",)
    assert all(not passage.copies for passage in found)
    await index.aclose()


async def test_a_part_of_a_table_is_found_by_its_header() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    rows = "\n".join(f"| part-{n} | {n} EUR |" for n in range(300))
    text = f"# Parts\n| Part | Surcharge |\n|---|---|\n{rows}\n"
    await index.aupsert([Document(id="parts", text=text)])
    [first, *_] = await IndexRetriever(index, 2).aretrieve(question("Surcharge of part-290?"), CALL)
    assert "| part-290 | 290 EUR |" in first.text
    assert first.lead == "| Part | Surcharge |\n|---|---|"
    assert first.headings == ("Parts",)
    assert text[first.start : first.start + len(first.text)] == first.text
    await index.aclose()


@pytest.mark.looptime
async def test_a_search_by_words_alone_is_reported_beside_successful_ones() -> None:
    class Faltering:
        model = "m"

        async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
            raise NotImplementedError

        async def aembed_search(self, text: str) -> list[float]:
            if text == "weak":
                raise TransientError("embeddings", "HTTP 500")
            await asyncio.sleep(0.1)
            return [1.0]

    index = EmbeddedIndex(storage.temporary(), Faltering())
    retriever = IndexRetriever(index, 2)

    async def run(text: str) -> bool:
        asked = question(text)
        one = Run(asked, 30.0, RecordingObserver())
        await retriever.aretrieve(asked, one.call("retrieve", 30.0))
        return one.keepable

    assert not await run("weak")
    assert await run("strong")
    weak, _ = await asyncio.gather(run("weak"), run("strong"))
    assert not weak
    assert not index.weakened  # which tells of the last search
    await index.aclose()


@pytest.fixture(params=["embedded", "server"])
async def stored(request: pytest.FixtureRequest) -> AsyncIterator[tuple[MeaningList, Any]]:
    """Embeddings, and an index that asks them."""
    embeddings = MeaningList()
    if request.param == "embedded":
        index: Any = await asyncio.to_thread(EmbeddedIndex.open, "", embeddings)
        yield embeddings, index
        await index.aclose()
        return
    with running_shim() as (url, _):
        index = ServerIndex(url, "kotae", embeddings=embeddings)
        yield embeddings, index
        await index.aclose()


async def test_an_answer_says_that_its_search_used_words_alone(stored: tuple[MeaningList, Any]) -> None:
    embeddings, index = stored
    embeddings.away = True
    await index.aupsert([Document(id="garage", text="The automobile stands here.")])

    async def search(*history: str) -> Run:
        run = Run(question("Which automobile?", *history), 10.0, RecordingObserver())
        assert await IndexRetriever(index, 2).aretrieve(run.question, run.call("retrieve", 10.0))
        return run

    for history in ((), ("Where is the garage?",)):
        assert (await search(*history)).degraded == ["meaning_unavailable"]
    embeddings.away = False
    # There is no vector yet that the question's could be compared with.
    assert (await search()).degraded == ["meaning_unavailable"]
    await index.aembed_lacking()
    assert (await search()).degraded == []
    await index.aupsert([Document(id="garage", text="The automobile stands there.")])
    embeddings.away = True
    assert (await search()).degraded == ["meaning_unavailable"]


async def test_an_index_without_embeddings_lacks_no_meaning() -> None:
    index = await asyncio.to_thread(EmbeddedIndex.open)
    await index.aupsert([Document(id="garage", text="The automobile stands here.")])
    run = Run(question("Which automobile?"), 10.0, RecordingObserver())
    await IndexRetriever(index, 2).aretrieve(run.question, run.call("retrieve", 10.0))
    assert (run.degraded, run.keepable) == ([], True)
    await index.aclose()
