"""Evidence by meaning, with the built-in model: in other words, in other languages, and never by chance."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import pytest

from agents.components import Passage
from agents.embeddings.builtin import WORDS, BuiltinEncoder
from agents.embeddings.comparing import Scale
from agents.embeddings.local import LocalComparer, LocalEmbeddings
from agents.errors import TransientError
from agents.models.extractive import aextract_answer
from agents.models.finding import Finder

BOAT = (
    "Bootsverleih am Weiher",
    "# Bootsverleih am Weiher\n\n## Preise\n\nEin Ruderboot kostet 9 Euro in der Stunde.\n\n"
    "## Regeln\n\nKinder tragen eine Schwimmweste. Hunde dürfen nicht an Bord.\n\n"
    "## Kaution\n\nWir verlangen eine Kaution von 40 Euro.",
)
KETTLE = (
    "Kettle Orla",
    "# Kettle Orla\n\nThe kettle holds 1.7 litres.\n\n## Guarantee\n\nThe guarantee lasts 4 years.\n\n"
    "## Cleaning\n\nDescale the kettle every six weeks.",
)
TEA = ("云山茶馆", "# 云山茶馆\n\n茶馆上午九点开门，晚上十点关门。\n\n包间需提前三天预订。\n\n店内禁止吸烟。")


def passages(*texts: tuple[str, str]) -> list[Passage]:
    return [Passage(f"c{n}", f"d{n}", title, "", text, 1.0) for n, (title, text) in enumerate(texts)]


@pytest.fixture(scope="module")
def encoder() -> BuiltinEncoder:
    return BuiltinEncoder()


@pytest.fixture
async def finder(encoder: BuiltinEncoder) -> AsyncIterator[Finder]:
    local = LocalEmbeddings(encoder)
    yield Finder(LocalComparer(local, WORDS), math.inf)
    await local.aclose()


@pytest.mark.parametrize(
    ("question", "text", "told"),
    [
        ("Are dogs allowed on board?", BOAT, "nicht an Bord"),
        ("¿Cuánto cuesta un bote de remos por hora?", BOAT, "9 Euro"),
        ("Combien de temps dure la garantie de la bouilloire ?", KETTLE, "4 years"),
        ("Wie lange gilt die Garantie des Wasserkochers?", KETTLE, "4 years"),
        ("水壶的保修期是多久？", KETTLE, "4 years"),
        ("Is smoking allowed in the tea house?", TEA, "禁止吸烟"),
        ("How many days ahead must a private room be booked?", TEA, "三天"),
        ("How many days ahead must a private room at Yunshan be booked?", TEA, "三天"),
    ],
)
async def test_a_question_in_another_language_is_answered(
    finder: Finder, question: str, text: tuple[str, str], told: str
) -> None:
    found = passages(text)
    assert await aextract_answer(question, found, Finder(None, math.inf)) == ""
    answer = await aextract_answer(question, found, finder)
    assert told in answer
    assert answer.endswith("[1]")


async def test_other_words_for_the_same_are_recognised(finder: Finder) -> None:
    text = ("Garden controller", "A visitor can start the pump. A visitor cannot change timetables.")
    assert "cannot change" in await aextract_answer("Can guests alter a schedule?", passages(text), finder)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How much does a sailing course cost?", BOAT),
        ("Which colour is the kettle?", KETTLE),
        ("Wie schwer ist der Wasserkocher?", KETTLE),
        ("Who owns the tea house?", TEA),
        ("Quelle est la capitale du Pérou ?", TEA),
        ("How long is the guarantee of the Kettle Brona?", KETTLE),
    ],
)
async def test_a_question_that_nothing_answers_is_not_answered_by_chance(
    finder: Finder, question: str, text: tuple[str, str]
) -> None:
    assert await aextract_answer(question, passages(text), finder) == ""


class Failing:
    """A comparer that is away, or that never ends."""

    scale = Scale(0.4, 0.8)

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.asked = 0

    async def acompare(self, left: Sequence[str], right: Sequence[str]) -> list[list[float]]:
        del left, right
        self.asked += 1
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("error", [TransientError("embeddings", "closed"), None])
async def test_without_vectors_in_time_words_decide(error: Exception | None) -> None:
    comparer = Failing(error)
    finder = Finder(comparer, asyncio.get_running_loop().time() + 0.01)
    answer = await aextract_answer("How much is a rowing boat in euros?", passages(BOAT), finder)
    assert answer == ""
    assert comparer.asked == 1
    german = await aextract_answer("Was kostet ein Ruderboot in der Stunde?", passages(BOAT), finder)
    assert "9 Euro" in german
