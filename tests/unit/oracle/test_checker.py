"""A ledger that breaks an invariant is caught by that invariant, and a clean one by none."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.acceptance.oracle.checker import INVARIANTS, check
from tests.acceptance.oracle.ledgers import (
    Bounds,
    Cancel,
    Commit,
    DeadLetter,
    Fault,
    Ledgers,
    ModelCall,
    Outcome,
    Produced,
    ToolCall,
)


def clean() -> Ledgers:
    """Two partitions, a failed question, an unknown one that arrived and one that did not, a kill."""
    produced = [Produced(f"q{n}", b"k%d" % (n % 4), n // 4, "ok", (n % 2, n // 2)) for n in range(20)] + [
        Produced("late", b"k0", 5, "unknown", (0, 10)),
        Produced("lost", b"k0", 6, "unknown"),
        Produced("refused", b"k0", 7, "failed"),
    ]
    outcomes = [
        Outcome(question.place, question.place[1], question.id, "answered", f"d-{question.id}", 10.0)
        for question in produced
        if question.place is not None
    ]
    outcomes[4] = replace(outcomes[4], status="failed")
    outcomes[10] = replace(outcomes[10], status="failed", code="cancelled")
    return Ledgers(
        produced=produced,
        model_calls=[ModelCall(question.id, "generate", 5.0) for question in produced if question.place],
        tool_calls=[ToolCall("q1", "pay", "q1/c1", 5.0), ToolCall("q2", "pay", "q2/c1", 5.0)],
        outcomes=outcomes,
        dead_letters=[DeadLetter((0, 2), 9.0)],
        cancels=[Cancel((0, 5), "q10", 4.5), Cancel((0, 4), "q8", 20.0)],
        commits=[
            Commit(0, 3, 4, 11.0),
            Commit(1, 10, 10, 12.0),
            Commit(0, 3, 5, 12.5),
            Commit(0, 11, 11, 13.0),
        ],
        faults=[Fault("kill", 8.0, in_flight=2)],
        healed_at=9.0,
        drained_at=13.0,
    )


def breaks(spoil: Callable[[Ledgers], object]) -> set[str]:
    ledgers = clean()
    spoil(ledgers)
    return {violation.invariant for violation in check(ledgers)}


def test_a_clean_ledger_has_no_violation() -> None:
    assert check(clean()) == []


def test_an_empty_ledger_has_no_violation() -> None:
    assert [violation.invariant for violation in check(Ledgers())] == ["I8"]


def again(ledgers: Ledgers, number: int, **changes: object) -> None:
    """A second outcome of a question, at the end of its partition."""
    one = ledgers.outcomes[number]
    ledgers.outcomes.append(replace(one, position=100, **changes))  # type: ignore[arg-type]  # one field each


def swap(ledgers: Ledgers, first: int, second: int) -> None:
    """Two outcomes of one key change places."""
    one, other = ledgers.outcomes[first], ledgers.outcomes[second]
    ledgers.outcomes[first] = replace(one, position=other.position)
    ledgers.outcomes[second] = replace(other, position=one.position)
    ledgers.commits = [replace(commit, answers_end=11) for commit in ledgers.commits]


SPOILED: list[tuple[str, str, Callable[[Ledgers], object]]] = [
    ("I1", "the dead letter is missing", lambda ledgers: ledgers.dead_letters.clear()),
    ("I1", "the dead letter is another's", lambda ledgers: ledgers.dead_letters.__setitem__(
        0, DeadLetter((0, 3), 9.0))),
    ("I1", "a status that is no end", lambda ledgers: ledgers.outcomes.__setitem__(
        0, replace(ledgers.outcomes[0], status="running"))),
    ("I1", "acknowledged and gone", lambda ledgers: ledgers.produced.append(
        Produced("gone", b"k", 0, "ok"))),
    ("I1", "above every commit", lambda ledgers: ledgers.produced.append(
        Produced("new", b"k9", 0, "ok", (1, 10)))),
    ("I1", "unknown to its producer, and accepted", lambda ledgers: ledgers.produced.append(
        Produced("new", b"k9", 0, "unknown", (1, 10)))),
    ("I2", "the outcome came later", lambda ledgers: ledgers.commits.__setitem__(
        3, Commit(0, 11, 7, 13.0))),
    ("I2", "a commit beyond the end", lambda ledgers: ledgers.commits.insert(0, Commit(1, 10, 0, 10.0))),
    ("I3", "one step back", lambda ledgers: ledgers.commits.append(Commit(0, 10, 11, 14.0))),
    ("I3", "back and forth", lambda ledgers: ledgers.commits.extend(
        [Commit(0, 1, 11, 14.0), Commit(0, 11, 11, 15.0)])),
    ("I4", "two of one key", lambda ledgers: swap(ledgers, 0, 4)),
    ("I5", "more than the faults explain", lambda ledgers: again(ledgers, 0)),
    ("I5", "another status", lambda ledgers: (
        again(ledgers, 0, status="degraded"), setattr(ledgers, "bounds", Bounds(duplicates=5)))),
    ("I5", "another text", lambda ledgers: (
        again(ledgers, 0, digest="other"), setattr(ledgers, "bounds", Bounds(duplicates=5)))),
    ("I5", "another id", lambda ledgers: (
        again(ledgers, 0, id="other"), setattr(ledgers, "bounds", Bounds(duplicates=5)))),
    ("I6", "an outcome of nothing", lambda ledgers: ledgers.outcomes.append(
        Outcome((1, 77), 50, "ghost", "answered", "d", 12.0))),
    ("I6", "a dead letter of nothing", lambda ledgers: ledgers.dead_letters.append(DeadLetter((1, 77), 1.0))),
    ("I7", "retries without a budget", lambda ledgers: ledgers.model_calls.extend(
        [ModelCall("q1", "generate", 6.0)] * 8)),
    ("I8", "never", lambda ledgers: setattr(ledgers, "drained_at", None)),
    ("I8", "too late", lambda ledgers: setattr(ledgers, "drained_at", 70.0)),
    ("I9", "twice", lambda ledgers: ledgers.tool_calls.append(ToolCall("q1", "pay", "q1/c1", 7.0))),
    ("I9", "twice under another key", lambda ledgers: ledgers.tool_calls.append(
        ToolCall("q1", "pay", "q1/c2", 7.0))),
    ("I10", "a model call afterwards", lambda ledgers: ledgers.model_calls.append(
        ModelCall("q10", "plan", 5.6))),
    ("I10", "nobody's wish", lambda ledgers: ledgers.cancels.pop(0)),
    ("I10", "a dead letter", lambda ledgers: ledgers.dead_letters.append(DeadLetter((0, 5), 9.0))),
    ("I10", "a second outcome", lambda ledgers: (
        again(ledgers, 10), setattr(ledgers, "bounds", Bounds(duplicates=5)))),
    ("I9", "without a key", lambda ledgers: ledgers.tool_calls.append(ToolCall("q3", "pay", "", 7.0))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("invariant", "spoil"),
    [(invariant, spoil) for invariant, _, spoil in SPOILED],
    ids=[f"{invariant} {name}" for invariant, name, _ in SPOILED],
)
def test_a_broken_invariant_is_reported_by_its_own_check_alone(
    invariant: str, spoil: Callable[[Ledgers], object]
) -> None:
    assert breaks(spoil) == {invariant}


def test_every_invariant_has_a_ledger_that_breaks_it() -> None:
    assert {invariant for invariant, _, _ in SPOILED} == set(INVARIANTS)


def test_a_lost_question_below_a_commit_breaks_i1_and_i2() -> None:
    assert breaks(lambda ledgers: ledgers.outcomes.pop(0)) == {"I1", "I2"}


def test_violations_that_faults_explain_are_allowed() -> None:
    def spoil(ledgers: Ledgers) -> None:
        again(ledgers, 0)
        again(ledgers, 3)
        ledgers.bounds = Bounds(duplicates=2)
        # 23 questions x 1.1, and two that were in flight at the kill.
        ledgers.model_calls += [ModelCall("q1", "generate", 6.0)] * (26 + 2 - len(ledgers.model_calls))

    assert breaks(spoil) == set()


def test_a_duplicate_does_not_count_as_out_of_order() -> None:
    def spoil(ledgers: Ledgers) -> None:
        again(ledgers, 0)
        ledgers.bounds = Bounds(duplicates=1)

    assert breaks(spoil) == set()


def test_questions_without_a_key_have_no_order() -> None:
    def spoil(ledgers: Ledgers) -> None:
        ledgers.produced = [replace(question, key=None) for question in ledgers.produced]
        swap(ledgers, 0, 4)

    assert breaks(spoil) == set()


def test_a_fault_explains_questions_started_or_uncommitted_at_its_time() -> None:
    ledgers = Ledgers(
        produced=[Produced(f"q{offset}", b"k", offset, "ok", (0, offset)) for offset in range(5)],
        model_calls=[ModelCall(f"q{offset}", "generate", float(offset)) for offset in range(5)],
        outcomes=[
            Outcome((0, offset), offset, f"q{offset}", "answered", "d", offset + 1.5) for offset in range(5)
        ],
        commits=[Commit(0, 1, 1, 2.2), Commit(0, 5, 5, 9.0)],
    )
    assert ledgers.fault("kill", 2.0) == Fault("kill", 2.0, in_flight=2, uncommitted=1)
    assert ledgers.fault("kill", 2.6) == Fault("kill", 2.6, in_flight=1, uncommitted=1)
    assert ledgers.fault("kill", 9.5) == Fault("kill", 9.5)


def test_only_a_pause_explains_a_second_outcome() -> None:
    faults = [Fault(kind, 1.0, in_flight=3, uncommitted=4) for kind in ("kill", "SIGSTOP", "rebalance")]
    ledgers = Ledgers(faults=faults)
    assert ledgers.explained_duplicates == 1
    assert ledgers.redelivered == 21


def test_a_takeover_lasts_as_long_as_the_partition_that_waited_longest() -> None:
    def outcome(partition: int, offset: int, at: float) -> Outcome:
        return Outcome((partition, offset), offset, f"{partition}/{offset}", "answered", "d", at)

    ledgers = Ledgers(
        outcomes=[
            outcome(0, 0, 99.0),  # nothing is left to answer: this partition waits for nothing
            outcome(1, 0, 100.2),  # the victim's last
            outcome(1, 2, 112.0),
            outcome(1, 1, 107.5),
            outcome(2, 0, 120.0),  # asked long after
        ]
    )
    asked_at = {"0/0": 98.0, "1/0": 98.0, "1/1": 99.0, "1/2": 99.0, "2/0": 119.0}
    assert ledgers.takeover_s(100.0, asked_at) == 7.5
    assert ledgers.takeover_s(100.0, asked_at | {"2/0": 101.0}) == 19.0
    assert Ledgers().takeover_s(100.0, {}) == 0.0
