"""The messages about a question besides its answer: its text while it streams, and its trace at the end."""

from typing import Literal

from msgspec import Struct

from schemas.answer import AnswerStatus, Instant

StageStatus = Literal["ok", "degraded", "timeout", "error", "skipped"]
"""How a stage ended.

* `ok`: it has its result.
* `degraded`: it failed, and something stands in for its result.
* `timeout`: it was late.
* `error`: it failed, or one attempt of it did.
* `skipped`: there was nothing to do, or too little time to begin.
"""


class AnswerDelta(Struct, frozen=True, kw_only=True):
    """A piece of an answer's text while it streams, for a question that sets `stream`.

    The pieces add up to the answer's `text`, unless the last one says `replaced`: then the text turned out
    otherwise, and the answer alone has it. Deltas may be lost or come twice: `ce_id` names each (source,
    epoch, sequence), and `sequence` counts from 0 within an `epoch`. A question that is run again has another
    `epoch`. Of two, the one that begins later in the partition counts: throw away the pieces of the other,
    and drop what comes of it later. Behind a gap no piece fits: wait for the answer. The last delta has
    `done` set and no text. A run that was given up sends it too: the end is the answer on `answers`.
    """

    question_id: str
    conversation_id: str
    epoch: int
    sequence: int
    text: str = ""
    done: bool = False
    replaced: bool = False


class StageTrace(Struct, frozen=True, kw_only=True):
    """One stage, or one tool call (`tools/<name>`), of one question. `attempt` counts from 1."""

    stage: str
    status: StageStatus
    attempt: int = 1
    started_at: Instant
    duration_ms: float
    detail: str = ""


class QuestionTrace(Struct, frozen=True, kw_only=True):
    """The record on `events` that tells how one question was answered. It is written with the outcome."""

    question_id: str
    conversation_id: str
    tenant: str
    status: AnswerStatus
    stages: tuple[StageTrace, ...] = ()
