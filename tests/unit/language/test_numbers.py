"""Numbers as terms."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.numbers import NUMBER, readings


@pytest.mark.parametrize(
    ("written", "certain", "possible"),
    [
        ("35", ["35"], []),
        ("007", ["007"], []),
        ("3.5", ["3.5"], []),
        ("3,5", ["3.5"], []),
        ("0,125", ["0.125"], []),
        ("1.12", ["1.12"], []),
        ("11.2", ["11.2"], []),
        ("2.3.1", ["2.3.1"], []),
        ("10.0.0.1", ["10.0.0.1"], []),
        ("1,000", ["1000"], ["1.000"]),
        ("1.250", ["1250"], ["1.250"]),
        ("1.000.000", ["1000000"], []),
        ("12,345,678", ["12345678"], []),
        ("1'000", ["1000"], []),
        ("1'234'567.89", ["1234567.89"], []),
        ("1.234,56", ["1234.56"], []),
        ("1,234.56", ["1234.56"], []),
        ("1,00,000", ["100000"], []),
        ("12 300", ["12", "300"], ["12300"]),
        ("2010 300", ["2010", "300"], []),
        ("89.00", ["89.00"], ["89"]),
        ("1,2,3", ["1", "2", "3"], []),
        ("1.5,2.5", ["1.5", "2.5"], []),
        ("31.12.2026", ["2026-12-31", "31", "12", "2026"], []),
        ("2026-12-31", ["2026-12-31", "2026", "12", "31"], []),
        ("01.02.2026", ["2026-02-01", "1", "2", "2026"], []),
        ("12/31/2026", ["2026-12-31", "12", "31", "2026"], []),
        ("05/06/2026", ["5", "6", "2026"], []),
        ("99/99/2026", ["99", "99", "2026"], []),
        ("030-12-34", ["030", "12", "34"], []),
    ],
)
def test_a_number_is_read_by_its_form(written: str, certain: list[str], possible: list[str]) -> None:
    assert re.fullmatch(NUMBER, written)
    assert readings(written) == (certain, possible)


@given(st.integers(1_000, 10**12), st.sampled_from([",", ".", "'"]))
def test_groups_of_three_are_one_number(number: int, separator: str) -> None:
    written = f"{number:,}".replace(",", separator)
    assert readings(written)[0] == [str(number)]


@given(st.integers(0, 10**6), st.from_regex("[0-9]{1,2}", fullmatch=True))
def test_a_decimal_comma_is_a_decimal_point(whole: int, decimals: str) -> None:
    assert readings(f"{whole},{decimals}") == readings(f"{whole}.{decimals}")
    assert readings(f"{whole},{decimals}")[0] == [f"{whole}.{decimals}"]


@given(st.dates(date(1900, 1, 1)))
def test_a_day_is_one_term_in_its_numeric_forms(day: date) -> None:
    iso = day.isoformat()
    assert readings(iso)[0][0] == readings(f"{day:%d.%m.%Y}")[0][0] == iso


@given(st.text(alphabet="0123456789.,' -/v", max_size=60))
def test_every_number_has_terms_of_digits_that_it_has(text: str) -> None:
    for match in re.finditer(NUMBER, text):
        certain, possible = readings(match[0])
        assert certain
        for term in certain + possible:
            assert term[0].isdecimal()
            assert set(re.findall("[1-9]", term)) <= set(match[0])
