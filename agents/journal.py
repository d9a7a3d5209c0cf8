"""What is written down around calls of tools that are not idempotent, so that none is started twice.

The plan is recorded before the first such call, an intent before each and its result after. A question
that is run again follows the recorded plan: a recorded result is used again, and a call with an intent
alone is settled by asking its tool's server, or reported as `unknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from agents.components import Call, Plan, PlannedCall
from agents.errors import PermanentError
from schemas.answer import Source, ToolCall
from schemas.question import Question


class JournalError(PermanentError):
    """The journal cannot hold the entry, or may not be written here any more: start nothing on it."""

    reason = "journal"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an earlier run of a question has written: its plan, and its calls by their ids."""

    plan: Plan
    intents: frozenset[str] = frozenset()
    results: Mapping[str, ToolCall] = field(default_factory=dict)


class Journal(Protocol):
    """Keeps what one question, told by its id and its record together, has planned and done.

    Entries of one question are kept in the order in which they are written, and the writing methods
    return when an entry is safe. They may be cancelled; the entry may then be kept all the same.
    """

    def recorded(self, question: Question, source: Source) -> Recorded | None:
        """What an earlier run has written; None where there was none, or it had no such tool."""
        ...

    async def aplan(self, question: Question, source: Source, plan: Plan) -> None:
        """Record the plan. Raises JournalError where that cannot be done."""
        ...

    async def aintent(self, question: Question, source: Source, planned: PlannedCall) -> None:
        """Record that the call is about to start. Raises JournalError where it must not."""
        ...

    async def aowned(self, question: Question, source: Source) -> None:
        """Returns once it is certain that the question is still ours, in the same turn where it is.

        Called after the intent is safe and right before the call starts: in between it may have become
        another worker's. Raises JournalError where it has.
        """
        ...

    async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
        """Record what became of the call. Raises JournalError where that cannot be done."""
        ...


class NoJournal:
    """For where nothing outlives the process: a run remembers none before it, and writes nothing."""

    def recorded(self, question: Question, source: Source) -> Recorded | None:  # noqa: ARG002 - as `Journal`
        """Nothing."""
        return None

    async def aplan(self, question: Question, source: Source, plan: Plan) -> None:
        """Do nothing."""

    async def aintent(self, question: Question, source: Source, planned: PlannedCall) -> None:
        """Do nothing."""

    async def aowned(self, question: Question, source: Source) -> None:
        """Nobody else has it."""

    async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
        """Do nothing."""


@runtime_checkable
class Reconciler(Protocol):
    """A tool executor that can find out what became of a call which an earlier run may have started."""

    async def areconcile(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall | None:
        """The call's result; None where it certainly did not run. Never raises.

        Where that cannot be told, the result's status is `unknown`.
        """
        ...
