"""The likeness of words: what may be compared, and how much it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.embeddings.comparing import Scale
from agents.embeddings.likeness import LONG_PIECE, Likeness, comparable_words

SCALE = Scale(unrelated=0.4, same=0.8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The guarantee lasts 2 years.", ["guarantee", "lasts", "years"]),
        ("Die Garantie gilt zwei Jahre.", ["Garantie", "gilt", "zwei", "Jahre"]),
        ("保修期", ["保修", "修期"]),
        ("休憩は60分", ["休憩"]),
        ("コーヒーを飲む", ["コーヒー"]),
        ("x1 of an e-mail at 10:30", ["mail"]),
        ("", []),
    ],
)
def test_words_that_tell_are_compared(text: str, words: list[str]) -> None:
    assert list(comparable_words(text)) == words


def test_a_question_in_chinese_has_longer_pieces_too() -> None:
    assert comparable_words("保修期", LONG_PIECE) == ("保修", "修期", "保修期")


def test_a_word_counts_as_much_as_it_is_like_the_asked_one() -> None:
    asked = {"weeks": frozenset({"week"}), "request": frozenset({"reque"})}
    likeness = Likeness(asked, ["Wochen", "Antrag", "Portal"], [[0.9, 0.3, 0.1], [0.3, 0.6, 0.4]], SCALE)
    assert likeness.strengths("Der Antrag ist 4 Wochen vorher zu stellen.") == {
        "week": 1.0,
        "reque": pytest.approx(0.5),
    }
    assert likeness.strengths("Im Portal") == {}


def test_the_best_of_several_words_counts() -> None:
    asked = {"fee": frozenset({"fee"})}
    likeness = Likeness(asked, ["Gebühr", "Preis"], [[0.8, 0.5]], SCALE)
    assert likeness.strengths("Preis und Gebühr") == {"fee": 1.0}
    assert likeness.strengths("Preis") == {"fee": pytest.approx(0.25)}


@given(st.text(max_size=300))
def test_any_text_has_words_of_its_own(text: str) -> None:
    words = comparable_words(text)
    assert len(set(words)) == len(words)
    assert all(word in text for word in words)


@given(st.floats(-1, 1))
def test_a_strength_lies_between_none_and_all(cosine: float) -> None:
    assert 0 <= SCALE.strength(cosine) <= 1
