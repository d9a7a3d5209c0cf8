"""One ranking from searches by words and by meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.knowledge.fusion import ALIKE, COVERED, Fusion, coverage

BY_WORDS = [("a", 12.0), ("b", 6.0)]
BY_MEANING = [("c", 0.6), ("a", 0.4), ("b", 0.1)]


def points(found: list[tuple[str, float]]) -> list[str]:
    return [point for point, _ in found]


def test_a_passage_that_both_searches_find_is_first() -> None:
    found = ALIKE.ranked(BY_WORDS, BY_MEANING, covered=1.0, limit=5)
    assert found == [("a", pytest.approx(0.8)), ("c", pytest.approx(0.5)), ("b", pytest.approx(0.25))]


def test_a_clear_lead_by_words_is_kept_where_ranks_would_lose_it() -> None:
    # By rank "b" wins: second and first, against first and fourth.
    words = [("a", 20.0), ("b", 7.0), ("c", 6.9)]
    meaning = [("b", 0.41), ("c", 0.40), ("d", 0.39), ("a", 0.38), ("e", 0.1)]
    assert points(Fusion(0.5, unrelated=0.05).ranked(words, meaning, covered=1.0, limit=1)) == ["a"]


def test_meaning_leads_where_words_find_few_of_the_questions_terms() -> None:
    # "die" and "in" of a German question are in some English text, too.
    covered = 0.1
    found = ALIKE.ranked(BY_WORDS, BY_MEANING, covered=covered, limit=5)
    assert points(found) == ["c", "a", "b"]
    assert dict(found)["b"] == pytest.approx(0.5 * 0.5 * covered / COVERED)


def test_nothing_is_near_enough_below_the_floor_but_what_shares_words() -> None:
    fusion = Fusion(0.5, floor=0.5)
    assert points(fusion.ranked([], [("x", 0.49), ("y", 0.3)], covered=0.0, limit=5)) == []
    assert points(fusion.ranked([], [("x", 0.51), ("y", 0.3)], covered=0.0, limit=5)) == ["x"]
    assert set(points(fusion.ranked([("y", 3.0)], [("x", 0.49), ("y", 0.3)], covered=1.0, limit=5))) == {"y"}


@pytest.mark.parametrize(("weight", "first"), [(0.0, "a"), (1.0, "c")])
def test_the_weight_decides_between_words_and_meaning(weight: float, first: str) -> None:
    assert points(Fusion(weight).ranked(BY_WORDS, BY_MEANING, covered=1.0, limit=1)) == [first]


def test_equal_similarities_do_not_divide_by_zero() -> None:
    assert ALIKE.ranked([], [("x", 0.3), ("y", 0.3)], covered=0.0, limit=5) == [("x", 0.5), ("y", 0.5)]


rankings = st.dictionaries(st.integers(0, 20), st.floats(0.001, 30.0), max_size=12).map(
    lambda scores: sorted(scores.items(), key=lambda found: -found[1])
)
cosines = st.dictionaries(st.integers(0, 20), st.floats(-1.0, 1.0), max_size=12).map(
    lambda scores: sorted(scores.items(), key=lambda found: -found[1])
)


@given(rankings, cosines, st.floats(0, 1), st.floats(0, 1), st.one_of(st.none(), st.floats(-0.5, 0.9)))
def test_scores_are_between_zero_and_one_and_in_order(
    words: list[tuple[int, float]],
    meaning: list[tuple[int, float]],
    covered: float,
    weight: float,
    unrelated: float | None,
) -> None:
    found = Fusion(weight, unrelated=unrelated).ranked(words, meaning, covered, 100)
    scores = [score for _, score in found]
    assert all(0 <= score <= 1.0001 for score in scores)
    assert scores == sorted(scores, reverse=True)
    assert {point for point, _ in words} | {point for point, _ in meaning} == {point for point, _ in found}


def test_coverage_is_the_share_of_the_questions_terms_by_weight() -> None:
    assert coverage({1: 1.0, 2: 1.0, 3: 0.25}, {1: 0.7, 3: 1.9, 9: 1.0}) == pytest.approx(1.25 / 2.25)
    assert coverage({}, {1: 1.0}) == 0.0
    assert coverage({1: 1.0}, {}) == 0.0
