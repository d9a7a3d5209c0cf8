"""Waiting for a server: pauses, and one line a minute; and the list of what was skipped."""

import asyncio
import logging

import pytest

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
