"""The invariants I1-I10, judged from ledgers alone. Pure.

I1 every question accepted has a terminal outcome, and a failed one that was not cancelled its dead letter
I2 at every commit of N, every question below N has its outcome
I3 commits never move backwards
I4 outcomes of one key come in the order of its questions
I5 a second outcome of one source says the same as the first, and there are no more than allowed
I6 no outcome, and no dead letter, without a question
I7 model calls of a stage <= questions x (1 + retry budget) + redelivered
I8 the backlog reaches zero within the bound
I9 a tool that is not idempotent runs once for a question
I10 a cancelled question has no second outcome and no dead letter, no model call begins for it a second after
    its cancel was acknowledged, and no other question is cancelled
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.acceptance.oracle.ledgers import Ledgers, Outcome, Place


@dataclass(frozen=True)
class Violation:
    """A broken invariant, and its evidence."""

    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


Found = Iterator[str]

CANCELLED = "cancelled"
CANCELLED_S = 1.0
"""How long after its acknowledgement a cancel may still be unknown to the worker."""


def check(ledgers: Ledgers) -> list[Violation]:
    """Every violation, by invariant."""
    return [
        Violation(invariant, detail) for invariant, judge in INVARIANTS.items() for detail in judge(ledgers)
    ]


def _first(ledgers: Ledgers) -> dict[Place, Outcome]:
    first: dict[Place, Outcome] = {}
    for outcome in sorted(ledgers.outcomes, key=lambda one: one.position):
        first.setdefault(outcome.source, outcome)
    return first


def _outcome_of_each(ledgers: Ledgers) -> Found:
    first = _first(ledgers)
    letters = {letter.source for letter in ledgers.dead_letters}
    for question in ledgers.produced:
        if question.place is None:
            if question.result == "ok":
                yield f"{question.id} was acknowledged and is not on the topic"
            continue
        outcome = first.get(question.place)
        if outcome is None:
            yield f"{question.id} at {question.place} has no outcome"
        elif outcome.status not in {"answered", "degraded", "failed"}:
            yield f"{question.id} at {question.place} ended as {outcome.status!r}"
        elif outcome.status == "failed" and outcome.code != CANCELLED and question.place not in letters:
            yield f"{question.id} at {question.place} failed and has no dead letter"


def _outcome_before_commit(ledgers: Ledgers) -> Found:
    first = _first(ledgers)
    offsets: defaultdict[int, list[int]] = defaultdict(list)
    for question in ledgers.produced:
        if question.place is not None:
            offsets[question.place[0]].append(question.place[1])
    for numbers in offsets.values():
        numbers.sort()
    judged: Counter[int] = Counter()
    for commit in ledgers.commits:
        numbers = offsets[commit.partition]
        # A question is judged by the first commit above it; a later one adds nothing.
        while judged[commit.partition] < len(numbers):
            offset = numbers[judged[commit.partition]]
            if offset >= commit.offset:
                break
            judged[commit.partition] += 1
            outcome = first.get((commit.partition, offset))
            if outcome is None or outcome.position >= commit.answers_end:
                yield f"{commit.offset} was committed on {commit.partition} before {offset} had its outcome"


def _commits_forward(ledgers: Ledgers) -> Found:
    highest: dict[int, int] = {}
    for commit in ledgers.commits:
        before = highest.get(commit.partition, 0)
        if commit.offset < before:
            yield f"partition {commit.partition} was committed back from {before} to {commit.offset}"
        highest[commit.partition] = max(before, commit.offset)


def _order_of_keys(ledgers: Ledgers) -> Found:
    key_of = {question.place: question.key for question in ledgers.produced if question.place is not None}
    last: dict[tuple[int, bytes], int] = {}
    for outcome in sorted(_first(ledgers).values(), key=lambda one: one.position):
        key = key_of.get(outcome.source)
        if key is None:
            continue
        partition, offset = outcome.source
        before = last.get((partition, key), -1)
        if offset < before:
            yield f"{key!r} on {partition}: the outcome of {offset} came after that of {before}"
        last[partition, key] = max(before, offset)


def _duplicates(ledgers: Ledgers) -> Found:
    first = _first(ledgers)
    more = [outcome for outcome in ledgers.outcomes if outcome is not first[outcome.source]]
    for outcome in more:
        one = first[outcome.source]
        if (outcome.id, outcome.status, outcome.digest) != (one.id, one.status, one.digest):
            yield (
                f"{outcome.source} has two outcomes: {one.id} {one.status} {one.digest}, "
                f"then {outcome.id} {outcome.status} {outcome.digest}"
            )
    if len(more) > ledgers.bounds.duplicates:
        yield f"{len(more)} second outcomes, of which {ledgers.bounds.duplicates} are explained"


def _nothing_invented(ledgers: Ledgers) -> Found:
    asked = {question.place for question in ledgers.produced if question.place is not None}
    for outcome in ledgers.outcomes:
        if outcome.source not in asked:
            yield f"{outcome.id} is an outcome of {outcome.source}, where no question lies"
    for letter in ledgers.dead_letters:
        if letter.source not in asked:
            yield f"a dead letter of {letter.source}, where no question lies"


def _model_calls(ledgers: Ledgers) -> Found:
    allowed = math.ceil(len(ledgers.produced) * (1 + ledgers.bounds.retry_budget)) + ledgers.redelivered
    for stage, count in Counter(call.stage for call in ledgers.model_calls).items():
        if count > allowed:
            yield f"{count} calls of {stage} for {len(ledgers.produced)} questions; {allowed} are explained"


def _backlog_gone(ledgers: Ledgers) -> Found:
    if ledgers.drained_at is None:
        yield f"the backlog was not gone {ledgers.bounds.drain_s} s after healing"
    elif ledgers.drained_at - ledgers.healed_at > ledgers.bounds.drain_s:
        took = ledgers.drained_at - ledgers.healed_at
        yield f"the backlog was gone {took:.1f} s after healing, not {ledgers.bounds.drain_s}"


def _tools_once(ledgers: Ledgers) -> Found:
    for call in ledgers.tool_calls:
        if not call.idempotency_key:
            yield f"{call.tool} was called for {call.question_id} without an Idempotency-Key"
    runs = Counter((call.question_id, call.tool) for call in ledgers.tool_calls)
    for (question_id, tool), count in runs.items():
        if count > 1:
            yield f"{tool} ran {count} times for {question_id}"


def _cancels(ledgers: Ledgers) -> Found:
    since: dict[Place, float] = {}
    by_id: dict[str, float] = {}
    for cancel in ledgers.cancels:
        since[cancel.source] = min(cancel.at, since.get(cancel.source, math.inf))
        by_id[cancel.id] = min(cancel.at, by_id.get(cancel.id, math.inf))
    letters = {letter.source for letter in ledgers.dead_letters}
    ended: Counter[Place] = Counter(outcome.source for outcome in ledgers.outcomes)
    for outcome in ledgers.outcomes:
        if outcome.code != CANCELLED:
            continue
        if outcome.source not in since:
            yield f"{outcome.id} at {outcome.source} was cancelled, and nobody wanted that"
        if ended[outcome.source] > 1:
            yield f"{outcome.id} at {outcome.source} was cancelled and has {ended[outcome.source]} outcomes"
        if outcome.source in letters:
            yield f"{outcome.id} at {outcome.source} was cancelled and has a dead letter"
    for call in ledgers.model_calls:
        late_s = call.at - by_id.get(call.question_id, math.inf)
        if late_s > CANCELLED_S:
            yield f"{call.stage} of {call.question_id} began {late_s:.1f} s after its cancel"


INVARIANTS: dict[str, Callable[[Ledgers], Found]] = {
    "I1": _outcome_of_each,
    "I2": _outcome_before_commit,
    "I3": _commits_forward,
    "I4": _order_of_keys,
    "I5": _duplicates,
    "I6": _nothing_invented,
    "I7": _model_calls,
    "I8": _backlog_gone,
    "I9": _tools_once,
    "I10": _cancels,
}
