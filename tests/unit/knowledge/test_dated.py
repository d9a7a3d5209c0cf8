"""Answers name the state of the knowledge that their passages were found in, and never a wrong one."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from agents.components import Call, Passage
from agents.errors import TransientError
from agents.knowledge.dated import DatedRetriever
from agents.knowledge.version import KnowledgeVersions, Mark
from agents.run import Run
from schemas.answer import AnswerKnowledge
from schemas.question import Question
from tests.support.components import RecordingObserver

QUESTION = Question(id="q", tenant="a", text="What?")


class Searching:
    """A retriever that does something to the knowledge while each search runs."""

    def __init__(self, *during: Callable[[], None]) -> None:
        self.during = list(during)
        self.searches = 0

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        self.searches += 1
        if self.during:
            self.during.pop(0)()
        return [Passage(f"d#{self.searches}", "d", "", "", "text", 1.0)]


def versions_at(offset: int) -> KnowledgeVersions:
    versions = KnowledgeVersions()
    versions.changed(0, {"a": Mark(offset - 1, 1000 * offset)})
    versions.read_to(0, offset, 1000 * offset)
    versions.begin()
    return versions


def at(offset: int, exact: bool = True) -> AnswerKnowledge:
    return AnswerKnowledge(offset, datetime.fromtimestamp(offset, UTC), exact)


async def found(
    inner: Searching, versions: KnowledgeVersions, *, shared: bool = False, left_s: float = 60
) -> AnswerKnowledge | None:
    loop = asyncio.get_running_loop()
    run = Run(QUESTION, loop.time() + left_s, RecordingObserver())
    retriever = DatedRetriever(inner, versions, shared=shared)
    passages = await retriever.aretrieve(QUESTION, run.call("retrieve", run.deadline))
    assert passages[0].chunk_id == f"d#{inner.searches}"
    return run.knowledge


def change(versions: KnowledgeVersions, offset: int, tenant: str = "a") -> None:
    versions.changing([tenant])
    versions.changed(0, {tenant: Mark(offset, 1000 * (offset + 1))})
    versions.read_to(0, offset + 1, 1000 * (offset + 1))


async def test_a_search_in_one_state_is_exact() -> None:
    assert await found(Searching(), versions_at(7)) == at(7)


async def test_a_change_of_another_tenant_does_not_matter() -> None:
    versions = versions_at(7)
    inner = Searching(lambda: change(versions, 7, "b"))
    assert await found(inner, versions) == at(7)
    assert inner.searches == 1
    versions.changing(["b"])
    assert await found(Searching(), versions) == at(8)


async def test_a_change_during_the_search_is_searched_for_once_more() -> None:
    versions = versions_at(7)
    inner = Searching(lambda: change(versions, 7))
    assert await found(inner, versions) == at(8)
    assert inner.searches == 2


async def test_changes_during_both_searches_leave_a_lower_bound() -> None:
    versions = versions_at(7)
    inner = Searching(lambda: change(versions, 7), lambda: change(versions, 8))
    assert await found(inner, versions) == at(8, exact=False)
    assert inner.searches == 2


async def test_a_change_that_goes_on_leaves_a_lower_bound_at_once() -> None:
    versions = versions_at(7)
    inner = Searching(lambda: versions.changing(["a"]))
    assert await found(inner, versions) == at(7, exact=False)
    assert inner.searches == 1
    assert await found(Searching(), versions) == at(7, exact=False)


async def test_a_change_that_ends_during_the_search_is_searched_for_once_more() -> None:
    versions = versions_at(7)
    versions.changing(["a"])
    inner = Searching(lambda: change(versions, 7))
    assert await found(inner, versions) == at(8)
    assert inner.searches == 2


async def test_without_time_or_with_a_failure_the_first_search_counts() -> None:
    versions = versions_at(7)
    inner = Searching(lambda: change(versions, 7))
    assert await found(inner, versions, left_s=-1) == at(7, exact=False)
    assert inner.searches == 1

    def fail() -> None:
        inner.searches -= 1  # its passages are not the ones that count
        raise TransientError("knowledge", "away")

    inner = Searching(lambda: change(versions, 8), fail)
    assert await found(inner, versions) == at(8, exact=False)


async def test_a_shared_index_or_one_that_refused_a_record_gives_a_lower_bound() -> None:
    versions = versions_at(7)
    inner = Searching()
    assert await found(inner, versions, shared=True) == at(7, exact=False)
    versions.changed(0, {"a": Mark(7, 8000)}, {"a"})
    versions.read_to(0, 8, 8000)
    assert await found(inner, versions) == at(8, exact=False)
    assert inner.searches == 2


@pytest.mark.parametrize("state", ["unknown", "empty", "partitions"])
async def test_no_position_is_told_where_there_is_none(state: str) -> None:
    versions = KnowledgeVersions()
    if state == "unknown":
        versions.read_to(0, 7, 7000)
    else:
        versions.read_to(0, 0)
        versions.begin()
    if state == "partitions":
        versions.read_to(0, 7, 7000)
        versions.read_to(1, 7, 7000)
    assert await found(Searching(), versions) is None


def test_a_position_moves_over_gaps_and_keeps_its_time() -> None:
    versions = versions_at(7)
    versions.read_to(0, 9)
    assert versions.position == (9, 7000)
    versions.forget()
    assert versions.position is None
