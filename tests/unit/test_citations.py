"""The passages that an answer may cite, and the quotes from them."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import citations
from agents.citations import _CODE, check_citations, says_nothing
from agents.components import Passage
from agents.language.sentences import sentence_spans


def passage(text: str, number: int = 1) -> Passage:
    return Passage(f"chunk-{number}", f"document-{number}", f"Title {number}", "file.md", text, 1.0)


SKY = passage("The sky is blue. Grass is green, they say. Water is wet.", 1)
CHINESE = passage("天空是蓝色的。草地是绿色的。", 2)
GIVEN = [SKY, CHINESE]


@pytest.mark.parametrize(
    ("text", "checked", "cited"),
    [
        ("Blue [1].", "Blue [1].", [1]),
        ("Blue [1][2].", "Blue [1][2].", [1, 2]),
        ("Blue [2, 1].", "Blue [2][1].", [1, 2]),
        ("Blue [1][7].", "Blue [1].", [1]),
        ("Blue [7], or not [0][9].", "Blue, or not.", []),
        ("Grass [9] is green [1, 3].", "Grass is green [1].", [1]),
        ("天空是蓝色的【2】。没有【8】。", "天空是蓝色的[2]。没有。", [2]),
        ("蓝色【1、2】", "蓝色[1][2]", [1, 2]),
        ("Blue [ 1 ] [1].", "Blue [1].", [1]),
        ("No citation.", "No citation.", []),
        ("A list [a, b] and [x].", "A list [a, b] and [x].", []),
        ("[3]", "", []),
        ("Ticket [12345], and [00000].", "Ticket [12345], and [00000].", []),
        ("Ticket [12345] is blue [1].", "Ticket [12345] is blue [1].", [1]),
        ("[[9]7] and [7【9】]", "[ 7] and [7 ]", []),
        ("Written [[1]].", "Written [[1]].", [1]),
        ("Read `row[0]`, or `row[1]` [2].", "Read `row[0]`, or `row[1]` [2].", [2]),
        ("Blue [9]:\n```\nrow[0], row[1]\n```\nso [1].", "Blue:\n```\nrow[0], row[1]\n```\nso [1].", [1]),
        ("Blue [1]: ```row[2]", "Blue [1]: ```row[2]", [1]),
        ("It`s blue [1].\nIt`s [9] wet.", "It`s blue [1].\nIt`s wet.", [1]),
        ("", "", []),
        (" Blue [1]. ", " Blue [1]. ", [1]),
        (" [7] Blue. ", "Blue.", []),
    ],
)
def test_only_given_passages_may_be_cited(text: str, checked: str, cited: list[int]) -> None:
    result, citations = check_citations(text, GIVEN)
    assert result == checked
    assert [citation.index for citation in citations] == cited


def test_a_citation_names_its_chunk_and_quotes_the_sentence_that_supports_best() -> None:
    _, (citation,) = check_citations("They say that the grass is green [1].", GIVEN)
    assert citation.quote == "Grass is green, they say."
    assert citation.score == 0.714  # 5 of 7 terms
    assert (citation.document_id, citation.chunk_id, citation.title) == ("document-1", "chunk-1", "Title 1")


def test_a_mark_after_the_full_stop_belongs_to_the_sentence_before() -> None:
    _, (citation,) = check_citations("Water is wet. [1] Something else entirely.", GIVEN)
    assert (citation.quote, citation.score) == ("Water is wet.", 1.0)


def test_a_statement_is_looked_for_in_the_passage_that_it_cites() -> None:
    _, (citation,) = check_citations("Water is wet. [2]", GIVEN)
    assert (citation.quote, citation.score) == ("天空是蓝色的。", 0.0)


def test_quotes_of_chinese_statements_are_whole_sentences() -> None:
    _, (citation,) = check_citations("草地的颜色是绿色[2]。", GIVEN)
    assert citation.quote == "草地是绿色的。"


@pytest.mark.parametrize(
    ("text", "body", "quote", "score"),
    [
        ("It is wet [1].", "Dry sand. Ice is cold.", "Ice is cold.", 0.333),
        ("Wet and cold [1].", "A cold day. A wet day. Sand.", "A cold day.", 0.333),
        ("Wet [1].", "Dry sand. Hot air.", "Dry sand.", 0.0),
        ("[1]", "Dry sand. Hot air.", "Dry sand.", 0.0),
        ("Wet [1].", "", "", 0.0),
        ("Sand [1]. Air [1].", "Dry sand. Hot air.", "Dry sand.", 1.0),
        ("`grep` [1].", "Use sed. Use grep.", "Use grep.", 1.0),
        ("Read `row[0]` [1].", "Go on. Read row 0.", "Read row 0.", 1.0),
    ],
    ids=[
        "one shared term",
        "the first of equal sentences",
        "no shared term",
        "no statement",
        "an empty passage",
        "the first of equal statements",
        "a term in code",
        "terms beside a bracket in code",
    ],
)
def test_the_quote_shares_most_terms_and_says_how_many(
    text: str, body: str, quote: str, score: float
) -> None:
    _, (citation,) = check_citations(text, [passage(body)])
    assert (citation.quote, citation.score) == (quote, score)


@pytest.mark.parametrize("text", ["", " \n", "[1]", " 【1】 [2, 3] "])
def test_a_text_of_nothing_but_citations_says_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize("text", ["Blue.", "[1] Blue.", "Blue [1]", "[", "[x]", "【x】"])
def test_any_other_text_says_something(text: str) -> None:
    assert not says_nothing(text)


def test_a_passage_cited_twice_is_one_citation_with_its_best_quote() -> None:
    _, citations = check_citations("Whatever this may be [1]. Water is wet [1].", GIVEN)
    assert [(citation.index, citation.quote) for citation in citations] == [(1, "Water is wet.")]


@given(
    st.lists(st.sampled_from([*"ab 1239[]【】,、.。 的\n", "[[", "12345", "`", "```"]), max_size=60).map(
        "".join
    ),
    st.lists(st.text(max_size=60), max_size=3),
)
def test_every_mark_left_has_a_valid_citation(text: str, bodies: list[str]) -> None:
    passages = [passage(body, number) for number, body in enumerate(bodies, 1)]
    checked, citations = check_citations(text, passages)
    by_index = {citation.index: citation for citation in citations}
    marks = {int(number) for number in re.findall(r"\[(\d{1,4})\]", _CODE.sub("`", checked))}
    assert marks == set(by_index)
    for index, citation in by_index.items():
        assert citation.quote in passages[index - 1].text
        assert 0.0 <= citation.score <= 1.0


@pytest.mark.parametrize("text", ["a" + " " * 50_000 + "b [1]", "[1" + " " * 50_000 + "b [1]"])
def test_a_model_that_writes_nothing_but_blanks_costs_no_time(text: str) -> None:
    started = time.thread_time()
    checked, citations = check_citations(text, GIVEN)
    assert time.thread_time() - started < 1.0
    assert checked == text
    assert [citation.index for citation in citations] == [1]


def test_a_passage_is_read_once_however_often_it_is_cited(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def spans(text: str) -> list[tuple[int, int]]:
        read.append(text)
        return sentence_spans(text)

    monkeypatch.setattr(citations, "sentence_spans", spans)
    checked, cited = check_citations("So [1].\nSky [1][2].\n" * 100, GIVEN)
    assert [one.index for one in cited] == [1, 2]
    assert read == [checked, *(given.text for given in GIVEN)]
