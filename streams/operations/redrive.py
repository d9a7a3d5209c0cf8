"""Decides which dead letters may be sent back to be answered again. Pure.

A letter is sent back as its original record, with the same question id, at most `REDRIVES_MAX` times, and
only on an operator's command. `qa.dlq.origin` names the first record that was asked, so that all letters of
one question are recognised however often it has failed. Letters of a question that was asked again with the
same identity and content are one question's, too: only the latest one is open.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from schemas.errors import Disposition, ErrorCode
from streams.operations.letters import NOWHERE, Identity, Letter, QuestionPlace

REDRIVES_MAX = 3
DAMAGED = frozenset(Disposition)
"""Dispositions of letters that do not hold their whole record."""
UNFIT = frozenset((ErrorCode.UNDECODABLE, ErrorCode.INVALID, ErrorCode.TOO_LARGE))
"""Codes of failures that the record itself leads to, whenever it is asked."""

LetterState = Literal["redrive", "unfit", "pending", "parked", "damaged", "foreign", "answered", "superseded"]
STATES: Mapping[LetterState, str] = MappingProxyType(
    {
        "redrive": "it can be sent back",
        "unfit": "the record itself is at fault and would fail again: only --force sends it back",
        "pending": "it was sent back and has no outcome yet",
        "parked": f"it was already sent back {REDRIVES_MAX} times",
        "damaged": "the letter holds only a part of the record, or the record is gone",
        "foreign": "the letter names no record of the questions' topic",
        "answered": "its question has been answered since",
        "superseded": "its question failed again: a later letter replaces this one",
    }
)
"""Each state of a letter, with its reason for people."""
CLOSED: frozenset[LetterState] = frozenset(("answered", "superseded"))
"""States of letters that nobody needs to look at; all others are open."""

Sent = tuple[str, Identity | None, int]
"""A record that was sent back: its origin, its question, and how many times it had then been sent back."""
AskedAt = tuple[QuestionPlace, Identity]
"""A record's place with its question: if `questions` was made anew, a place alone may mean another one."""


@dataclass(frozen=True, slots=True)
class RedriveDecision:
    """The state of one letter: `redrive` is the only one that is sent back."""

    letter: Letter
    state: LetterState

    @property
    def open(self) -> bool:
        """Whether the letter's question still has no answer, and no later letter."""
        return self.state not in CLOSED

    @property
    def reason(self) -> str:
        """The reason for the state, for people."""
        return STATES[self.state]


def decide(
    letters: Iterable[Letter],
    *,
    answered: Collection[AskedAt],
    contents: Mapping[AskedAt, bytes | None],
    sent: Collection[Sent],
    force: bool = False,
) -> list[RedriveDecision]:
    """Decide on each letter, in the order of the records that failed.

    Args:
        answered: the records with an outcome other than `failed`.
        contents: what the records of `questions` ask (`Letter.content`), as far as it is known.
        sent: every record that was sent back.
        force: whether letters that are unfit may be sent back.
    """
    places = {place for place, _ in answered}
    answers: dict[Identity, list[tuple[QuestionPlace, bytes | None]]] = defaultdict(list)
    for place, identity in answered:
        answers[identity].append((place, contents.get((place, identity))))
    ordered = sorted(letters, key=lambda letter: (letter.source, letter.partition, letter.offset))
    questions: dict[object, list[Letter]] = defaultdict(list)
    for letter in ordered:
        questions[_asked(letter)].append(letter)
    states: dict[str, LetterState] = {}
    for group in questions.values():
        head = _latest(group)
        for letter in group:
            if letter.identity is None:
                done = letter.source in places
            else:
                done = any(_answers(letter, *answer) for answer in answers.get(letter.identity, ()))
            if done:
                states[letter.position] = "answered"
            elif letter is not head:
                states[letter.position] = "superseded"
            else:
                pending = any(
                    (one.origin, one.identity, one.redrives + 1) in sent for one in _chain_heads(group)
                )
                states[letter.position] = _open_state(letter, pending=pending, force=force)
    return [RedriveDecision(letter, states[letter.position]) for letter in ordered]


def _answers(letter: Letter, place: QuestionPlace, content: bytes | None) -> bool:
    """Whether the answered record of the same identity, at this place, asked the letter's question."""
    if content is not None and letter.content is not None:
        return content == letter.content
    # Unknown: the identity tells that it is the same question, unless it was asked before this one.
    return not (place[0] == letter.source[0] and place[1] < letter.source[1])


def _open_state(letter: Letter, *, pending: bool, force: bool) -> LetterState:
    if letter.source == NOWHERE:
        return "foreign"
    if _damaged(letter):
        return "damaged"
    if letter.redrives >= REDRIVES_MAX:
        return "parked"
    if pending:
        return "pending"
    return "unfit" if letter.code in UNFIT and not force else "redrive"


def _asked(letter: Letter) -> object:
    """Return the key of the letter's question: equal for all letters of it."""
    if letter.source == NOWHERE:
        return letter.position  # none of ours: it replaces no other letter
    return letter.origin if letter.identity is None else (letter.identity, letter.content)


def _latest(group: Sequence[Letter]) -> Letter:
    return max(
        _chain_heads(group), key=lambda letter: (not _damaged(letter), letter.timestamp_ms, letter.offset)
    )


def _damaged(letter: Letter) -> bool:
    return letter.code in DAMAGED or not letter.whole


def _chain_heads(group: Sequence[Letter]) -> list[Letter]:
    """Return the last letter of each record that was asked. Redrives count first: clocks may be wrong."""
    chains: dict[str, Letter] = {}
    for letter in sorted(group, key=lambda one: (one.redrives, one.timestamp_ms, one.offset)):
        chains[letter.origin] = letter
    return list(chains.values())
