"""What is told about a question besides its answer: tokens as they come, and a trace when it ends."""

from typing import Literal

from msgspec import Struct

from schemas.answer import AnswerStatus, Instant

StageStatus = Literal["ok", "degraded", "timeout", "error", "skipped"]


class AnswerDelta(Struct, frozen=True, kw_only=True):
    """A piece of an answer while it streams. Lossy: the answer itself is the truth.

    `epoch` grows when a question is run again; what a lower epoch sent is to be thrown away.
    `sequence` counts from 0 within an epoch. The last delta has `done` set and no text.
    """

    question_id: str
    conversation_id: str
    epoch: int
    sequence: int
    text: str = ""
    done: bool = False


class StageTrace(Struct, frozen=True, kw_only=True):
    """One stage, or one tool call (`tools/<name>`), of one question."""

    stage: str
    status: StageStatus
    attempt: int = 1
    started_at: Instant
    duration_ms: float
    detail: str = ""


class QuestionTrace(Struct, frozen=True, kw_only=True):
    """The record on `events`: how one question was answered, written with its outcome."""

    question_id: str
    conversation_id: str
    tenant: str
    status: AnswerStatus
    stages: tuple[StageTrace, ...] = ()
