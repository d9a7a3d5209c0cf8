"""The message on the `answers` topic: the terminal outcome of one question."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from schemas.errors import ErrorCode

Instant = Annotated[datetime, Meta(tz=True)]
"""A moment in RFC 3339, written in UTC."""

AnswerStatus = Literal["answered", "degraded", "failed"]
"""How a question ended.

* `answered`: nothing is missing.
* `degraded`: there is an answer, and `degraded` says why it is less than it could have been.
* `failed`: there is no answer, and `error` says why. The record is on `questions.dlq` too, unless the
  question was cancelled.
"""
ToolCallStatus = Literal["ok", "error", "timeout", "rejected", "skipped", "unknown"]
"""How a planned tool call ended.

* `ok`: the tool ran and returned `result`.
* `error`: the tool failed, or could not be started safely; `result` says why.
* `timeout`: the tool gave no result in time. It may have run.
* `rejected`: the question may not use the tool, or the arguments do not fit. Nothing was sent.
* `skipped`: no time was left to begin, or the question was cancelled before. Nothing was sent.
* `unknown`: an earlier run, which crashed, may have called it. It is not called again.
"""


class Source(Struct, frozen=True):
    """The question's record, which is the identity of its outcome."""

    topic: str
    partition: int
    offset: int


Verdict = Literal["supported", "partly", "unsupported", "abstained"]
"""Whether an answer rests on what it was given.

* `supported`: each of its statements does.
* `partly`: some do, or a citation does not support its statement.
* `unsupported`: none does.
* `abstained`: it claims nothing.
"""


class AnswerGrounding(Struct, frozen=True):
    """The ground of an answer. `score`: the share of its text, 0 to 1, in statements that are supported."""

    verdict: Verdict
    score: float


class AnswerKnowledge(Struct, frozen=True):
    """The state of `documents` that an answer's passages were found in.

    Every record of `documents` below `offset` was in the index when the retrieval began. `at` is the time of
    the last of these records, which the broker gave it. `exact`: no record at or above `offset` was in the
    index for the question's tenant; if false, some may have been, a document among them in part.
    """

    offset: int
    at: Instant
    exact: bool


class Citation(Struct, frozen=True, kw_only=True):
    """The passage that `[index]` in the answer's text cites; `quote` is an exact substring of the chunk.

    A passage has a citation for each quote from it, and for each document that holds it.
    `score` is the share of the statement's terms in the quote. `support` is the share of its telling words
    and numbers that the quote has, with the headings above it, 0 to 1; null: not measured. Below 0.5 the
    quote does not support the statement.
    """

    index: int
    document_id: str
    chunk_id: str
    title: str
    source: str
    quote: str
    score: float
    support: float | None = None


class ToolCall(Struct, frozen=True, kw_only=True):
    """One call of the plan, and how it ended. `reused`: the result is that of an earlier run."""

    id: str
    name: str
    arguments: dict[str, Any]
    status: ToolCallStatus
    result: Any = None
    reused: bool = False
    duration_ms: float = 0.0


class AnswerError(Struct, frozen=True):
    """The reason why a question failed, and the stage in which it failed."""

    code: ErrorCode
    stage: str
    message: str


class Usage(Struct, frozen=True):
    """Tokens of all the question's model calls, as the model's server counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens
        )


class Timings(Struct, frozen=True, kw_only=True):
    """Milliseconds by stage; null: it did not run. `queue` ends when work on the question starts."""

    queue: float | None = None
    retrieve: float | None = None
    plan: float | None = None
    tools: float | None = None
    generate: float | None = None
    total: float | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """The outcome of a question. Every record on `questions` gets exactly one.

    `warnings`: "<code>: <text>", with the codes of `schemas.errors.WarningCode`. `duplicate_of`: the record
    of the question that this one repeats, and whose result this is. `grounding`: null for a failed answer.
    `knowledge`: null where nothing was retrieved, where `documents` is empty or has several partitions, and
    where a custom retriever does not tell.
    """

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
    warnings: tuple[str, ...] = ()
    duplicate_of: Source | None = None
    grounding: AnswerGrounding | None = None
    knowledge: AnswerKnowledge | None = None

    @property
    def is_cancelled(self) -> bool:
        """Whether its asker called the question back in time."""
        return self.error is not None and self.error.code is ErrorCode.CANCELLED
