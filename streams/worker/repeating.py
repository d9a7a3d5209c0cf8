"""Answers questions that are sent again: each gets the result that the first one has, and no stage runs."""

from datetime import UTC, datetime
from typing import Literal

from msgspec.structs import replace

from agents.outcome import Answered
from schemas.answer import Answer, AnswerError, Source, Timings, Usage
from schemas.errors import ErrorCode, WarningCode
from schemas.question import Question
from streams.consumer.repeats import FAILED, Repeats, Result
from streams.publishing.records import Inquiry, Record
from streams.worker.first_answers import FirstAnswers, GoneError

REUSED = f"{WarningCode.ID_REUSED}: the conversation had another question of this id; this one was run"


class Repeating:
    """Knows the results of this worker's partitions, and answers their repeats with them.

    Attributes:
        served: how many repeats got the first one's result.
    """

    def __init__(self, repeats: Repeats, first_answers: FirstAnswers) -> None:
        self._repeats = repeats
        self._first_answers = first_answers
        self.served = 0

    @property
    def kept(self) -> int:
        """How many results are kept."""
        return len(self._repeats)

    def state(self) -> dict[str, int]:
        """Return its part of `/state`."""
        return {"results": self.kept, "served": self.served}

    async def aclose(self) -> None:
        """Disconnect, within seconds."""
        await self._first_answers.aclose()

    def find(self, inquiry: Inquiry, now: float) -> Result | Literal["id_reused"] | None:
        """See `Repeats.find`."""
        fingerprint = inquiry.fingerprint
        if fingerprint is None:
            return None
        return self._repeats.find(inquiry.source.partition, fingerprint, now)

    def keep(self, inquiry: Inquiry, answer: Record, now: float) -> None:
        """Keep the result of a question whose answer the broker has."""
        fingerprint, source = inquiry.fingerprint, inquiry.source
        if fingerprint is not None:
            self._repeats.keep(source.partition, fingerprint, Result(answer.position, source.offset, now))

    def keep_failed(self, inquiry: Inquiry, now: float) -> None:
        """Note that a question failed after tool calls: another one under its id is told apart from it."""
        fingerprint, source = inquiry.fingerprint, inquiry.source
        if fingerprint is not None:
            self._repeats.keep(source.partition, fingerprint, Result(FAILED, source.offset, now))

    def drop(self, number: int) -> None:
        """Forget the results of a partition that is lost."""
        self._repeats.drop(number)

    async def arepeat(self, inquiry: Inquiry, result: Result, queue_ms: float, *, limit_s: float) -> Answered:
        """Answer a repeat: with the first one's result, or with a failed answer if that cannot be read.

        It is never run instead: nobody could tell which tools its first run has started.
        """
        question, source = inquiry.question, inquiry.source
        if question is None:
            raise ValueError("a record without a question repeats none")
        try:
            first = await self._first_answers.aread(
                source.partition, result.position, result.source, limit_s=limit_s
            )
        except (GoneError, TimeoutError) as error:
            reason = str(error) or f"it was not read within {limit_s:g} s"
            return Answered(_unreadable(question, source, result, reason))
        self.served += 1
        return Answered(repeat_of(first, question, inquiry, queue_ms))


def repeat_of(first: Answer, question: Question, inquiry: Inquiry, queue_ms: float) -> Answer:
    """Return the answer to a question that is sent again. It costs no tokens and no stage.

    The warnings of the inquiry itself are added to it later, as to any answer.
    """
    return replace(
        first,
        source=inquiry.source,
        created_at=datetime.now(UTC),
        # Where the first one's reply was to go says nothing of this one's.
        warnings=tuple(
            warning
            for warning in first.warnings
            if warning not in inquiry.warnings
            and not warning.startswith(WarningCode.UNUSABLE_REPLY_PARTITION)
        ),
        tool_calls=tuple(replace(call, reused=True) for call in first.tool_calls),
        usage=Usage(),
        timings_ms=Timings(queue=round(queue_ms, 3), total=0.0),
        metadata=question.metadata,
        duplicate_of=first.duplicate_of or first.source,
    )


def _unreadable(question: Question, source: Source, result: Result, reason: str) -> Answer:
    message = (
        f"the question was answered before, as {source.topic}/{source.partition}/{result.source}, and that "
        f"answer cannot be read: {reason}; sent under another id it is run again"
    )
    return Answer(
        id=question.id,
        question_id=question.id,
        conversation_id=question.conversation_id,
        tenant=question.tenant,
        status="failed",
        source=source,
        created_at=datetime.now(UTC),
        error=AnswerError(ErrorCode.INTERNAL, "repeat", message),
        metadata=question.metadata,
    )
