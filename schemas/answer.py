"""The message on the `answers` topic: the terminal outcome of one question."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from schemas.errors import ErrorCode

Instant = Annotated[datetime, Meta(tz=True)]
"""A moment, RFC 3339; written in UTC."""

AnswerStatus = Literal["answered", "degraded", "failed"]
ToolCallStatus = Literal["ok", "error", "timeout", "rejected", "skipped", "unknown"]


class Source(Struct, frozen=True):
    """The question's record: an outcome's identity."""

    topic: str
    partition: int
    offset: int


class Citation(Struct, frozen=True, kw_only=True):
    """What `[index]` in the answer's text rests on; `quote` is an exact substring of the chunk."""

    index: int
    document_id: str
    chunk_id: str
    title: str
    source: str
    quote: str
    score: float


class ToolCall(Struct, frozen=True, kw_only=True):
    """One call that the plan held, and what became of it."""

    id: str
    name: str
    arguments: dict[str, Any]
    status: ToolCallStatus
    result: Any = None
    reused: bool = False
    duration_ms: float = 0.0


class AnswerError(Struct, frozen=True):
    """Why the question failed; `stage` is where."""

    code: ErrorCode
    stage: str
    message: str


class Usage(Struct, frozen=True):
    """Tokens, summed over the question's model calls, as the model's server counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens
        )


class Timings(Struct, frozen=True, kw_only=True):
    """Milliseconds; a stage that did not run is null. `queue` ends when work on the question starts."""

    queue: float | None = None
    retrieve: float | None = None
    plan: float | None = None
    tools: float | None = None
    generate: float | None = None
    total: float | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """Exactly one of these is published for every record on `questions`."""

    id: str
    question_id: str
    conversation_id: str
    tenant: str
    status: AnswerStatus
    source: Source
    created_at: Instant
    text: str = ""
    citations: tuple[Citation, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    degraded: tuple[str, ...] = ()
    error: AnswerError | None = None
    usage: Usage = Usage()
    model: str = ""
    timings_ms: Timings = Timings()
    metadata: dict[str, Any] = {}
