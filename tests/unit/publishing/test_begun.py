"""What failed runs have begun, for as long as their questions may be repeated."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agents.components import Plan, PlannedCall
from schemas.answer import Source
from schemas.codec import encode
from schemas.fingerprint import digest_of, fingerprint
from schemas.journal import EntryKind, JournaledCall, JournalEntry
from schemas.question import Question
from streams.publishing.begun import Begun

QUESTION = Question(id="q", text="Book.", conversation_id="c", tenant="acme")
PLAN = Plan((PlannedCall("a", "book", {}), PlannedCall("b", "pay", {})))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def at(offset: int) -> Source:
    return Source("questions", 0, offset)


def entry(kind: EntryKind, offset: int, question: Question = QUESTION, **fields: Any) -> JournalEntry:
    values: dict[str, Any] = {"tenant": question.tenant, "digest": digest_of(question).hex()} | fields
    return JournalEntry(
        question_id=question.id,
        conversation_id=question.conversation_id,
        source=at(offset),
        kind=kind,
        created_at=NOW,
        **values,
    )


def plan(offset: int, question: Question = QUESTION, **fields: Any) -> JournalEntry:
    calls = tuple(JournaledCall(id=call.id, name=call.name) for call in PLAN.calls)
    return entry("plan", offset, question, calls=calls, **fields)


def intent(offset: int, call_id: str, key: str = "key", **fields: Any) -> JournalEntry:
    return entry("intent", offset, call_id=call_id, name="book", idempotency_key=key, **fields)


def result(offset: int, call_id: str, text: str) -> JournalEntry:
    return entry("result", offset, call_id=call_id, name="book", status="ok", result=text)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(window_s: float = 100.0, most: int = 3, clock: Clock | None = None) -> Begun:
    return Begun(window_s=window_s, most=most, clock=clock or Clock())


def fail(held: Begun, offset: int, question: Question = QUESTION) -> None:
    held.finish(question.id, at(offset), fingerprint(question), failed=True)


def test_a_run_does_not_see_its_own_entries() -> None:
    held = begun()
    held.note(plan(1))
    assert held.recorded(QUESTION, at(1)) is None


def test_the_entries_of_all_runs_of_a_question_are_one() -> None:
    held = begun()
    held.note(plan(1))
    held.note(intent(1, "a", "first"))
    held.note(result(1, "a", "booked"))
    fail(held, 1)
    held.note(intent(2, "b", "second"))
    held.note(intent(2, "a", "never counts"))
    fail(held, 2)
    recorded = held.recorded(QUESTION, at(3))
    assert recorded is not None
    assert recorded.plan == PLAN
    assert recorded.intents == {"a": "first", "b": "second"}
    assert recorded.results["a"].result == "booked"


@pytest.mark.parametrize(
    "other",
    [
        Question(id="q", text="Book two.", conversation_id="c", tenant="acme"),
        Question(id="q", text="Book.", conversation_id="c", tenant="default"),
        Question(id="q", text="Book.", conversation_id="d", tenant="acme"),
        Question(id="r", text="Book.", conversation_id="c", tenant="acme"),
    ],
)
def test_another_question_has_none_of_them(other: Question) -> None:
    held = begun()
    held.note(plan(1))
    fail(held, 1)
    assert held.recorded(other, at(2)) is None


def test_they_are_kept_for_the_window_and_in_a_bounded_number() -> None:
    clock = Clock()
    held = begun(clock=clock)
    questions = [Question(id=f"q{n}", text="?") for n in range(4)]
    for number, question in enumerate(questions):
        held.note(plan(number, question))
        fail(held, number, question)
        clock.now += 1
    assert [held.recorded(question, at(9)) is not None for question in questions] == [False, True, True, True]
    clock.now = 102.5
    assert [held.recorded(question, at(9)) is not None for question in questions] == [
        False,
        False,
        False,
        True,
    ]


def test_a_result_and_a_lost_partition_forget_them() -> None:
    held = begun()
    for forget in (
        lambda: held.finish("q", at(2), fingerprint(QUESTION), failed=False),
        lambda: held.drop(0),
    ):
        held.note(plan(1))
        fail(held, 1)
        assert held.recorded(QUESTION, at(2)) is not None
        forget()
        assert held.recorded(QUESTION, at(2)) is None


def test_the_journal_brings_them_back() -> None:
    held = begun()
    # Of 1 the answer says that it failed; 2 was its repeat, and was cut off.
    held.load(0, [plan(1), intent(1, "a", "first"), result(1, "a", "booked"), intent(2, "b")], failed={1})
    for offset in (2, 3):
        recorded = held.recorded(QUESTION, at(offset))
        assert recorded is not None
        assert recorded.plan == PLAN
        assert recorded.intents == {"a": "first"} | ({"b": "key"} if offset == 2 else {})
    assert held.held == 1


@pytest.mark.parametrize("digest", ["", "no digest", "é" * 64])
def test_entries_that_do_not_tell_their_question_count_for_their_record_alone(digest: str) -> None:
    held = begun()
    held.load(0, [plan(1, digest=digest), plan(2, digest=digest)], failed={1})
    assert held.recorded(QUESTION, at(3)) is None
    assert held.recorded(QUESTION, at(2)) is not None


def test_nothing_is_kept_where_repeats_are_turned_off() -> None:
    held = begun(window_s=0.0)
    held.note(plan(1))
    fail(held, 1)
    assert held.recorded(QUESTION, at(2)) is None


def test_they_are_bounded_in_bytes_and_the_oldest_go_first(caplog: pytest.LogCaptureFixture) -> None:
    size = len(encode(plan(0, Question(id="q0", text="?"))))
    held = Begun(window_s=100.0, most=100, clock=Clock(), most_bytes=2 * size)
    questions = [Question(id=f"q{n}", text="?") for n in range(3)]
    for number, question in enumerate(questions):
        assert not caplog.records
        held.note(plan(number, question))
        fail(held, number, question)
    assert [held.recorded(question, at(9)) is not None for question in questions] == [False, True, True]
    assert (held.failed, held.failed_bytes) == (2, 2 * size)
    assert "its tools start anew" in caplog.text
    held.drop(0)
    assert (held.failed, held.failed_bytes) == (0, 0)


def test_their_bounds_hold_for_all_partitions_and_while_they_are_loaded() -> None:
    entries = [plan(n, Question(id=f"q{n}", text="?")) for n in range(5)]
    size = len(encode(entries[0]))
    for most_bytes, kept in ((5 * size, 3), (2 * size, 2)):
        held = Begun(window_s=100.0, most=3, clock=Clock(), most_bytes=most_bytes)
        for partition in range(4):
            held.load(partition, entries, failed=range(5))
            assert (held.failed, held.failed_bytes) == (kept, kept * size)


def test_a_failed_question_that_is_sent_again_and_again_takes_no_more_room() -> None:
    held = begun()
    sizes = []
    for offset in range(5):
        held.note(plan(offset))
        held.note(intent(offset, "a"))
        fail(held, offset)
        sizes.append(held.failed_bytes)
    assert held.failed == 1
    assert sizes == sizes[:1] * 5
