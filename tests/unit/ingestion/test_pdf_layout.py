"""Words on a page come in the order in which people read them."""

from collections.abc import Sequence

import pytest

from agents.documents.tables import GridRow
from streams.ingestion.pdf_layout import Grid, goes_on, joined, page_blocks
from streams.ingestion.pdf_words import Word


def words(*lines: tuple[float, float, str], size: float = 10.0, bold: bool = False) -> list[Word]:
    """Each line at (left, top); a letter is half as wide as it is high."""
    made = []
    for left, top, text in lines:
        at = left
        for word in text.split():
            right = at + len(word) * size / 2
            made.append(Word(word, at, right, top, top + size, size, bold))
            at = right + size / 2
    return made


def columns(left: Sequence[str], right: Sequence[str], top: float = 100) -> list[Word]:
    painted = []
    for row, (one, other) in enumerate(zip(left, right, strict=True)):
        painted += [(50.0, top + 12 * row, one), (300.0, top + 12 * row, other)]
    return words(*painted)


def test_columns_that_are_painted_row_by_row_are_read_one_after_the_other() -> None:
    page = columns(
        ["The upper valve opens", "at four bars, and it", "closes by itself."],
        ["The lower valve opens", "at nine bars, but it", "closes by hand only."],
    )
    across = words(
        (50, 60, "Both valves of the plant are made of brass and are looked at twice in a year by a guard.")
    )
    assert page_blocks(across + page) == [
        "Both valves of the plant are made of brass and are looked at twice in a year by a guard.",
        "The upper valve opens at four bars, and it closes by itself.",
        "The lower valve opens at nine bars, but it closes by hand only.",
    ]


def test_short_cells_side_by_side_are_a_table() -> None:
    page = columns(["Valve", "Upper", "Lower"], ["Bars", "4", "9"])
    assert page_blocks(page) == ["| Valve | Bars |\n|---|---|\n| Upper | 4 |\n| Lower | 9 |"]


def test_a_column_that_begins_with_a_short_line_is_no_table() -> None:
    page = columns(
        ["Left pump", "The left pump lasts seven years", "when somebody oils it."],
        ["The right fan lasts nine", "years when it is cleaned", "in spring."],
    )
    assert page_blocks(page) == [
        "Left pump The left pump lasts seven years when somebody oils it.",
        "The right fan lasts nine years when it is cleaned in spring.",
    ]


def test_a_row_may_have_lines_and_a_note_below_is_no_row() -> None:
    page = words(
        *[(50, 100, "Step"), (120, 100, "What to do"), (330, 100, "Time")],
        *[
            (120, 120, "Open the valve and wait until the"),
            (120, 132, "gauge shows four bars."),
            (50, 132, "1"),
        ],
        *[(330, 132, "5 min"), (50, 152, "2"), (120, 152, "Clean the filter."), (330, 152, "20 min")],
        (50, 172, "Then rest."),
    )
    assert page_blocks(page) == [
        "| Step | What to do | Time |\n|---|---|---|\n"
        "| 1 | Open the valve and wait until the gauge shows four bars. | 5 min |\n"
        "| 2 | Clean the filter. | 20 min |",
        "Then rest.",
    ]


def test_marks_beside_items_make_a_list() -> None:
    assert page_blocks(columns(["1", "2"], ["Turn it off.", "Wait."])) == ["1. Turn it off.\n2. Wait."]
    assert page_blocks(columns(["•", "•"], ["Gloves", "Masks"])) == ["- Gloves\n- Masks"]


def test_letters_that_are_spaced_out_are_words() -> None:
    made = [Word(letter, 50 + 7 * at, 55 + 7 * at, 60, 70, 10) for at, letter in enumerate("NEW PUMP")]
    assert page_blocks([word for word in made if word.text != " "]) == ["NEW PUMP"]


def test_a_drawn_table_stands_in_its_place_with_one_header() -> None:
    head = GridRow(["Plan", "Price", "Price"], spans=True)
    rows = [head, *map(GridRow, (["Plan", "Net", "Gross"], ["Solo", "9", "11"]))]
    grid = Grid(100, rows)
    above, below = words((50, 60, "Above it.")), words((50, 200, "Below it."))
    assert page_blocks(below + above, [grid]) == [
        "Above it.",
        "| Plan | Price Net | Price Gross |\n|---|---|---|\n| Solo | 9 | 11 |",
        "Below it.",
    ]


def test_large_and_bold_lines_are_headings_and_bullets_are_items() -> None:
    page = [
        *words((50, 20, "Plant"), size=20),
        *words((50, 60, "Valves"), bold=True),
        *words((50, 75, "They open"), (50, 87, "slowly."), (50, 105, "• one"), (50, 117, "• two")),
    ]
    assert page_blocks(page) == ["# Plant", "### Valves", "They open slowly.", "- one", "- two"]


@pytest.mark.parametrize(
    ("left", "right", "whole"),
    [
        ("the guaran-", "tee lasts", "the guarantee lasts"),
        ("Ein- und", "Ausgang", "Ein- und Ausgang"),
        ("Vor-", "und Nachteile", "Vor- und Nachteile"),
        ("pages 3-", "5 of it", "pages 3- 5 of it"),
        ("North-", "Sea", "North- Sea"),
        ("soft\u00ad", "ware", "software"),
        ("水泵的保修", "期为五年", "水泵的保修期为五年"),
    ],
)
def test_a_word_divided_at_a_line_end_is_whole_again(left: str, right: str, whole: str) -> None:
    assert joined(left, right) == whole


def test_a_sentence_goes_on_over_the_end_of_a_page() -> None:
    assert goes_on("The pump turns", "for nine hours.")
    assert not goes_on("The pump turns.", "for nine hours.")
    assert not goes_on("| a |", "b")
    assert not goes_on("The pump turns", "It stops.")
