"""Dead letters: reads their headers and decides which of them may be sent back to be answered again. Pure.

A letter is sent back as its original record, with the same question id, at most `REDRIVES_MAX` times, and
only on an operator's command. `qa.dlq.origin` names the first record that was asked, so that all letters of
one question are recognised however often it has failed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from schemas.codec import DecodeError, decode_question
from schemas.errors import Disposition
from schemas.headers import Header

REDRIVES_MAX = 3
DAMAGED = frozenset(Disposition)
"""Dispositions of letters that do not hold their whole record."""

RedriveAction = Literal["redrive", "superseded", "pending", "answered", "parked", "damaged"]
QuestionPlace = tuple[int, int]
"""(partition, offset) on `questions`."""
Identity = tuple[str, str]
"""A question's tenant and id: questions of different tenants may have the same id."""
Sent = tuple[str, Identity | None, int]
"""A record that was sent back: its origin, its question, and how many times it had then been sent back."""

_REASONS: dict[RedriveAction, str] = {
    "redrive": "sent back",
    "superseded": "it was sent back and failed again: a later letter replaces this one",
    "pending": "it was sent back and has no outcome yet",
    "answered": "its question has been answered since",
    "parked": f"it was already sent back {REDRIVES_MAX} times",
    "damaged": "the letter holds only a part of the record",
}


@dataclass(frozen=True)
class Letter:
    """One record of `questions.dlq`; `timestamp_ms` is its timestamp."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    timestamp_ms: int

    @property
    def position(self) -> str:
        """The letter's place on its topic, as commands name it: `partition/offset`."""
        return f"{self.partition}/{self.offset}"

    @cached_property
    def header_texts(self) -> Mapping[str, str]:
        """The headers as text; if a name occurs twice, the last one counts."""
        return {name: (value or b"").decode(errors="replace") for name, value in self.headers}

    @property
    def source(self) -> QuestionPlace:
        """The place of the record that failed; (-1, -1) if the letter does not name it."""
        header_texts = self.header_texts
        try:
            return int(header_texts["__connect.errors.partition"]), int(
                header_texts["__connect.errors.offset"]
            )
        except (KeyError, ValueError):
            return -1, -1

    @property
    def origin(self) -> str:
        """The place of the record that was asked first, `partition/offset`."""
        return self.header_texts.get("qa.dlq.origin") or "{}/{}".format(*self.source)

    @property
    def redrives(self) -> int:
        """How often the record had been sent back when it failed."""
        count = self.header_texts.get("qa.dlq.redrives", "")
        return int(count) if count.isdecimal() else 0

    @cached_property
    def identity(self) -> Identity | None:
        """The question's tenant and id; None if the value holds no question id."""
        try:
            question = decode_question(self.value)
        except DecodeError as error:
            salvaged = error.salvaged
            return (salvaged.tenant or "default", salvaged.question_id) if salvaged.question_id else None
        return question.tenant, question.id

    @property
    def question_id(self) -> str | None:
        """The question's id; None if the value holds none."""
        return self.identity and self.identity[1]

    @property
    def redriven_headers(self) -> list[Header]:
        """The headers of the record that is sent back.

        They leave out the letter's headers about the failure, and an absolute deadline, which has passed.
        """
        kept = [
            (name, value)
            for name, value in self.headers
            if not name.startswith(("__connect.errors.", "qa.dlq.")) and name != "ce_expirytime"
        ]
        return [
            *kept,
            ("qa.dlq.origin", self.origin.encode()),
            ("qa.dlq.redrives", b"%d" % (self.redrives + 1)),
        ]


@dataclass(frozen=True, slots=True)
class RedriveDecision:
    """The action for one letter."""

    letter: Letter
    action: RedriveAction

    @property
    def reason(self) -> str:
        """The reason for the action, for people."""
        return _REASONS[self.action]


def decide(
    letters: Iterable[Letter], *, answered: Collection[QuestionPlace | Identity], sent: Collection[Sent]
) -> list[RedriveDecision]:
    """Decide on each letter, in the order of the records that failed.

    If `questions` was deleted and created again, other questions are at the same places. A place therefore
    identifies a question only if its identity is unknown.

    Args:
        answered: places and identities of the questions with an outcome other than `failed`.
        sent: every record that was sent back.
    """
    ordered = sorted(letters, key=lambda letter: (letter.source, letter.partition, letter.offset))
    latest: dict[tuple[str, Identity | None], int] = {}
    for letter in ordered:
        asked = letter.origin, letter.identity
        latest[asked] = max(letter.redrives, latest.get(asked, 0))

    def action(letter: Letter) -> RedriveAction:
        if (letter.identity or letter.source) in answered:
            return "answered"
        if letter.redrives < latest[letter.origin, letter.identity]:
            return "superseded"
        if letter.redrives >= REDRIVES_MAX:
            return "parked"
        if letter.source[0] < 0 or letter.header_texts.get("qa.dlq.disposition") in DAMAGED:
            return "damaged"
        return "pending" if (letter.origin, letter.identity, letter.redrives + 1) in sent else "redrive"

    return [RedriveDecision(letter, action(letter)) for letter in ordered]
