"""A streamed text goes on as the answer will have it, wherever its pieces end."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.citing.marks import indexed_names, read_marks
from agents.citing.notation import CODE, RUN
from agents.citing.streaming import HELD_MAX, MarkFilter

SOURCES = ["The sky is blue.[3] More.", "天空是蓝色的。", "Water is wet. Set [1, 2] argv[1]"]


def told(*pieces: str) -> list[str]:
    """What each piece makes certain."""
    marks = MarkFilter(SOURCES)
    return [marks.feed(piece) for piece in pieces]


@pytest.mark.parametrize(
    ("pieces", "certain"),
    [
        (["Blue", " [1", "]", ".", " Wet"], ["Blue", "", "", " [1].", " Wet"]),
        (["Blue [", "9", "] sky"], ["Blue", "", " sky"]),
        (["Blue [9", "], sky"], ["Blue", ", sky"]),
        (["Blue [1", ", 2", "], sky"], ["Blue", "", " [1][2], sky"]),
        (["Blue [1]", "[2]", "[9]", " sky"], ["Blue", "", "", " [1][2] sky"]),
        (["Blue ([", "9", "]", ") sky"], ["Blue", "", "", " sky"]),
        (["蓝【1†so", "urce】", "湿"], ["蓝", "", "[1]湿"]),
        (["Blue (so", "urce 1", ")", ", wet"], ["Blue", "", "", " [1], wet"]),
        # What cannot be a mark goes on at once.
        (["Blue (s", "ky)"], ["Blue", " (sky)"]),
        (["A [l", "ist]"], ["A [l", "ist]"]),
        (["[ ", "]"], ["", "[ ]"]),
        (["[20", "19", "5"], ["", "", "[20195"]),
        (["x", "\n", "y "], ["x", "\n", "y"]),
        # Nothing in code is a mark; whether it is code is known when it ends.
        (["`row[1, 9", "]`", " [9]."], ["`row", "[1, 9]`", "."]),
        (["`see [1-", "3] and", "\nso"], ["`see", "", " [1][2][3] and\nso"]),
        (["``", "`py\n", "[9] ", "``", "` ["], ["", "```py\n", "[9] ", "", "```"]),
    ],
)
def test_the_end_is_held_back_while_it_may_be_a_mark(pieces: list[str], certain: list[str]) -> None:
    assert told(*pieces) == certain


FRAGMENTS = st.sampled_from(
    [
        *("[1]", "[2]", "[9]", "[1, 2]", "[1-3]", "[1,9]", "[^1]", "[0, 1]", "[2019]", "[x]", "[ ]", "[[9]]"),
        *("([9])", " [9]", "(source 1)", "[source 9]", "(Sources: 2, 3)", "【1†source】", "【8:0†a.md】"),
        *("[", "]", "(", ")", "（", "）", "[[", "`", "``", "```", "~~~", "~", "\\", "†", "x", "1", "12"),
        *(" ", "  ", "\n", "\n- ", ".", ",", "=", "+= ", ">>=", "(b.md)", ": ", "Blue", "blue", "temp"),
        *("来源", "区间", "and", "source", "blue.[3]", "Set [1, 2]", "interval ", "a `code[9]` b"),
        *("```py\nx[1, 9]\n```", "word " * 9, " " * 40),
    ]
)
TEXTS = st.lists(FRAGMENTS, max_size=14).map("".join) | st.text("[]()1 29,`\n.x【】†-", max_size=60)
CUTS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def split(text: str, lengths: list[int]) -> list[str]:
    pieces, begin, turn = [], 0, 0
    while begin < len(text):
        pieces.append(text[begin : begin + lengths[turn % len(lengths)]])
        begin += len(pieces[-1])
        turn += 1
    return pieces


def is_knowable(text: str) -> bool:
    """Whether no place of a text depends on one that is further away than the filter may wait."""
    return (
        "`" not in CODE.sub("", text)
        and not any(len(run[0]) > HELD_MAX - 2 for run in RUN.finditer(text))
        and not indexed_names(text, len(SOURCES))
    )


@settings(max_examples=500)
@given(TEXTS, CUTS)
@example("Blue [1].", [1])
@example("Blue`` [9].", [1])
def test_a_text_in_any_pieces_goes_on_as_the_answer_has_it(text: str, lengths: list[int]) -> None:
    answer, _ = read_marks(text, SOURCES)
    sent = "".join(told(*split(text, lengths)))
    if is_knowable(text):
        assert answer.startswith(sent)
        # Its end alone is held back, and what is held cannot grow by much when it is read.
        assert len(answer) - len(sent) <= 2 * HELD_MAX


@given(st.text("[]()1 29,`\n.x【】-", max_size=60))
def test_a_text_without_marks_goes_on_whole_but_for_its_end(text: str) -> None:
    marks = MarkFilter(SOURCES)
    plain = RUN.sub("", text) + "end"
    if RUN.search(plain) is None:
        assert marks.feed(plain) == plain


def test_a_name_that_turns_out_to_be_indexed_cannot_be_known() -> None:
    text = "Read temp[^1] first, then temp[0]."
    assert not read_marks(text, SOURCES)[0].startswith("".join(told(text[:20], text[20:])))


@pytest.mark.parametrize(
    "text", ["[", "` [9] ", "[1]", " ", "(source ", "【1†", "``", "~", "word ", "[[", "x[9]"]
)
def test_a_text_costs_time_that_grows_with_its_length(text: str) -> None:
    def seconds(count: int) -> float:
        whole = text * count
        marks = MarkFilter(SOURCES)
        begun = time.process_time()
        for begin in range(0, len(whole), 5):
            marks.feed(whole[begin : begin + 5])
        marks = MarkFilter(SOURCES)
        marks.feed(whole)
        return time.process_time() - begun

    seconds(10)
    # Eight times the text; quadratic, it would be 64 times the time.
    assert min(seconds(8000) for _ in range(2)) < 30 * max(min(seconds(1000) for _ in range(3)), 0.002)
