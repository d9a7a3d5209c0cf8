"""Sends outcomes to the broker: a dead letter first, then the answer, then its copies.

An outcome is never given up: a failed record is sent again, and the question's offset stays incomplete
until the broker has its outcome. While a dead letter cannot be written, no more questions of its partition
start.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from streams.process.backoff import Backoff
from streams.publishing.copies import Copies
from streams.publishing.gate import Fenced
from streams.publishing.records import Outcome, Record
from streams.publishing.sending import TOO_LARGE, Sender
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1_048_576
"""Bytes of outcomes that may wait for the broker before no more questions start."""
LETTER_S = 5.0
"""How long a dead letter may take before its partition is paused."""
REMIND_S = 60.0
"""How often the log repeats that a partition is paused."""

Done = Callable[[Outcome | None], None]
"""Called once: with the published outcome, or with None if the partition was lost and nothing will be."""


class _PendingOutcome:
    """An outcome that the broker does not have yet."""

    __slots__ = ("alarm", "backoff", "done", "error", "letter_acked", "outcome", "size")

    def __init__(self, outcome: Outcome, done: Done) -> None:
        self.outcome = outcome
        self.done = done
        self.letter_acked = outcome.dead_letter is None
        self.backoff: Backoff | None = None
        self.error: BaseException | None = None
        self.alarm: asyncio.TimerHandle | None = None
        letter = outcome.dead_letter
        self.size = outcome.answer.size + (0 if letter is None else letter.size)

    @property
    def record(self) -> Record:
        """The record to be written next."""
        letter = self.outcome.dead_letter
        return self.outcome.answer if letter is None or self.letter_acked else letter


class Publisher:
    """Takes outcomes and says when the broker has each.

    Args:
        sender: with an idempotent producer and acks from all replicas; it replaces its producer.
        copies: gets traces and replies once the answer is acknowledged, so that no reply says anything that
            `answers` does not.
        shrink: makes a smaller outcome of one that the broker refused for its size: of its dead letter if
            the flag is True, else of its answer. Returns the same outcome if nothing is left to take away.
    """

    def __init__(
        self, sender: Sender, *, copies: Copies, shrink: Callable[[Outcome, bool], Outcome], hook: Hook
    ) -> None:
        self._sender = sender
        self._copies = copies
        self._shrink = shrink
        self._hook = hook
        self._unpublished = 0
        self._bytes = 0

    @property
    def unpublished(self) -> int:
        """How many outcomes the broker has not acknowledged."""
        return self._unpublished

    @property
    def unpublished_bytes(self) -> int:
        """Bytes of these outcomes."""
        return self._bytes

    def has_room(self) -> bool:
        """Whether more questions may start. The outcomes of running ones may exceed the limit."""
        return self._bytes < MAX_BYTES

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker.
        """
        await self._sender.start()

    async def failed(self) -> None:
        """Raise the error that ends the sending; never return."""
        await self._sender.failed()

    def end_of_answers(self, topic: str, partition: int) -> int:
        """See `Sender.end`."""
        return self._sender.end(topic, partition)

    def publish(self, outcome: Outcome, done: Done) -> None:
        """Send an outcome as soon as its gate is open. Call `done` when the broker has all of it."""
        pending = _PendingOutcome(outcome, done)
        self._unpublished += 1
        self._bytes += pending.size
        self._send(pending)

    async def areachable(self, timeout_s: float) -> bool:
        """Whether a broker answers within that time."""
        return await self._sender.areachable(timeout_s)

    async def aclose(self, *, timeout_s: float) -> None:
        """Disconnect, within that time. Unpublished outcomes are not sent."""
        await self._sender.aclose(timeout_s=timeout_s)

    def _send(self, pending: _PendingOutcome) -> None:
        gate = pending.outcome.inquiry.gate
        if gate.lost:
            self._forget(pending)
            asyncio.get_running_loop().call_soon(pending.done, None)
            return
        if not pending.letter_acked and pending.alarm is None:
            pending.alarm = asyncio.get_running_loop().call_later(LETTER_S, self._pause, pending)
        # Not asked whether the gate is open: the sender asks when the record leaves, and only that fences.
        self._sender.put(pending.record, partial(self._on_delivery, pending), gate)

    def _on_delivery(self, pending: _PendingOutcome, record: Record, error: BaseException | None) -> None:
        if error is not None:
            self._on_failure(pending, record, error)
            return
        if not pending.letter_acked:
            pending.letter_acked = True
            self._resume(pending)
            self._send(pending)
            return
        self._forget(pending)
        outcome, done = pending.outcome, pending.done
        if outcome.trace is not None:
            self._copies.trace(outcome.trace)
        if outcome.reply is not None:
            self._copies.reply(outcome.reply)
        elif outcome.refused_reply is not None:
            self._hook.reply_refused(outcome.refused_reply.topic, outcome.refused_reply.refused)
        done(outcome)

    def _on_failure(self, pending: _PendingOutcome, record: Record, error: BaseException) -> None:
        outcome = pending.outcome
        if isinstance(error, Fenced):
            outcome.inquiry.gate.wait(lambda: self._send(pending))
            return
        self._hook.send_failed(record.topic, error)
        pending.error = error
        if isinstance(error, TOO_LARGE):
            smaller = self._shrink(outcome, not pending.letter_acked)
            if smaller is not outcome:
                pending.letter_acked = pending.letter_acked and smaller.dead_letter is outcome.dead_letter
                pending.outcome = smaller
                self._send(pending)
                return
        pending.backoff = pending.backoff or Backoff()  # most outcomes never need one
        asyncio.get_running_loop().call_later(pending.backoff.wait_s(), self._send, pending)

    def _forget(self, pending: _PendingOutcome) -> None:
        self._unpublished -= 1
        self._bytes -= pending.size
        if pending.alarm is not None:
            self._resume(pending)

    def _pause(self, pending: _PendingOutcome) -> None:
        inquiry = pending.outcome.inquiry
        delay = LETTER_S
        if inquiry.gate.open:
            source, error = inquiry.source, pending.error
            why = "the broker does not acknowledge it" if error is None else repr(error)
            reason = (
                f"the dead letter of {source.topic}/{source.partition}/{source.offset} cannot be written to "
                f"{pending.record.topic}: {why}"
            )
            inquiry.gate.blocks[pending] = reason
            log.error(
                "partition %d is paused until its dead letter is written; no question is skipped: %s",
                source.partition,
                reason,
            )
            delay = REMIND_S
        pending.alarm = asyncio.get_running_loop().call_later(delay, self._pause, pending)

    def _resume(self, pending: _PendingOutcome) -> None:
        if pending.alarm is None:
            return
        pending.alarm.cancel()
        pending.alarm = None
        inquiry = pending.outcome.inquiry
        if inquiry.gate.blocks.pop(pending, None) and not inquiry.gate.blocks:
            log.info("partition %d goes on: its dead letters are written", inquiry.source.partition)
