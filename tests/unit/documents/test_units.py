"""The units of evidence in a passage: exact pieces of it, and the words that are lent to them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents.lines import joined_lines
from agents.documents.units import Unit, shown_text, units_of


def found(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(unit.kind, unit.text, unit.lent) for unit in units_of(text)]


def test_a_heading_ends_with_its_line_and_lends_its_words_to_its_section() -> None:
    assert found("# Lamp\nIt draws 4 watts.\n## Colour\nThe shade is red. It is matt.\n## Size\nSmall.") == [
        ("sentence", "It draws 4 watts.", ("Lamp",)),
        ("sentence", "The shade is red.", ("Lamp", "Colour")),
        ("sentence", "It is matt.", ("Lamp", "Colour")),
        ("sentence", "Small.", ("Lamp", "Size")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Opening hours\n=============\nFrom nine.",
        "**Opening hours**\n\nFrom nine.",
        "**Opening hours:** From nine.",
        "**Opening hours.** From nine.",
        "Opening hours\n\nFrom nine.",
    ],
)
def test_a_line_that_stands_above_acts_as_a_heading(text: str) -> None:
    assert [(kind, said) for kind, said, _ in found(text)] == [("sentence", "From nine.")]
    assert "Opening hours" in " ".join(units_of(text)[0].lent)


@pytest.mark.parametrize(
    "text",
    [
        "## How do I reset it?\nHold the key. Then wait.",
        "How do I reset it?\n\nHold the key. Then wait.",
        "How do I reset it? Hold the key. Then wait.",
        "Q: How do I reset it?\n\nA: Hold the key. Then wait.",
    ],
)
def test_a_question_lends_its_words_to_its_answer(text: str) -> None:
    units = units_of(text)
    assert [unit.text for unit in units] == ["Hold the key.", "Then wait."]
    assert all(unit.lent == ("How do I reset it?",) for unit in units)


def test_lines_that_are_numbered_in_order_are_headings() -> None:
    text = "1 Safety\n\nWear gloves.\n\n2 Weights\n\nIt weighs 9 kilos.\n\n7 days\n\nThat is all."
    assert [(unit.text, unit.lent) for unit in units_of(text)] == [
        ("Wear gloves.", ("1 Safety",)),
        ("It weighs 9 kilos.", ("2 Weights",)),
        ("7 days", ("2 Weights",)),
        ("That is all.", ("2 Weights",)),
    ]


def test_items_are_units_and_so_is_their_list() -> None:
    assert found("The bag holds:\n\n* a **torch**\n* a map\n\nNothing else.") == [
        ("item", "a **torch**", ("The bag holds:",)),
        ("item", "a map", ("The bag holds:",)),
        ("list", "The bag holds:\n\n* a **torch**\n* a map", ()),
        ("sentence", "Nothing else.", ()),
    ]


def test_rows_are_units_and_know_their_header() -> None:
    row, other = units_of("# Tariffs\n\n| Plan | Price |\n|---|---|\n| Solo | 9 |\n| **Duo** | 17 |")
    assert (row.kind, row.text, row.cells, row.header) == (
        "row",
        "| Solo | 9 |",
        ("Solo", "9"),
        ("Plan", "Price"),
    )
    assert row.lent == ("Tariffs", "Plan", "Price")
    assert other.cells == ("Duo", "17")


def test_code_is_a_unit_and_the_sentence_before_it_lends_its_words() -> None:
    text = "Restart the queue with this.\n\n```sh\nqueue restart --all\n```\n"
    assert found(text)[1] == ("code", "queue restart --all", ("Restart the queue with this.",))


def test_lines_that_a_page_wrapped_are_one_and_others_are_not() -> None:
    wrapped = "The lock may be opened by two\npeople only, who have the keys.\nNobody else."
    assert [unit.text for unit in units_of(wrapped)] == [
        "The lock may be opened by two\npeople only, who have the keys.",
        "Nobody else.",
    ]
    assert [unit.text for unit in units_of("Name: Ada\nRoom: 12\nPhone: 4410")] == [
        "Name: Ada",
        "Room: 12",
        "Phone: 4410",
    ]


def test_a_unit_is_shown_on_one_line_without_inline_marks() -> None:
    (unit,) = units_of("The **lock** may be opened\nby [two](a.md) people with `open`.")
    assert shown_text(unit) == "The lock may be opened by two people with `open`."


def test_a_unit_is_shown_without_divided_words_and_invisible_marks() -> None:
    assert shown_text(Unit("sentence", 0, "The instal-\nlation is trans\u00adpar\u00adent.")) == (
        "The installation is transparent."
    )
    assert shown_text(Unit("sentence", 0, "Ein- und\nAusgang, 5-\nfach.")) == "Ein- und Ausgang, 5- fach."


def test_code_is_shown_as_it_is() -> None:
    assert shown_text(Unit("code", 0, "a\n b")) == "a\n b"


@given(st.text(alphabet=list("ab.?:#|-*>` \n1。：é"), max_size=200))
def test_units_are_exact_pieces_of_the_passage_in_order(text: str) -> None:
    start = 0
    for unit in units_of(text):
        assert text[unit.start : unit.end] == unit.text
        assert unit.text.strip()
        if unit.kind != "list":
            assert unit.start >= start
            start = unit.start


@given(st.text(alphabet=list("ab:A. \n"), max_size=100))
def test_joined_lines_lose_no_word(text: str) -> None:
    spans = joined_lines(text, 0, len(text))
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())


@pytest.mark.parametrize(
    "piece", ["a ", "a\n", "- a\n", "|a|b|\n", "# a\n", "**a", "a?", "`", "> a\n", "Q: "]
)
def test_a_hostile_passage_costs_time_in_proportion_to_its_length(piece: str) -> None:
    started = time.thread_time()
    units_of(piece * 2_000)
    assert time.thread_time() - started < 4.0
