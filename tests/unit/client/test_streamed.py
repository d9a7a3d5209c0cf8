"""A reader's text adds up to the answer's, whatever was lost, repeated or run again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.answer import Answer, Source
from schemas.event import AnswerDelta
from streams.client.streamed import StreamedText


def answer(text: str) -> Answer:
    return Answer(
        id="q",
        question_id="q",
        conversation_id="q",
        tenant="default",
        status="answered",
        source=Source("questions", 0, 0),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        text=text,
    )


def delta(epoch: int, sequence: int, text: str = "", *, replaced: bool = False) -> AnswerDelta:
    return AnswerDelta(
        question_id="q",
        conversation_id="q",
        epoch=epoch,
        sequence=sequence,
        text=text,
        done=not text,
        replaced=replaced,
    )


class Shown:
    """What a listener shows that knows the two rules alone."""

    def __init__(self) -> None:
        self.streamed = StreamedText()
        self.epoch = 0
        self.text = ""

    def take(self, delta: AnswerDelta | None) -> None:
        if delta is None:
            return
        if delta.epoch != self.epoch or delta.replaced:
            self.text = ""
        self.epoch = delta.epoch
        self.text += delta.text

    def read(self, *deltas: AnswerDelta) -> str:
        for each in deltas:
            self.take(self.streamed.take(each))
        return self.text

    def end(self, text: str) -> AnswerDelta:
        last = self.streamed.finish(answer(text))
        self.take(last)
        assert self.text == text
        assert last.done
        return last


def test_pieces_are_joined_and_the_rest_is_the_answers() -> None:
    shown = Shown()
    assert shown.read(delta(5, 0, "one "), delta(5, 1, "two "), delta(5, 1, "two ")) == "one two "
    last = shown.end("one two three")
    assert (last.text, last.replaced, last.sequence) == ("three", False, 2)


def test_the_run_that_begins_later_counts_whatever_its_epoch() -> None:
    shown = Shown()
    assert shown.read(
        delta(9, 0, "old "), delta(5, 0, "new "), delta(9, 1, "late "), delta(5, 1, "text")
    ) == ("new text")
    assert shown.read(delta(9, 2)) == "new text"
    assert not shown.end("new text").replaced


def test_nothing_is_told_behind_a_gap_until_the_answer() -> None:
    shown = Shown()
    assert shown.read(delta(1, 0, "a"), delta(1, 2, "c"), delta(1, 3, "d")) == "a"
    assert shown.end("abcd").text == "bcd"


def test_the_end_of_a_run_is_no_end() -> None:
    shown = Shown()
    assert shown.read(delta(1, 0, "given up"), delta(1, 1), delta(2, 0, "an")) == "an"
    assert shown.end("answer").text == "swer"


@pytest.mark.parametrize("text", ["", "other", "ab"])
def test_a_text_that_turned_out_otherwise_is_replaced(text: str) -> None:
    shown = Shown()
    assert shown.read(delta(1, 0, "abc"), delta(1, 1, replaced=True)) == "abc"
    assert shown.end(text).replaced


def test_a_reader_that_saw_no_delta_gets_the_whole_text() -> None:
    last = Shown().end("whole")
    assert (last.text, last.replaced) == ("whole", False)


RUNS = st.lists(st.lists(st.sampled_from(["a", "bc", " ", "d"]), max_size=5), min_size=1, max_size=4)


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[AnswerDelta], list[list[str]], bool]:
    """Draw the records of some runs as a partition may hold them, the runs, and whether none was lost."""
    runs = draw(RUNS)
    epochs = draw(st.lists(st.integers(0, 9), min_size=len(runs), max_size=len(runs), unique=True))
    waiting = [
        [delta(epoch, number, text) for number, text in enumerate([*run, ""])]
        for epoch, run in zip(epochs, runs, strict=True)
    ]
    log: list[AnswerDelta] = []
    whole = True
    begun = 1
    while any(waiting):
        # A run may go on for a while after the next one has begun, but begins before it.
        begun = max(begun, draw(st.integers(1, len(waiting))) if begun < len(waiting) else begun)
        begun = min(begun, next((n + 1 for n, run in enumerate(runs) if len(waiting[n]) > len(run)), begun))
        ready = [deltas for deltas in waiting[:begun] if deltas]
        if not ready:
            begun += 1
            continue
        record = draw(st.sampled_from(ready)).pop(0)
        if draw(st.integers(0, 9)) == 0:
            whole = False
        else:
            log += [record] * draw(st.integers(1, 2))
    return log, runs, whole


@given(logs(), st.data())
def test_any_log_adds_up_to_the_answer(
    drawn: tuple[list[AnswerDelta], list[list[str]], bool], data: st.DataObject
) -> None:
    log, runs, whole = drawn
    shown = Shown()
    for each in log:
        shown.read(each)
        assert any("".join(run).startswith(shown.text) for run in runs)
    if whole:
        assert shown.text == "".join(runs[-1]) or not runs[-1]
    shown.end("".join(data.draw(st.sampled_from(runs))))
