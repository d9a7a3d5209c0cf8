"""The terms of texts in many languages."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.terms import all_terms, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He's 35 in 2010", ["he", "s", "35", "in", "2010"]),
        ("年假２０天", ["年假", "20", "天"]),
        ("我用iPhone拍照", ["我用", "iphone", "拍照"]),
        ("员工总数", ["员工", "工总", "总数"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("العَرَبِيَّة لغة", ["العربيه", "لغه"]),
        ("Café a_b", ["cafe", "a", "b"]),
        ("한국어", ["한국", "국어"]),
        ("Größe 3,5 mm", ["groesse", "3.5", "mm"]),
        ("Python3.11, MP3 and B12", ["python", "3.11", "mp3", "and", "b12"]),
        ("5kg, 10GB, €89, v2.3.1", ["5", "kg", "10", "gb", "89", "2.3.1"]),
        ("第3.5版", ["第", "3.5", "版"]),
        ("…!? ", []),
    ],
)
def test_terms_of_many_scripts(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "others"),
    [("Kündigung", {"kundigung"}), ("1.250 €", {"1.250"}), ("12 300 Euro", {"12300"}), ("Plain 3.5", set())],
)
def test_somebody_may_mean_a_word_or_number_by_other_terms(text: str, others: set[str]) -> None:
    assert set(all_terms(text)) - set(terms(text)) == others


@given(st.text(max_size=80))
def test_no_term_is_empty_or_holds_white_space(text: str) -> None:
    for found in (terms(text), all_terms(text)):
        assert all(term and not any(map(str.isspace, term)) for term in found)


HOSTILE = [
    "1" * 200_000,
    "1." * 100_000,
    "1 000" * 40_000,
    "a1" * 100_000,
    "12 " * 60_000,
    "x" * 200_000,
    "v1" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:5])
def test_a_hostile_text_takes_no_longer_than_any_other(text: str) -> None:
    # The square of such a length takes minutes.
    began = process_time()
    all_terms(text)
    assert process_time() - began < 5
