"""Retrieval for follow-up questions."""

import asyncio
from collections.abc import Sequence

import pytest

from agents.components import Call, Passage
from agents.errors import TransientError
from agents.knowledge import storage
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.retriever import IndexRetriever, last_turn, weigh
from agents.run import Run
from schemas.document import Document
from schemas.question import Question, Turn
from tests.support.components import RecordingObserver

CALL = Call("q", "retrieve", 0.0)


def question(text: str, *said: str) -> Question:
    history = tuple(turn for content in said for turn in (Turn("user", content), Turn("assistant", "I see.")))
    return Question(id="q", text=text, history=history)


def passage(name: str, score: float) -> Passage:
    return Passage(f"{name}#0", name, "", "", name, score)


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
        passages = await retriever.aretrieve(asked, CALL)
        assert len(passages) <= 2
        return passages[0].document_id

    assert await first(question("And what is its price?", "How long does the Polaris lamp burn?")) == "lamp"
    assert (
        await first(question("And what is its price?", "How much does the Borealis kettle boil?")) == "kettle"
    )
    assert await first(question("那它的价格呢？", "北极星台灯能亮多久？")) == "zh-lamp"
    assert await first(question("What of the Borealis kettle?", "How long does the lamp burn?")) == "kettle"
    await index.aclose()


@pytest.mark.parametrize(
    ("asked", "leant_on"),
    [
        (question("And its price?"), ""),
        (question("And its price?", "First.", "The lamp?"), "The lamp?"),
        (question("And its price?", "The lamp?", "And its price?"), "The lamp?"),
        (
            question("How many hours does the Polaris lamp of the third series burn without oil?", "Hello."),
            "",
        ),
        (Question(id="q", text="And?", history=(Turn("assistant", "Hello."),)), ""),
        (question("x" * 30_000, "y" * 5_000), "y" * 600),
    ],
)
def test_only_a_short_question_is_a_follow_up_to_the_users_last_turn(asked: Question, leant_on: str) -> None:
    assert last_turn(asked) == leant_on


def test_passages_that_both_searches_find_come_first() -> None:
    both = weigh([passage("a", 3.0), passage("b", 2.9)], [passage("b", 2.0), passage("c", 9.0)])
    assert [(each.document_id, round(each.score, 2)) for each in both] == [
        ("b", 3.6),
        ("c", 3.15),
        ("a", 3.0),
    ]


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
