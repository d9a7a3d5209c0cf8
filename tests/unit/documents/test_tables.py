"""Tables of any file have one header, and rows that can stand alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents.blocks import parse_blocks
from agents.documents.tables import GridRow, table_blocks


def rows(*lines: str, head: int = 0, spans: int = 0) -> list[GridRow]:
    """Rows of cells between slashes: the first `head` are marked, the first `spans` have one that spans."""
    return [
        GridRow(line.split("/"), number < head, number < spans or len(set(line.split("/"))) == 1)
        for number, line in enumerate(lines)
    ]


@pytest.mark.parametrize(("head", "spans"), [(2, 1), (1, 1), (0, 1)])
def test_two_header_rows_become_one(head: int, spans: int) -> None:
    table = rows(
        "Region/2023/2023/2024/2024",
        "Region/Revenue/Profit/Revenue/Profit",
        "North/10/1/20/2",
        "South/30/3/40/4",
        head=head,
        spans=spans,
    )
    assert table_blocks(table) == [
        "| Region | 2023 Revenue | 2023 Profit | 2024 Revenue | 2024 Profit |\n|---|---|---|---|---|\n"
        "| North | 10 | 1 | 20 | 2 |\n| South | 30 | 3 | 40 | 4 |"
    ]


def test_a_name_over_several_columns_may_be_in_the_first_alone() -> None:
    table = rows("Region/2023//2024/", "/Sales/Costs/Sales/Costs", "North/10/1/20/2", "South/3/4/5/6")
    assert table_blocks(table)[0].startswith("| Region | 2023 Sales | 2023 Costs | 2024 Sales | 2024 Costs |")


def test_a_line_over_the_whole_width_names_the_rows_below_it_or_is_a_caption_or_note() -> None:
    table = rows(
        "Fees/Fees",
        "Plan/Price",
        "Home/Home",
        "Basic/5",
        "Work/Work",
        "Basic/9",
        "No VAT./No VAT.",
        head=2,
    )
    assert table_blocks(table) == [
        "Fees",
        "|  | Plan | Price |\n|---|---|---|\n| Home | Basic | 5 |\n| Work | Basic | 9 |",
        "No VAT.",
    ]


def test_a_header_within_a_table_begins_another_and_a_repeated_one_does_not() -> None:
    marked = [
        GridRow(line.split("/"), line[0].isupper()) for line in ("A/B", "x/1", "A/B", "y/2", "C/D", "z/3")
    ]
    assert table_blocks(marked) == [
        "| A | B |\n|---|---|\n| x | 1 |\n| y | 2 |",
        "| C | D |\n|---|---|\n| z | 3 |",
    ]


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (("Year/2023/2024", "Sales/5/6", "Costs/3/4"), "| Year | 2023 | 2024 |"),
        (("/Mon/Tue", "Berlin/9/10", "Paris/8/9"), "|  | Mon | Tue |"),
        (("Plan/Price", "Solo/9 EUR", "Team/29 EUR"), "| Plan | Price |"),
        (("Zone 1/Zone 2/Zone 3", "2.10/3/4", "5/6/7"), "| Zone 1 | Zone 2 | Zone 3 |"),
        (("Colour/red", "Weight/14 kg", "Height/120 cm"), "|  |  |"),
        (("Berlin/123", "Paris/", "Rome/456"), "|  |  |"),
        (("part-1/7 EUR/x", "part-2/9 EUR/y"), "|  |  |  |"),
        (("2023/5/6", "2024/3/4"), "|  |  |  |"),
    ],
)
def test_a_first_row_is_a_header_only_if_it_names_what_is_below(lines: tuple[str, ...], header: str) -> None:
    assert table_blocks(rows(*lines))[0].splitlines()[0] == header


@given(
    st.lists(
        st.builds(
            GridRow,
            st.lists(st.sampled_from(["", "a", "b.", "7", "2024", "x y"]), min_size=1, max_size=4),
            st.booleans(),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_no_cell_is_lost(table: list[GridRow]) -> None:
    text = "\n\n".join(table_blocks(table))
    shown = {
        text[slice(*cell)]
        for block in parse_blocks(text)
        if block.kind == "table"
        for row in filter(None, (block.header, *block.rows))
        for cell in row.cells
    }
    for row in table:
        for cell in filter(None, row.cells):
            assert any(cell in each for each in shown) or cell in text
