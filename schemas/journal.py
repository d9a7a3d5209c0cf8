"""The message on the `journal` topic: the plan and the tool calls of a question before its outcome.

It is written only for questions whose plan holds a tool that is not idempotent, so that a worker that takes
over knows which calls were started. `source` and `question_id` together identify the question, and `call_id`
the call; the position of an entry among others has no meaning.
"""

from typing import Any, Literal

from msgspec import Struct

from schemas.answer import Instant, Source, ToolCallStatus, Usage

EntryKind = Literal["plan", "intent", "result"]


class JournaledCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call as the model wrote it; `problem` names its mistake, if it has one."""

    id: str
    name: str
    arguments: dict[str, Any] = {}
    problem: str = ""


class JournalEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step: a plan (`calls`, and the tokens that it took), or the intent or the result of one call.

    An entry may be written twice: the first of its kind for a call counts. `tenant` and `digest` (the
    SHA-256 of `schemas.fingerprint`, in hexadecimal) tell whether a question that is sent again is the same
    one; 0.1.0 wrote neither. `idempotency_key`: the key under which an intent's call starts; where it is
    empty, `<question id>/<call id>`.
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
    tenant: str = ""
    digest: str = ""
    idempotency_key: str = ""
