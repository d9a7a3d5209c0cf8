"""The message on the `journal` topic: what was decided and done for a question before its outcome.

Written only for questions whose plan holds a tool that is not idempotent, so that a worker that takes
over can tell which of its calls were started. `source` and `question_id` together say whose entry it is,
and `call_id` of which call; where an entry lies among others says nothing.
"""

from typing import Any, Literal

from msgspec import Struct

from schemas.answer import Instant, Source, ToolCallStatus, Usage

EntryKind = Literal["plan", "intent", "result"]


class JournaledCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call as the model wrote it; `problem` is what is wrong with it."""

    id: str
    name: str
    arguments: dict[str, Any] = {}
    problem: str = ""


class JournalEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step: a plan (`calls`, and the tokens that it took), or the intent or the result of one call.

    An entry may be written twice: the first of its kind for a call counts.
    """

    question_id: str
    conversation_id: str
    source: Source
    kind: EntryKind
    created_at: Instant
    calls: tuple[JournaledCall, ...] = ()
    usage: Usage = Usage()
    call_id: str = ""
    name: str = ""
    arguments: dict[str, Any] = {}
    status: ToolCallStatus | None = None
    result: Any = None
    duration_ms: float = 0.0
