"""What an answer rests on: the support of its citations, its verdict and score, its warnings."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.citing.across import aread_across
from agents.citing.checking import Given, check_answer
from agents.components import Copy, Passage
from agents.embeddings.builtin import WORDS, BuiltinEncoder
from agents.embeddings.local import LocalComparer, LocalEmbeddings
from schemas.answer import ToolCall

LAMP = Passage(
    "c1", "d1", "Lamp L4", "lamp.md", "The lamp draws 4 watts. Its shade is made of red glass.", 1.0
)
LEAVE = Passage("c2", "d2", "Leave", "leave.md", "Employees have 24 days of leave a year.", 1.0)
TABLE = Passage("c3", "d3", "Plans", "", "| Plan | Price |\n|---|---|\n| Solo | €9 |\n| Duo | €17 |", 1.0)
CHINESE = Passage("c4", "d4", "灯", "", "这盏灯的功率是四瓦。灯罩由红色玻璃制成。", 1.0)
PASSAGES = (LAMP, LEAVE, TABLE, CHINESE)


def call(status: str, result: object) -> ToolCall:
    return ToolCall(id="1", name="exchange_rate", arguments={"to": "EUR"}, status=status, result=result)  # type: ignore[arg-type] - the tests' literals


@pytest.mark.parametrize(
    ("text", "verdict", "score"),
    [
        ("The lamp draws 4 watts [1].", "supported", 1.0),
        ("The lamp draws four watts [1].", "supported", 1.0),
        ("The Solo plan's price is €9 [3].", "supported", 1.0),
        ("灯罩是红色玻璃的【4】。", "supported", 1.0),
        (
            "Here is what I found:\n- The lamp draws 4 watts [1].\n- Employees have 24 days of leave [2].",
            "supported",
            1.0,
        ),
        ("The lamp draws 4 watts. Its shade is of red glass [1].", "supported", 1.0),
        ("The lamp draws 4 watts [1]. The sources do not say who made it.", "supported", 1.0),
        ("The lamp draws 9 watts [1].", "unsupported", 0.0),
        ("The moon is made of cheese [1].", "unsupported", 0.0),
        ("The lamp draws 4 watts.", "unsupported", 0.0),
        ("I do not know: nothing that I was given answers this.", "abstained", 0.0),
        ("我不知道：现有资料中没有答案。", "abstained", 0.0),
        ("The documents do not mention its weight.", "abstained", 0.0),
    ],
)
def test_the_verdict_says_what_an_answer_rests_on(text: str, verdict: str, score: float) -> None:
    grounding = check_answer(text, Given(PASSAGES)).grounding
    assert (grounding.verdict, grounding.score) == (verdict, score)


def test_the_score_is_the_share_of_the_text_that_is_supported() -> None:
    grounding = check_answer(
        "The lamp draws 4 watts [1]. The moon is made of cheese.", Given(PASSAGES)
    ).grounding
    assert grounding.verdict == "partly"
    assert 0.4 < grounding.score < 0.6


def test_a_weak_citation_stays_and_is_marked() -> None:
    checked = check_answer("The lamp draws 4 watts [1]. Cheese comes from monks [1][2].", Given(PASSAGES))
    assert checked.text == "The lamp draws 4 watts [1]. Cheese comes from monks [1][2]."
    assert [citation.index for citation in checked.citations][-1] == 2
    assert min(citation.support or 0.0 for citation in checked.citations if citation.index == 2) < 0.5
    assert checked.grounding.verdict == "partly"
    assert any(
        warning.startswith("unsupported_citation: ") and "[2]" in warning for warning in checked.warnings
    )


def test_words_that_only_connect_support_nothing() -> None:
    checked = check_answer("It is the one that is for us and they have of it [2].", Given(PASSAGES))
    (citation,) = checked.citations
    assert citation.support is not None
    assert citation.support < 0.5


def test_each_statement_has_the_row_or_sentence_that_holds_its_evidence() -> None:
    checked = check_answer(
        "Duo costs €17 [3]. The shade is red glass [1]. Solo costs €9 [3].", Given(PASSAGES)
    )
    assert [(citation.index, citation.quote) for citation in checked.citations] == [
        (1, "Its shade is made of red glass."),
        (3, "| Duo | €17 |"),
        (3, "| Solo | €9 |"),
    ]


def test_every_document_with_the_same_text_is_cited() -> None:
    passage = Passage(
        "c", "d", "A", "a", "The lamp draws 4 watts.", 1.0, copies=(Copy("c9", "d9", "B", "b"),)
    )
    first, second = check_answer("The lamp draws 4 watts [1].", Given([passage])).citations
    assert (first.document_id, second.document_id) == ("d", "d9")
    assert (first.index, first.quote, first.support) == (second.index, second.quote, second.support)


def test_a_number_that_nothing_has_is_flagged() -> None:
    checked = check_answer("The lamp draws 4 watts and costs 77 euros [1].", Given(PASSAGES))
    assert checked.grounding.verdict == "unsupported"
    assert "unsupported_number: no source has 77" in checked.warnings


@pytest.mark.parametrize(
    "text", ["It costs 1,250 [1].", "It costs 1250 [1].", "1. It costs 1 250 euros [1]."]
)
def test_a_number_may_be_written_in_another_way(text: str) -> None:
    passage = Passage("c", "d", "", "", "It costs 1.250 euros.", 1.0)
    assert check_answer(text, Given([passage])).warnings == ()


def test_a_number_of_the_question_is_none_of_the_answers_own() -> None:
    given = Given(PASSAGES, asked=["Does the lamp draw 4 watts in 2031?"])
    assert not check_answer("In 2031 the lamp draws 4 watts [1].", given).warnings[1:]


def test_a_statement_that_rests_on_a_tools_result_is_supported() -> None:
    given = Given(PASSAGES, [call("ok", {"rate": 1.08, "currency": "EUR"})])
    grounding = check_answer("The exchange rate to EUR is 1.08.", given).grounding
    assert (grounding.verdict, grounding.score) == ("supported", 1.0)


def test_a_tool_that_failed_supports_nothing() -> None:
    grounding = check_answer("The exchange rate is high.", Given((), [call("error", "down")])).grounding
    assert grounding.verdict == "unsupported"


@given(st.text(alphabet=list("ab 19[]. 。的？\n"), max_size=80), st.lists(st.text(max_size=40), max_size=3))
def test_support_and_score_are_shares(text: str, bodies: list[str]) -> None:
    passages = [Passage(f"c{n}", f"d{n}", "", "", body, 1.0) for n, body in enumerate(bodies)]
    checked = check_answer(text, Given(passages))
    assert 0.0 <= checked.grounding.score <= 1.0
    for citation in checked.citations:
        assert citation.support is not None
        assert 0.0 <= citation.support <= 1.0
        assert citation.quote in bodies[citation.index - 1]


@pytest.fixture(scope="module")
def encoder() -> BuiltinEncoder:
    return BuiltinEncoder()


async def test_a_statement_in_another_language_is_supported_by_what_means_the_same(
    encoder: BuiltinEncoder,
) -> None:
    passage = Passage("c", "d", "Kiln", "", "The oven is closed on holidays. Bread is sold at noon.", 1.0)
    local = LocalEmbeddings(encoder)
    comparer = LocalComparer(local, WORDS)
    answers = ["An Feiertagen ist der Ofen geschlossen [1].", "Der Bürgermeister wohnt in Lissabon [1]."]
    checked = []
    for answer in answers:
        likeness = await aread_across(answer, [passage], comparer, math.inf)
        checked.append(check_answer(answer, Given([passage], likeness=likeness)))
    await local.aclose()
    right, wrong = checked
    assert right.grounding.verdict == "supported"
    assert right.citations[0].quote == "The oven is closed on holidays."
    assert wrong.grounding.verdict == "unsupported"
    assert wrong.warnings


async def test_an_answer_in_the_language_of_its_sources_is_not_compared(encoder: BuiltinEncoder) -> None:
    passage = Passage("c", "d", "Kiln", "", "The oven is closed on holidays.", 1.0)
    comparer = LocalComparer(LocalEmbeddings(encoder), WORDS)
    assert await aread_across("The oven is closed on holidays [1].", [passage], comparer, math.inf) is None
    assert await aread_across("Der Ofen ist am Feiertag zu.", [passage], comparer, math.inf) is None
