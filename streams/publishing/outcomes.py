"""Turns the result of a question into records. Pure: from values to values."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from msgspec import structs

from schemas.answer import Answer, AnswerError
from schemas.codec import DecodeError, Salvaged, encode
from schemas.errors import Disposition, ErrorCode
from schemas.event import AnswerDelta, QuestionTrace, StageTrace
from schemas.headers import (
    MESSAGE_MAX,
    DeadLetter,
    answer_headers,
    dead_letter_headers,
    delta_headers,
    trace_headers,
)
from schemas.topics import OUTCOME_MAX_BYTES, Topics
from streams.publishing.records import Inquiry, Outcome, Record
from streams.publishing.replies import ReplyTopics

MAX_BYTES = OUTCOME_MAX_BYTES - 1024
"""Largest record of ours, key and headers included; a batch adds up to 1,024 bytes to one record."""

TRUNCATED_BYTES = 16_384
"""Bytes of the record's value that a truncated dead letter keeps."""
MODEL_MAX = 256
"""Longest name of a model in an answer that had to be made smaller: the model's server chooses the name."""
BARE = 2
"""How often an answer can be made smaller: first its content goes, then everything that it echoes."""


def _now() -> datetime:
    return datetime.now(UTC)


class Outcomes:
    """Makes the records of one worker.

    Args:
        replies: decides where copies of answers go.
        group_id: the consumer group, as dead letters name it.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        replies: ReplyTopics,
        group_id: str,
        max_bytes: int = MAX_BYTES,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._topics = topics
        self._replies = replies
        self._group_id = group_id
        self._max_bytes = max_bytes
        self._now = now

    def answered(
        self,
        inquiry: Inquiry,
        answer: Answer,
        stages: Sequence[StageTrace] = (),
        *,
        exception: str = "StageFailed",
    ) -> Outcome:
        """Make the outcome that holds this answer. A failed answer has its dead letter, a cancelled one none.

        An answer that is too large for its topic becomes a failed one with `too_large`.
        """
        warnings = inquiry.warnings
        if inquiry.request.reply_partition is not None:
            place = self._replies.place(inquiry.request)
            if place is not None and place.warning:
                warnings = (*warnings, place.warning)
        if warnings:
            answer = structs.replace(answer, warnings=answer.warnings + warnings)
        outcome = self._outcome(inquiry, answer, tuple(stages), exception)
        while self._too_large(outcome.answer) and outcome.shrunk < BARE:
            outcome = self._smaller_answer(outcome)
        if outcome.dead_letter is not None and self._too_large(outcome.dead_letter):
            outcome = self._smaller_dead_letter(outcome)
        return outcome

    def failed(
        self,
        inquiry: Inquiry,
        code: ErrorCode,
        stage: str,
        message: str,
        *,
        exception: str,
        salvaged: Salvaged | None = None,
    ) -> Outcome:
        """Make the outcome of a question that no pipeline has answered."""
        record, source, question = inquiry.record, inquiry.source, inquiry.question
        if question is not None:
            question_id, conversation_id = question.id, question.conversation_id
            tenant, metadata = question.tenant, question.metadata
        else:
            salvaged = salvaged or Salvaged()
            question_id = salvaged.question_id or f"{source.topic}/{source.partition}/{source.offset}"
            conversation_id = (
                salvaged.conversation_id or salvaged.question_id or _text(record.key) or question_id
            )
            tenant, metadata = salvaged.tenant or "default", {}
        answer = Answer(
            id=question_id,
            question_id=question_id,
            conversation_id=conversation_id,
            tenant=tenant,
            status="failed",
            source=source,
            created_at=self._now(),
            error=AnswerError(code, stage, message),
            metadata=metadata,
        )
        return self.answered(inquiry, answer, exception=exception)

    def refused(self, inquiry: Inquiry, error: DecodeError) -> Outcome:
        """Make the outcome of a record that holds no question."""
        return self.failed(
            inquiry,
            error.code,
            "decode",
            error.message,
            exception=type(error).__name__,
            salvaged=error.salvaged,
        )

    def shrink(self, outcome: Outcome, dead_letter: bool) -> Outcome:
        """Make a smaller outcome in place of one that the broker refused for its size.

        `dead_letter`: the broker refused the dead letter, not the answer. Returns `outcome` itself if nothing
        is left to take away.
        """
        if not dead_letter:
            return outcome if outcome.shrunk >= BARE else self._smaller_answer(outcome)
        letter = outcome.dead_letter
        if letter is None or dict(letter.headers)["qa.dlq.disposition"] == Disposition.TRUNCATED.encode():
            return outcome
        return self._smaller_dead_letter(outcome)

    def delta(self, inquiry: Inquiry, delta: AnswerDelta) -> Record:
        """Make the record of a piece of a streaming answer, for where its asker reads."""
        topic, exact = self._topics.deltas, False
        partition: int | None = inquiry.source.partition
        if inquiry.request.reply_deltas:
            place = self._replies.place(inquiry.request)
            if place is not None and not place.refused:
                # Where the answer will follow.
                topic, partition, exact = place.topic, place.partition, True
        return Record(
            topic,
            delta.conversation_id.encode(),
            encode(delta),
            delta_headers(inquiry.request, delta, inquiry.source, self._now()),
            partition,
            exact=exact,
        )

    def _too_large(self, record: Record) -> bool:
        # Echoed headers came in one record: they are at most half of the largest record of ours.
        return record.size * 2 > self._max_bytes and record.size_with_headers > self._max_bytes

    def _outcome(
        self, inquiry: Inquiry, answer: Answer, stages: tuple[StageTrace, ...], exception: str
    ) -> Outcome:
        now = self._now()
        request, source = inquiry.request, inquiry.source
        key = answer.conversation_id.encode()
        record = Record(
            self._topics.answers,
            key,
            encode(answer),
            answer_headers(request, answer, now, inquiry.fingerprint and inquiry.fingerprint.digest),
            source.partition,
            exact=True,
        )
        outcome = Outcome(inquiry, answer, record)
        place = None if request.reply_to is None else self._replies.place(request)
        if place is not None and place.refused:
            outcome.refused_reply = place
        elif place is not None:
            outcome.reply = Record(
                place.topic, key, record.value, record.headers, place.partition, exact=True
            )
        trace = QuestionTrace(
            question_id=answer.question_id,
            conversation_id=answer.conversation_id,
            tenant=answer.tenant,
            status=answer.status,
            stages=stages,
        )
        outcome.trace = Record(
            self._topics.events,
            key,
            encode(trace),
            trace_headers(record.headers),
            source.partition,
        )
        if answer.status == "failed" and not answer.is_cancelled:
            outcome.dead_letter = self._dead_letter(inquiry, answer.error, exception, now)
        return outcome

    def _dead_letter(
        self, inquiry: Inquiry, error: AnswerError | None, exception: str, now: datetime
    ) -> Record:
        error = error or AnswerError(ErrorCode.INTERNAL, "", "")
        letter = DeadLetter(
            source=inquiry.source,
            stage=error.stage,
            exception=exception,
            message=error.message,
            timestamp=now,
            consumer_group=self._group_id,
            attempts=1,
            disposition=Disposition.HEADERS_LOST if inquiry.headers_lost else error.code,
        )
        record = inquiry.record
        return Record(
            self._topics.dead_letters,
            record.key,
            record.value,
            dead_letter_headers(record.headers, letter),
            inquiry.source.partition,
        )

    def _smaller_answer(self, outcome: Outcome) -> Outcome:
        inquiry, answer = outcome.inquiry, outcome.message
        error = answer.error
        if error is None:
            error = AnswerError(ErrorCode.TOO_LARGE, "publish", "the answer is larger than its topic accepts")
        # Every part that is left is bounded, servers' names and exceptions' texts included: it must fit.
        error = AnswerError(error.code, error.stage, error.message[:MESSAGE_MAX])
        bare = Answer(
            id=answer.id,
            question_id=answer.question_id,
            conversation_id=answer.conversation_id,
            tenant=answer.tenant,
            status="failed",
            source=answer.source,
            created_at=answer.created_at,
            error=error,
            usage=answer.usage,
            model=answer.model[:MODEL_MAX],
            timings_ms=answer.timings_ms,
            metadata={} if outcome.shrunk else answer.metadata,
        )
        if outcome.shrunk:
            request = structs.replace(
                inquiry.request, correlation=(), baggage=None, tracestate=None, ce_id=None
            )
            inquiry = replace(inquiry, request=request)
        smaller = self._outcome(inquiry, bare, (), "MessageSizeTooLargeError")
        smaller.inquiry = outcome.inquiry
        smaller.shrunk = outcome.shrunk + 1
        if outcome.dead_letter is not None:
            smaller.dead_letter = outcome.dead_letter
        return smaller

    def _smaller_dead_letter(self, outcome: Outcome) -> Outcome:
        letter = outcome.dead_letter
        if letter is None:
            return outcome
        added = len(letter.headers) - len(outcome.inquiry.record.headers)
        headers = [
            (name, Disposition.TRUNCATED.encode() if name == "qa.dlq.disposition" else value)
            for name, value in letter.headers[-added:]
        ]
        key = letter.key if len(letter.key or b"") <= TRUNCATED_BYTES else None
        value = (letter.value or b"")[:TRUNCATED_BYTES]
        smaller = Record(letter.topic, key, value, headers, letter.partition)
        return replace(outcome, dead_letter=smaller)


def _text(key: bytes | None) -> str | None:
    """Return the key as a conversation id, if it can be one."""
    try:
        return key.decode() if key and len(key) <= 512 and len(key.decode()) <= 128 else None
    except UnicodeDecodeError:
        return None
