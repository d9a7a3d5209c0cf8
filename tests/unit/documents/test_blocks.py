"""A Markdown text is divided into blocks, and no word of it is lost."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents.blocks import WINDOW, WINDOW_LINES, Block, block_windows, parse_blocks

pieces = st.sampled_from(
    [
        "# Pump\n", "## Seal ##\n", "Valve\n---\n", "Oil\n===\n", "It turns.\n", "\n", "\r\n", "- one\n",
        "  - two\n", "1. first\n", "> said\n", "> > deep\n", "| a | b |\n", "|---|---|\n", "| 1 | 2 |\n",
        "```\n", "~~~ py\n", "    indented\n", "\t", "***\n", "<div>\n", "a \\| b\n", "[x]: /y\n", "* ",
        "答えは三年です。\n", "\x00", "\u2028", "\ud800", "x", " ", ">", "<!-- no -->\n",
    ]
)  # fmt: skip
texts = st.lists(st.one_of(pieces, st.text(max_size=20)), max_size=60).map("".join)


def shown(text: str) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, text[slice(*block.content)]) for block in parse_blocks(text)]


def cells(text: str, block: Block) -> list[list[str]]:
    rows = [block.header, *block.rows] if block.header else block.rows
    return [[text[slice(*cell)] for cell in row.cells] for row in rows if row]


def test_a_heading_ends_with_its_line() -> None:
    text = "# Sensor\nIt draws 3 amperes.\n## Colour ##\nGreen.\nShape\n---\nRound.\nTwo\nlines\n===\n# C#"
    assert shown(text) == [
        ("heading", 1, "Sensor"),
        ("paragraph", 0, "It draws 3 amperes."),
        ("heading", 2, "Colour"),
        ("paragraph", 0, "Green."),
        ("heading", 2, "Shape"),
        ("paragraph", 0, "Round.\nTwo"),
        ("heading", 1, "lines"),
        ("heading", 1, "C#"),
    ]


def test_a_text_over_a_rule_is_no_heading() -> None:
    assert shown("It holds 3 l.\nAnd no more.\n---\nNext") == [
        ("paragraph", 0, "It holds 3 l.\nAnd no more."),
        ("paragraph", 0, "Next"),
    ]


def test_list_items_are_blocks_with_their_depth() -> None:
    text = "- salt\n  - sea\n    more\n\n  still salt\n1. one\n2) two\n* # Head\n"
    assert shown(text) == [
        ("item", 1, "salt"),
        ("item", 2, "sea\n    more"),
        ("paragraph", 1, "still salt"),
        ("item", 1, "one"),
        ("item", 1, "two"),
        ("heading", 1, "Head"),
    ]


def test_quotes_and_code_are_blocks() -> None:
    text = "> said\n> > deeper\n\n```py\nx = 1\n\ny = 2\n```\n\n    three\n\n~~~\nopen\n"
    assert shown(text) == [
        ("quote", 0, "said"),
        ("quote", 0, "deeper"),
        ("code", 0, "x = 1\n\ny = 2"),
        ("code", 0, "    three"),
        ("code", 0, "open"),
    ]


def test_a_table_has_a_header_and_rows() -> None:
    text = "Prices:\n| Plan | Price |\n|:--|--:|\n| Solo | 9 \\| 10 |\n| Team |\n"
    text += "\n- | a | b |\n  |---|---|\n  | c | d |"
    kinds = [block.kind for block in parse_blocks(text)]
    assert kinds == ["paragraph", "table", "table"]
    first, second = (block for block in parse_blocks(text) if block.kind == "table")
    assert cells(text, first) == [["Plan", "Price"], ["Solo", "9 \\| 10"], ["Team"]]
    assert cells(text, second) == [["a", "b"], ["c", "d"]]
    assert text[first.start : first.end].endswith("| Team |")


@pytest.mark.parametrize("text", ["a | b\n---\nc", "| a | b |\n|---|\n", "a\n|---|\n", "|"])
def test_lines_that_are_no_table_are_text(text: str) -> None:
    assert all(block.kind != "table" for block in parse_blocks(text))


def test_a_definition_of_a_link_is_text() -> None:
    assert shown('[manual]: /pump "The pump manual"') == [
        ("paragraph", 0, '[manual]: /pump "The pump manual"')
    ]


def test_a_long_table_goes_on_with_its_header() -> None:
    text = "| Part | Price |\n|---|---|\n" + "".join(f"| p{n} | {n} EUR |\n" for n in range(500)) + "\nEnd."
    blocks = list(parse_blocks(text))
    tables = [block for block in blocks if block.kind == "table"]
    assert len(tables) > 1
    assert {block.header for block in tables} == {tables[0].header}
    found = [text[slice(*row.cells[0])] for block in tables for row in block.rows]
    assert found == [f"p{n}" for n in range(500)]
    assert blocks[-1].kind == "paragraph"


def test_a_long_list_and_long_code_go_on() -> None:
    items = "".join(f"- item {n}\n  - part {n}\n" for n in range(300))
    assert [each[1:] for each in shown(items)] == [
        each for n in range(300) for each in ((1, f"item {n}"), (2, f"part {n}"))
    ]
    code = "```\n" + "".join(f"# line {n}\n" for n in range(300)) + "```\n# Real\n"
    found = shown(code)
    assert {kind for kind, _, _ in found[:-1]} == {"code"}
    assert found[-1] == ("heading", 1, "Real")
    assert "".join(f"{each[2]}\n" for each in found[:-1]) == code[4:-11]


def test_deep_nesting_loses_no_word() -> None:
    assert "end" in "".join(text for _, _, text in shown(">" * 3_000 + " end"))
    nested = "".join(" " * 2 * depth + f"- level{depth}\n" for depth in range(60))
    assert all(f"level{depth}" in "".join(each[2] for each in shown(nested)) for depth in range(60))


@given(texts)
def test_blocks_are_in_order_and_lose_no_word(text: str) -> None:
    covered = bytearray(len(text))
    end = 0
    for block in parse_blocks(text):
        assert end <= block.start < block.end <= len(text)
        assert block.start <= block.content[0] <= block.content[1] <= block.end
        for row in block.rows:
            assert block.start <= row.start <= row.end <= block.end
            assert all(row.start <= left <= right <= row.end for left, right in row.cells)
        covered[block.start : block.end] = b"\1" * (block.end - block.start)
        end = block.end
    left = "".join(mark for mark, inside in zip(text, covered, strict=True) if not inside)
    assert not re.search(r"[^\W_]", left.replace("no", ""))


@pytest.mark.alone
@pytest.mark.parametrize(
    "piece",
    [
        "a\n",
        "-\n",
        "- a\n",
        "> a\n",
        "- - - - a\n",
        "| a | b |\n",
        "a|\n",
        "word ",
        "\t",
        "<!--",
        "> ",
        "```\n",
    ],
)
def test_time_grows_with_the_length(piece: str) -> None:
    def taken(size: int) -> float:
        text = piece * (size // len(piece))
        begun = time.process_time()
        for _ in block_windows(text):
            pass
        return time.process_time() - begun

    taken(1_000)
    assert min(taken(160_000), taken(160_000)) < 20 * max(taken(20_000), taken(20_000)) + 0.05


def test_a_window_holds_a_bounded_part() -> None:
    text = "word\n" * 20_000
    most = max(sum(block.end - block.start for block in window) for window in block_windows(text))
    assert most <= 4 * max(WINDOW, WINDOW_LINES * 5)
