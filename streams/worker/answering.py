"""One record of `questions`: decoded, judged by its deadline, answered, and handed to the publisher.

Every record gets one outcome, broken ones and those that meet a defect included, and does not disturb its
neighbours. A record costs one task, and none if no pipeline has to run.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from agents.outcome import CANCELLED, Answered, Asked
from schemas.codec import DecodeError
from schemas.control import CancelReason
from schemas.errors import ErrorCode
from streams.consumer.cancels import Cancels
from streams.consumer.partition import Work
from streams.consumer.repeats import Result
from streams.publishing.copies import Copies
from streams.publishing.journal import KafkaJournal
from streams.publishing.outcomes import Outcomes
from streams.publishing.publisher import Done, Publisher
from streams.publishing.records import Inquiry, Outcome
from streams.telemetry.hook import Hook
from streams.worker.admission import Admission, late_at, refusal
from streams.worker.deltas import Deltas
from streams.worker.inquiries import decode_record
from streams.worker.repeating import REUSED, Repeating

log = logging.getLogger(__name__)


_Make = Callable[[], Awaitable[Answered]]


class QuestionPipeline(Protocol):
    """Answers a question by its deadline. An exception that it raises counts as a defect."""

    async def aanswer(self, asked: Asked) -> Answered:
        """Return the terminal outcome; it may be a failed one."""
        ...


class Answering:
    """Makes an outcome of every record (`streams.consumer.handler.Handler`).

    Args:
        deadline_s: the most time that a question may take from its start. A question without a deadline of
            its own has all of it, however long it has waited.
        journal: told of each outcome: it keeps the calls that a failed question has begun.
        repeating: answers questions that are sent again.
        cancels: the questions that their askers have called back.
        wall_clock: unix seconds; for absolute deadlines only.
    """

    def __init__(
        self,
        *,
        pipeline: QuestionPipeline,
        outcomes: Outcomes,
        publisher: Publisher,
        copies: Copies,
        hook: Hook,
        deadline_s: float,
        journal: KafkaJournal,
        repeating: Repeating,
        cancels: Cancels,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._pipeline = pipeline
        self._outcomes = outcomes
        self._publisher = publisher
        self._copies = copies
        self._hook = hook
        self._deadline_s = deadline_s
        self._journal = journal
        self._repeating = repeating
        self._cancels = cancels
        self._wall_clock = wall_clock
        self._admission = Admission()
        self._running: dict[Work, tuple[asyncio.Task[None], Done]] = {}

    @property
    def running(self) -> int:
        """How many questions are in the pipeline."""
        return len(self._running)

    def stop(self, work: Work, reason: CancelReason) -> None:
        """Stop the question of a record, if it runs: its asker has called it back."""
        running = self._running.get(work)
        if running is not None and work.cancelled is None:
            work.cancelled = reason
            running[0].cancel()

    def cancel(self) -> None:
        """Give up all running questions. They get no outcome here; the next worker reads them again."""
        for task, _ in self._running.values():
            task.cancel()

    def abandon(self, work: Work) -> None:
        """Give up the running question of a record that is another worker's now."""
        running = self._running.pop(work, None)
        if running is not None:  # else its outcome is at its gate already
            task, finish = running
            task.add_done_callback(lambda _: finish(None))
            task.cancel()

    def drop(self, number: int) -> None:
        """Forget a partition that is lost."""
        self._journal.drop(number)
        self._repeating.drop(number)
        self._cancels.drop(number)

    def prepare(self, work: Work) -> None:
        """Decode the record and find its lane, its tenant and its times. Never raises.

        A record without a key goes to the lane of its conversation, or to a lane of its own.
        """
        record = work.record
        inquiry = work.inquiry = decode_record(record, work.partition.gate)
        if not inquiry.headers_lost:
            expires_at = inquiry.request.expires_at(record.timestamp)
            if expires_at is not None:
                # Kept because `refuses` reads them again and again, for thousands of waiting records.
                work.expires_at = expires_at
                if record.timestamp >= 0:
                    work.late_at = late_at(record.timestamp / 1000, expires_at)
        conversation_id = None
        if inquiry.question is not None:
            work.tenant, conversation_id = inquiry.question.tenant, inquiry.question.conversation_id
        elif isinstance(inquiry.problem, DecodeError):
            salvaged = inquiry.problem.salvaged
            work.tenant = salvaged.tenant or ""
            conversation_id = salvaged.conversation_id or salvaged.question_id
        if record.key is not None:
            work.key = record.key
        else:
            work.key = conversation_id.encode() if conversation_id else b"\0%d" % record.offset

    def refuses(self, work: Work) -> bool:
        """Whether the question has no time left, or too little, or was called back."""
        if self._cancels.count and self._cancels.of(work) is not None:
            return True
        now = self._wall_clock()
        return now >= work.expires_at or (now > work.late_at and self._admission.overloaded(work.tenant, now))

    def start(self, work: Work, done: Callable[[Work], None]) -> bool:
        """Judge a prepared record and start it. Call `done(work)` when the broker has its outcome.

        Returns:
            Whether a pipeline runs; if not, the record was refused and its outcome is on its way.
        """
        started = asyncio.get_running_loop().time()
        finish = partial(self._finished, work, started, done)
        try:
            return self._judge_and_run(work, started, finish)
        except Exception as error:  # noqa: BLE001 - a defect costs its own record, and is logged there
            self._publish_defect(work.inquiry, error, finish)
            return False

    def _judge_and_run(self, work: Work, started: float, finish: Done) -> bool:
        inquiry, question = work.inquiry, work.inquiry.question
        now = self._wall_clock()
        timestamp_ms = inquiry.record.timestamp  # -1 where its producer did not date it
        asked_at = min(now, timestamp_ms / 1000) if timestamp_ms >= 0 else now
        queue_ms = (now - asked_at) * 1000
        self._hook.question_started(inquiry.source, queue_ms)
        if question is None or inquiry.problem is not None:
            self._publish_undecoded(inquiry, finish)
            return False
        if self._cancels.count and (reason := self._cancels.of(work)) is not None:
            work.cancelled = reason
            self._publish_cancelled(inquiry, finish)
            return False
        repeat = self._repeating.find(inquiry, now)
        if isinstance(repeat, Result):
            # Its deadline may have passed while it waited for the first outcome: the result costs nothing.
            deltas = Deltas(self._outcomes, self._copies, inquiry, question, now) if question.stream else None
            again = partial(self._repeating.arepeat, inquiry, repeat, queue_ms, limit_s=self._deadline_s)
            self._run(work, again, deltas, finish)
            return False
        if repeat is not None:
            inquiry.warn(REUSED)
        budget = self._deadline_s
        expires_at = work.expires_at
        if expires_at < math.inf:
            decision = self._admission.judge(question.tenant, now, asked_at, expires_at)
            if decision != "run":
                code, message = refusal(decision, now, expires_at)
                shed = self._outcomes.failed(
                    inquiry, code, "deadline", message, exception=decision.capitalize()
                )
                self._publisher.publish(shed, finish)
                return False
            budget = min(budget, expires_at - now)
        deltas = Deltas(self._outcomes, self._copies, inquiry, question, now) if question.stream else None
        asked = Asked(
            question=question,
            source=inquiry.source,
            deadline=started + budget,
            queue_ms=queue_ms,
            traceparent=inquiry.request.traceparent,
            on_delta=deltas,
            id_reused=repeat is not None,
            cancelled=work.is_cancelled,
        )
        self._run(work, partial(self._pipeline.aanswer, asked), deltas, finish)
        return True

    def _run(self, work: Work, make: _Make, deltas: Deltas | None, finish: Done) -> None:
        answering = self._answer(work, make, deltas, finish)
        # One name for all: a name for each would be a tenth of a task's cost.
        task = asyncio.get_running_loop().create_task(answering, name="answer")
        self._running[work] = task, finish

    async def _answer(self, work: Work, make: _Make, deltas: Deltas | None, finish: Done) -> None:
        inquiry = work.inquiry
        text: str | None = None
        try:
            made = await make()
            outcome = self._outcomes.answered(inquiry, made.answer, made.stages)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                if not work.is_cancelled():
                    raise
                if work in self._running:
                    self._publish_cancelled(inquiry, finish)
                return
            # Something we waited for was cancelled, not we. Without an outcome the lane would wait for ever.
            self._publish_defect(inquiry, error, finish)
            text = ""
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - as above; a panic of a library in Rust is no Exception
            if work in self._running:
                self._publish_defect(inquiry, error, finish)
                text = ""
        else:
            if work in self._running:
                self._publisher.publish(outcome, finish)
                text = outcome.message.text
        finally:
            self._running.pop(work, None)
            if deltas is not None:
                deltas.close(text)

    def _publish_cancelled(self, inquiry: Inquiry, finish: Done) -> None:
        outcome = self._outcomes.failed(
            inquiry, ErrorCode.CANCELLED, "cancel", CANCELLED, exception="Cancelled"
        )
        self._publisher.publish(outcome, finish)

    def _publish_undecoded(self, inquiry: Inquiry, finish: Done) -> None:
        if isinstance(inquiry.problem, DecodeError):
            self._publisher.publish(self._outcomes.refused(inquiry, inquiry.problem), finish)
        else:
            self._publish_defect(inquiry, inquiry.problem, finish)

    def _publish_defect(self, inquiry: Inquiry, error: BaseException | None, finish: Done) -> None:
        source = inquiry.source
        log.error(
            "a defect stopped the record %s/%d/%d",
            source.topic,
            source.partition,
            source.offset,
            exc_info=error,
        )
        name = type(error).__name__
        # The exception's text may hold the question or a secret: it is in the log only.
        message = f"a defect stopped the question ({name}); the worker's log has the details"
        outcome = self._outcomes.failed(inquiry, ErrorCode.INTERNAL, "pipeline", message, exception=name)
        self._publisher.publish(outcome, finish)

    def _finished(
        self, work: Work, started: float, done: Callable[[Work], None], outcome: Outcome | None
    ) -> None:
        if self._cancels.count:
            self._cancels.forget(work)
        if outcome is not None:
            message = outcome.message
            # A pipeline of an operator's own may have answered all the same.
            if work.cancelled is not None and message.is_cancelled:
                self._hook.question_cancelled(work.cancelled)
            self._hook.question_finished(message, asyncio.get_running_loop().time() - started)
            failed = message.status == "failed"
            self._journal.finish(message.question_id, message.source, work.inquiry.fingerprint, failed=failed)
            if work.partition.lost:
                pass
            elif not failed:
                self._repeating.keep(work.inquiry, outcome.answer, self._wall_clock())
            elif message.tool_calls:
                self._repeating.keep_failed(work.inquiry, self._wall_clock())
        done(work)
