"""One record of `questions`: decoded, checked against the clock, answered, handed to the publisher.

Whatever a record holds, and whatever goes wrong with it, it gets one outcome, and its neighbours do not
notice. A record costs one task, and none at all where no pipeline has to run.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from agents.pipeline import Answered, Asked
from schemas.answer import Source
from schemas.codec import DecodeError, UndecodableError, decode_question
from schemas.errors import ErrorCode
from schemas.event import AnswerDelta
from schemas.headers import NO_HEADERS, parse_request_headers
from schemas.question import Question
from streams.consumer.work import Decoded, Work
from streams.kafka.header_names import UNREADABLE
from streams.publishing.copies import Copies
from streams.publishing.journal import KafkaJournal
from streams.publishing.outcomes import Outcomes
from streams.publishing.publisher import Publisher
from streams.publishing.records import Inquiry, Outcome
from streams.telemetry.hook import Hook
from streams.worker.admission import Admission, Verdict, late_at

log = logging.getLogger(__name__)


class Pipeline(Protocol):
    """What answers a question by its deadline; what it raises is taken for a defect."""

    async def aanswer(self, asked: Asked) -> Answered:
        """The terminal outcome, a failed one included."""
        ...


class Answering:
    """Makes an outcome of every record (`streams.consumer.work.Handler`).

    Args:
        deadline_s: the most that a question may take from its start, and all that one without a
            deadline of its own has, however long it has waited.
        journal: told when a question's entries are of no use any more.
        wall_clock: unix seconds; for absolute deadlines only.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        outcomes: Outcomes,
        publisher: Publisher,
        copies: Copies,
        hook: Hook,
        deadline_s: float,
        journal: KafkaJournal | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._pipeline = pipeline
        self._outcomes = outcomes
        self._publisher = publisher
        self._copies = copies
        self._hook = hook
        self._deadline_s = deadline_s
        self._journal = journal
        self._wall_clock = wall_clock
        self._admission = Admission()
        self._running: dict[Work, tuple[asyncio.Task[None], Callable[[Outcome | None], None]]] = {}

    @property
    def running(self) -> int:
        """Questions in the pipeline."""
        return len(self._running)

    def cancel(self) -> None:
        """Give up what is running: it gets no outcome here, and is read again by the next worker."""
        for task, _ in self._running.values():
            task.cancel()

    def abandon(self, work: Work) -> None:
        """Give up what runs of this record, which is another worker's now."""
        running = self._running.pop(work, None)
        if running is not None:  # else its outcome has come to its gate
            task, finish = running
            task.add_done_callback(lambda _: finish(None))
            task.cancel()

    def drop(self, number: int) -> None:
        """A partition is lost."""
        if self._journal is not None:
            self._journal.drop(number)

    def prepare(self, work: Work) -> None:
        """Decode it. The lane of a record without a key is its conversation's, else one of its own."""
        conversation_id: str | None = None
        headers = work.record.headers
        if not headers or headers[-1] is not UNREADABLE:
            request = work.request = parse_request_headers(headers)
            asked_at_ms = work.record.timestamp
            expires_at = request.expires_at(asked_at_ms)
            if expires_at is not None:
                # Looked at again and again while it waits, among thousands that do.
                work.expires_at = expires_at
                if asked_at_ms >= 0:
                    work.late_at = late_at(asked_at_ms / 1000, expires_at)
        try:
            decoded = work.decoded = _decode(work.record.value)
        except Exception:  # noqa: BLE001 - `start` meets it again, and makes an outcome of it
            work.tenant = ""
        else:
            if isinstance(decoded, Question):
                work.tenant, conversation_id = decoded.tenant, decoded.conversation_id
            else:
                salvaged = decoded.salvaged
                work.tenant = salvaged.tenant or ""
                conversation_id = salvaged.conversation_id or salvaged.question_id
        if work.record.key is not None:
            work.key = work.record.key
        else:
            work.key = conversation_id.encode() if conversation_id else b"\0%d" % work.record.offset

    def refuses(self, work: Work) -> bool:
        """Whether there is no time left for it, or too little."""
        now = self._wall_clock()
        return now >= work.expires_at or (now > work.late_at and self._admission.overloaded(work.tenant, now))

    def start(self, work: Work, done: Callable[[Work], None]) -> bool:
        """Begin; `done(work)` is called when the broker has the outcome. False: it is refused."""
        record = work.record
        started = asyncio.get_running_loop().time()
        source = Source(record.topic, record.partition, record.offset)
        inquiry = Inquiry(record, source, NO_HEADERS, gate=work.partition.gate)
        finish = partial(self._finished, work, started, done)
        try:
            return self._begin(work, inquiry, started, finish)
        except Exception as error:  # noqa: BLE001 - a defect costs its own record, and is logged there
            self._defect(inquiry, error, finish)
            return False

    def _begin(
        self, work: Work, inquiry: Inquiry, started: float, finish: Callable[[Outcome | None], None]
    ) -> bool:
        record = inquiry.record
        if record.headers and record.headers[-1] is UNREADABLE:
            inquiry.record = record = replace(record, headers=record.headers[:-1])
            inquiry.headers_lost = True
        inquiry.request = request = work.request or parse_request_headers(record.headers)
        now = self._wall_clock()
        queue_ms = _queue_ms(now, record.timestamp)
        self._hook.question_started(inquiry.source, queue_ms)
        decoded = work.decoded or _decode(record.value)
        if isinstance(decoded, DecodeError):
            self._publisher.publish(self._outcomes.refused(inquiry, decoded), finish)
            return False
        inquiry.question = decoded
        if inquiry.headers_lost:
            # What it asked for with them (a deadline, a reply) is not known.
            message = "the name of a header is not UTF-8; its dead letter is without such headers"
            error = UndecodableError(message)
            self._publisher.publish(self._outcomes.refused(inquiry, error), finish)
            return False
        budget = self._deadline_s
        expires_at = request.expires_at(record.timestamp)
        if expires_at is not None:
            verdict = self._admission.judge(decoded.tenant, now, now - queue_ms / 1000, expires_at)
            if verdict != "run":
                self._publisher.publish(self._shed(inquiry, verdict, now - expires_at), finish)
                return False
            budget = min(budget, expires_at - now)
        deltas = _Deltas(self._outcomes, self._copies, inquiry, decoded, now) if decoded.stream else None
        asked = Asked(
            question=decoded,
            source=inquiry.source,
            deadline=started + budget,
            queue_ms=queue_ms,
            traceparent=request.traceparent,
            on_delta=deltas,
        )
        # A name of its own for each would be a tenth of a task's cost.
        answer = self._answer(work, inquiry, asked, deltas, finish)
        task = asyncio.get_running_loop().create_task(answer, name="answer")
        self._running[work] = task, finish
        return True

    def _shed(self, inquiry: Inquiry, verdict: Verdict, late_s: float) -> Outcome:
        if verdict == "expired":
            code, message = ErrorCode.EXPIRED_BEFORE_START, f"expired {late_s:.3f} s before work could begin"
        else:
            code = ErrorCode.OVERLOADED
            message = f"too many questions wait for it to be answered well in the {-late_s:.3f} s left"
        return self._outcomes.failed(inquiry, code, "deadline", message, exception=verdict.capitalize())

    async def _answer(
        self,
        work: Work,
        inquiry: Inquiry,
        asked: Asked,
        deltas: "_Deltas | None",
        finish: Callable[[Outcome | None], None],
    ) -> None:
        try:
            answered = await self._pipeline.aanswer(asked)
            outcome = self._outcomes.answered(inquiry, answered.answer, answered.stages)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not ours but that of something it waited for: without an outcome its lane would wait for ever.
            self._defect(inquiry, error, finish)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - as above; a panic of a library in Rust is no Exception
            if work in self._running:
                self._defect(inquiry, error, finish)
        else:
            if work in self._running:
                self._publisher.publish(outcome, finish)
        finally:
            self._running.pop(work, None)
            if deltas is not None:
                deltas.close()

    def _defect(
        self, inquiry: Inquiry, error: BaseException, finish: Callable[[Outcome | None], None]
    ) -> None:
        source = inquiry.source
        log.error("%s/%d/%d met a defect", source.topic, source.partition, source.offset, exc_info=error)
        name = type(error).__name__
        # What an exception says can hold the question or a secret; it is in the log, not in the answer.
        outcome = self._outcomes.failed(
            inquiry, ErrorCode.INTERNAL, "pipeline", f"a defect: {name}", exception=name
        )
        self._publisher.publish(outcome, finish)

    def _finished(
        self, work: Work, started: float, done: Callable[[Work], None], outcome: Outcome | None
    ) -> None:
        if outcome is not None:
            message = outcome.message
            self._hook.question_finished(message, asyncio.get_running_loop().time() - started)
            if self._journal is not None:
                self._journal.forget(message.question_id, message.source)
        done(work)


class _Deltas:
    """The pieces of one streaming answer (`agents.components.DeltaSink`)."""

    __slots__ = ("_copies", "_epoch", "_inquiry", "_outcomes", "_question", "_sequence")

    def __init__(
        self, outcomes: Outcomes, copies: Copies, inquiry: Inquiry, question: Question, now: float
    ) -> None:
        self._outcomes = outcomes
        self._copies = copies
        self._inquiry = inquiry
        self._question = question
        # Whoever runs the question again does so later.
        self._epoch = int(now * 1000)
        self._sequence = 0

    def __call__(self, text: str) -> None:
        self._send(text, last=False)

    def close(self) -> None:
        """Tell readers that this was all."""
        self._send("", last=True)

    def _send(self, text: str, *, last: bool) -> None:
        delta = AnswerDelta(
            question_id=self._question.id,
            conversation_id=self._question.conversation_id,
            epoch=self._epoch,
            sequence=self._sequence,
            text=text,
            done=last,
        )
        self._sequence += 1
        self._copies.delta(self._outcomes.delta(self._inquiry, delta), last=last)


def _queue_ms(now: float, asked_at_ms: int) -> float:
    """How long it has waited; a record that its producer did not date has -1."""
    return max(0.0, now * 1000 - asked_at_ms) if asked_at_ms >= 0 else 0.0


def _decode(value: bytes | None) -> Decoded:
    try:
        return decode_question(value)
    except DecodeError as error:
        # It is kept with its record, and the frames of its traceback hold whatever called this, up to all
        # that was polled with it: memory that only the garbage collector would free, in its own time.
        error.__context__ = None
        return error.with_traceback(None)
