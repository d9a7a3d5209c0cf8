"""The passages that an answer may cite, and the quotes from them."""

import time

import pytest

from agents.components import Passage
from tests.support.citing import check_citations


def passage(text: str, number: int = 1) -> Passage:
    return Passage(f"chunk-{number}", f"document-{number}", f"Title {number}", "file.md", text, 1.0)


SKY = passage("The sky is blue. Grass is green, they say. Water is wet.", 1)
CHINESE = passage("天空是蓝色的。草地是绿色的。", 2)
GIVEN = [SKY, CHINESE]


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
        ("`grep` [1].", "Use sed. Use grep.", "Use grep.", 1.0),
        ("Read `row[0]` [1].", "Go on. Read row 0.", "Read row 0.", 1.0),
    ],
    ids=[
        "one shared term",
        "the first of equal sentences",
        "no shared term",
        "no statement",
        "an empty passage",
        "a term in code",
        "terms beside a bracket in code",
    ],
)
def test_the_quote_shares_most_terms_and_says_how_many(
    text: str, body: str, quote: str, score: float
) -> None:
    _, (citation,) = check_citations(text, [passage(body)])
    assert (citation.quote, citation.score) == (quote, score)


def test_each_statement_has_its_own_quote_from_a_passage_cited_twice() -> None:
    _, citations = check_citations("Grass is green [1], 天空是蓝色的 [2], and water is wet [1].", GIVEN)
    assert [(citation.index, citation.quote) for citation in citations] == [
        (1, "Grass is green, they say."),
        (1, "Water is wet."),
        (2, "天空是蓝色的。"),
    ]


def test_one_quote_for_two_statements_is_one_citation() -> None:
    _, citations = check_citations("Water is wet [1]. It is wet, water [1].", GIVEN)
    assert [(citation.index, citation.quote) for citation in citations] == [(1, "Water is wet.")]


@pytest.mark.parametrize("text", ["a" + " " * 50_000 + "b [1]", "[1" + " " * 50_000 + "b [1]"])
def test_a_model_that_writes_nothing_but_blanks_costs_no_time(text: str) -> None:
    started = time.thread_time()
    checked, citations = check_citations(text, GIVEN)
    assert time.thread_time() - started < 1.0
    assert checked == text
    assert [citation.index for citation in citations] == [1]
