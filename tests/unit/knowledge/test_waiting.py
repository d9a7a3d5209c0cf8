"""Waiting for a server: pauses, and one line a minute; and the list of what was skipped."""

import asyncio
import logging
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.knowledge.skipped import LISTED_MAX, Skipped
from streams.knowledge.waiting import LINE_S, PAUSE_MAX_S, PAUSES_S, Waiting


@pytest.mark.looptime
async def test_a_wait_is_told_once_a_minute_whatever_its_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = asyncio.get_running_loop().time
    waiting = Waiting("it waits", clock)
    began = clock()
    number = 0
    while clock() - began < 5 * LINE_S:
        number += 1
        await waiting.apause(f"refused, request {number}")
        assert waiting.problem == f"refused, request {number}"
    lines = [record.getMessage() for record in caplog.records]
    assert 5 <= len(lines) <= 6
    assert all(line.startswith("it waits: refused") for line in lines)
    waiting.over()
    waiting.over()
    assert [record.getMessage() for record in caplog.records][len(lines) :] == ["it waits no longer"]
    assert waiting.problem == ""


@pytest.mark.looptime
async def test_pauses_grow_begin_anew_after_a_success_and_honour_the_servers_wish() -> None:
    clock = asyncio.get_running_loop().time
    waiting = Waiting("it waits", clock)

    async def pause(at_least_s: float | None = None) -> float:
        began = clock()
        await waiting.apause("no", at_least_s)
        return clock() - began

    assert [await pause() for _ in PAUSES_S] == pytest.approx(PAUSES_S)
    assert await pause() == pytest.approx(PAUSES_S[-1])
    waiting.over()
    assert await pause() == pytest.approx(PAUSES_S[0])
    assert await pause(30) == pytest.approx(30)
    assert await pause(1e9) == pytest.approx(PAUSE_MAX_S)


def test_the_list_of_skipped_documents_is_bounded_and_the_count_is_not() -> None:
    skipped = Skipped()
    for number in range(LISTED_MAX + 7):
        skipped.add(("default", f"d{number}"), (0, number), "not a document: x" * 1000)
    listed = skipped.listed()
    assert (skipped.count, len(listed)) == (LISTED_MAX + 7, LISTED_MAX)
    assert (listed[-1]["id"], listed[-1]["offset"]) == (f"d{LISTED_MAX + 6}", LISTED_MAX + 6)
    assert len(listed[0]["reason"]) == 300
    skipped.indexed([("default", listed[0]["id"]), ("default", "never")])
    again = Skipped()
    again.restore(skipped.listed())
    assert again.listed() == listed[1:]
    assert ("default", listed[1]["id"]) in again


def noted(*names: str, reason: str = "not a document", partition: int = 3) -> Skipped:
    skipped = Skipped()
    for number, name in enumerate(names):
        skipped.add(("default", name), (partition, number), reason)
    return skipped


def test_the_next_reader_of_a_partition_lists_what_the_one_before_skipped() -> None:
    before = noted("a", "ü", "b")
    before.add(("default", "elsewhere"), (4, 0), "not a document")
    before.add(("default", "without a place"), None, "found by words alone")
    after = Skipped()
    after.take_over({3: before.note(3), 5: ""})
    assert after.listed() == before.listed()[:3]
    after.indexed([("default", "a")])
    again = Skipped()
    again.take_over({3: after.note(3)})
    assert [each["id"] for each in again.listed()] == ["ü", "b"]


def test_a_partition_that_stays_keeps_its_list_and_one_that_goes_takes_it_along() -> None:
    skipped = noted("a", "b")
    skipped.add(("default", "bare"), None, "found by words alone")
    skipped.take_over({3: ""})
    stale = skipped.note(3)
    skipped.indexed([("default", "a")])
    skipped.take_over({3: stale, 4: noted("c", partition=4).note(4)})
    assert [each["id"] for each in skipped.listed()] == ["b", "bare", "c"]
    skipped.take_over({4: ""})
    assert [each["id"] for each in skipped.listed()] == ["bare", "c"]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=LISTED_MAX))
def test_a_note_fits_a_commit_and_holds_the_last_skips(skips: list[tuple[str, str]]) -> None:
    skipped = Skipped()
    for number, (name, reason) in enumerate(skips):
        skipped.add(("default", name), (3, number), reason)
    note = skipped.note(3)
    assert len(note.encode()) <= 4096
    again = Skipped()
    again.take_over({3: note})
    held = again.listed()
    assert held == skipped.listed()[len(skipped.listed()) - len(held) :]
    assert held or not skips


def test_long_reasons_that_do_not_fit_leave_the_last_ones() -> None:
    skipped = Skipped()
    for number in range(LISTED_MAX):
        skipped.add(("default", f"d{number}"), (3, number), random.Random(number).randbytes(140).hex())
    again = Skipped()
    again.take_over({3: skipped.note(3)})
    assert [each["id"] for each in again.listed()][-1] == f"d{LISTED_MAX - 1}"
    assert len(again.listed()) > 10


@pytest.mark.parametrize(
    "note", ["of another program", "skipped1:", "skipped1:!", "skipped1:\u00e9", "skipped1:c-"]
)
def test_a_note_that_somebody_else_wrote_is_passed_over(note: str) -> None:
    skipped = Skipped()
    skipped.take_over({3: note})
    assert skipped.listed() == []
