"""Normalisation of texts that are written to take long."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.cache.keys import normalised
from agents.language.composition import composed
from agents.language.terms import terms

MARKS = "\u0301\u0316"


@given(st.text(alphabet=st.sampled_from("ae \u0301\u0316\u0323\uac00ｱ０é")))
def test_usual_text_is_composed(text: str) -> None:
    # 32 marks in a row are none that hypothesis finds by chance, so it is told to break them.
    text = "".join(character + "e" * (at % 16 == 0) for at, character in enumerate(text))
    assert composed("NFC", text) == unicodedata.normalize("NFC", text)
    assert composed("NFKC", text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize("text", ["e\u0301", "e\u0301\u0316" * 5_000, "か\u3099" * 5_000, "e" + MARKS * 15])
def test_a_few_marks_on_each_character_are_put_in_order(text: str) -> None:
    assert composed("NFC", text) == unicodedata.normalize("NFC", text) != text


@pytest.mark.parametrize("before", range(0, 64, 7))
def test_a_pile_of_marks_is_left_as_it_is(before: int) -> None:
    # To put it in order takes the square of its height: 4 s for the longest question.
    text = "x" * before + "a" + MARKS * 100
    assert unicodedata.normalize("NFC", text) != text
    assert composed("NFC", text) == normalised(text) == text
    assert terms(text) == ["x" * before + "a"]
