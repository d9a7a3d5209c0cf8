"""Retrieval for follow-up questions."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from agents.components import Call
from agents.errors import TransientError
from agents.knowledge import storage
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.retriever import IndexRetriever
from agents.language.follow_ups import standing_alone
from agents.run import Run
from schemas.document import Document
from schemas.question import Question, Turn
from tests.support.components import RecordingObserver

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
