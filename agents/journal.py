"""The interface of the journal, which keeps tools that are not idempotent from being started twice.

It records the plan before the first such call, an intent before each call and its result after it. A
question that is run again follows the recorded plan and reuses recorded results. A call with an intent but
no result is reconciled: its tool's server is asked whether it ran, else it is reported as `unknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from agents.components import Call, Plan, PlannedCall
from agents.errors import PermanentError
from schemas.answer import Source, ToolCall
from schemas.question import Question


class JournalError(PermanentError):
    """The journal cannot take the entry, or belongs to another worker now: the call must not start."""

    reason = "journal"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The entries of an earlier run of a question: its plan, and its calls by their ids.

    `intents`: the key under which each call was to start; empty where 0.1.0 wrote the intent.
    """

    plan: Plan
    intents: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, ToolCall] = field(default_factory=dict)


class Journal(Protocol):
    """The plans and calls of questions. A question is identified by its id and its record together.

    A question that was asked before and failed has the entries of that run too.

    Entries of one question keep their order. The writing methods return when the entry is safe. If they are
    cancelled, the entry may be kept all the same.
    """

    def recorded(self, question: Question, source: Source) -> Recorded | None:
        """Return the entries of an earlier run; None if there was none, or it had no such tool."""
        ...

    async def aplan(self, question: Question, source: Source, plan: Plan) -> None:
        """Record the plan. Raises JournalError if it cannot."""
        ...

    async def aintent(self, question: Question, source: Source, planned: PlannedCall, key: str) -> None:
        """Record that the call is about to start under `key`. Raises JournalError if it must not start."""
        ...

    async def aowned(self, question: Question, source: Source) -> None:
        """Return once the question surely belongs to this worker, without a turn of the loop if it does now.

        It is called after the intent is safe and right before the call starts, because the question may
        have gone to another worker in between. Raises JournalError if it has.
        """
        ...

    async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
        """Record how the call ended. Raises JournalError if it cannot."""
        ...


class NoJournal:
    """A journal that keeps nothing, for processes that leave nothing behind."""

    def recorded(self, question: Question, source: Source) -> Recorded | None:  # noqa: ARG002 - as `Journal`
        """Return None."""
        return None

    async def aplan(self, question: Question, source: Source, plan: Plan) -> None:
        """Do nothing."""

    async def aintent(self, question: Question, source: Source, planned: PlannedCall, key: str) -> None:
        """Do nothing."""

    async def aowned(self, question: Question, source: Source) -> None:
        """Return at once: no other worker can have the question."""

    async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
        """Do nothing."""


@runtime_checkable
class Reconciler(Protocol):
    """A tool executor that can find out how a call ended that an earlier run may have started."""

    async def areconcile(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall | None:
        """Return the call's result; None if it certainly did not run. Never raises.

        If nobody can tell, the result's status is `unknown`.
        """
        ...
