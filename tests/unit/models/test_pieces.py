"""Pieces that continue a text, and pieces that repeat it."""

from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agents.models.pieces import Pieces

SAYS = "The ferry leaves at nine."


def put_together(pieces: Sequence[str], message: str | None = None) -> str | None:
    """Return the text as it was told piece by piece; None: it is unclear."""
    text = Pieces()
    told = [text.add(piece) for piece in pieces]
    if message is not None:
        told.append(text.add_message(message))
    told.append(text.close())
    return None if text.unclear else "".join(told)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["The ", "ferry ", "leaves at nine."], SAYS),
        # The whole text so far in each piece: by words, by letters, with repeated ones.
        (["The ", "The ferry ", "The ferry leaves ", SAYS], SAYS),
        ([SAYS[:end] for end in range(1, len(SAYS) + 1)], SAYS),
        (["The", "The", "The ferry", "The ferry", SAYS, SAYS], SAYS),
        (["渡轮", "渡轮九点", "渡轮九点开船", "渡轮九点开船。"], "渡轮九点开船。"),
        (["\n", "\nThe ferry", "\nThe ferry leaves"], "\nThe ferry leaves"),
        (["The ferry ", SAYS], SAYS),
        # It ends with the whole again, without its last line end.
        (["The ", "The ferry ", f"{SAYS}\n", SAYS], f"{SAYS}\n"),
        # The whole at the end alone, once or twice, or with a tail that no piece had.
        (["The ferry ", "leaves at nine.", SAYS], SAYS),
        (["The ferry ", "leaves at nine.", SAYS, SAYS], SAYS),
        (["The ferry ", "leaves", SAYS], SAYS),
        # Pieces of a text that begin with all of the text before.
        (["1", "10", " boats"], "110 boats"),
        (["-", "--", "----", "--------", " Ferries"], "--------------- Ferries"),
        (["The ferry.", "The ferry.", " That is all."], "The ferry.The ferry. That is all."),
        (["", " ", " The", " ferry"], "  The ferry"),
    ],
)
def test_a_text_is_told_once(pieces: list[str], text: str) -> None:
    assert put_together(pieces) == text


@pytest.mark.parametrize(
    "pieces",
    [
        ["1", "10"],
        ["42", "42"],
        ["2", "0", "20"],
        ["No", "No", "No. Never."],
        ["ha", "haha", "hahaha", "hahahaha"],
        ["-----", "----------", "--------------------"],
        # It repeats the text at first, and goes on with what is new.
        ["The ", "The ferry ", "The ferry leaves ", "at nine."],
        ["The ferry ", "The ferry leaves ", "at nine."],
    ],
)
def test_a_text_that_can_be_read_in_two_ways_is_unclear(pieces: list[str]) -> None:
    assert put_together(pieces) is None


@pytest.mark.parametrize(
    ("pieces", "message", "text"),
    [
        (["4", "42"], "442", "442"),
        (["4", "42"], "42", "42"),
        (["4", "42"], "42 boats", "42 boats"),
        (["42", "42"], "42", "42"),
        (["42", "42"], "4242", "4242"),
        (["4", "42"], "Forty-two", None),
        ([], SAYS, SAYS),
        (["The ferry "], SAYS, SAYS),
        ([SAYS], SAYS, SAYS),
        (["The ", "The ferry ", "The ferry leaves "], SAYS, SAYS),
    ],
)
def test_a_whole_message_settles_it(pieces: list[str], message: str, text: str | None) -> None:
    assert put_together(pieces, message) == text


@pytest.mark.parametrize("pieces", [["The ", "ferry ", "leaves at nine."], ["The ", "The ferry ", SAYS]])
def test_messages_may_be_pieces_too(pieces: list[str]) -> None:
    text = Pieces()
    assert "".join([*map(text.add_message, pieces), text.close()]) == SAYS
    assert not text.unclear


@given(st.lists(st.text("ab1 .", min_size=1, max_size=6), min_size=1, max_size=12))
@example(["a", "a"])
@example(["a b1", "a b1.", " "])
def test_pieces_are_a_text_or_repeat_it_or_are_unclear(pieces: list[str]) -> None:
    """Nothing else is ever told: neither half of a reading, nor a mixture of two."""
    told = put_together(pieces)
    joined = "".join(pieces)
    # A text may be repeated from any piece on, by all the pieces that follow.
    repeated = {
        pieces[-1]
        for begin in range(len(pieces))
        if all(
            later.startswith(earlier) or later.strip() == earlier.strip()
            for earlier, later in zip(
                ["".join(pieces[:begin]), *pieces[begin:]], pieces[begin:], strict=False
            )
        )
    }
    assert told is None or told == joined or told.strip() in {one.strip() for one in repeated}


@given(st.text(min_size=24, max_size=80), st.lists(st.integers(1, 80), min_size=3, max_size=12, unique=True))
def test_a_text_that_every_piece_repeats_is_told_once(text: str, ends: list[int]) -> None:
    assume(len(set(text)) > 16 and text == text.strip())
    pieces = [text[:end] for end in sorted(ends)]
    told = put_together([*pieces, text])
    assert told in (None, text)
    if len(pieces[-1].strip()) >= 8 and len(set(pieces[-1].strip())) > 7:
        assert told == text


@given(st.lists(st.text("abcdefgh ", min_size=1, max_size=9), min_size=2, max_size=20))
def test_pieces_that_repeat_nothing_are_told_at_once(pieces: list[str]) -> None:
    assume(not any(piece.startswith("".join(pieces[:n])) for n, piece in enumerate(pieces) if n))
    text = Pieces()
    assert [text.add(piece) for piece in pieces] == pieces
