"""Outcomes to the broker: a dead letter first, then the answer, then its copies.

An outcome is never given up: what fails is sent again, and its offset stays incomplete until the broker
has it. While a dead letter cannot be written, nothing more of its partition starts.
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
"""How often that is told again."""

Done = Callable[[Outcome | None], None]
"""Told once: what was published, or None where the partition was lost and it never will be."""


class _Delivery:
    """An outcome on its way."""

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
        """What is to be written next."""
        letter = self.outcome.dead_letter
        return self.outcome.answer if letter is None or self.letter_acked else letter


class Publisher:
    """Takes outcomes and says when each is safe.

    Args:
        sender: with an idempotent producer and acks from all, which it rebuilds.
        copies: where traces and replies go once the answer is acknowledged, so that no reply says what
            the log does not.
        shrink: makes a smaller outcome of one whose answer (or dead letter, where that is True) was
            refused for its size, or returns it as it is.
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
        """Outcomes that the broker has not acknowledged."""
        return self._unpublished

    @property
    def unpublished_bytes(self) -> int:
        """What these hold."""
        return self._bytes

    def has_room(self) -> bool:
        """Whether more outcomes may be made: those of what runs already may overrun it."""
        return self._bytes < MAX_BYTES

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker.
        """
        await self._sender.start()

    async def failed(self) -> None:
        """Returns never, but raises what ended the sending."""
        await self._sender.failed()

    def end_of_answers(self, topic: str, partition: int) -> int:
        """See `Sender.end`."""
        return self._sender.end(topic, partition)

    def publish(self, outcome: Outcome, done: Done) -> None:
        """Send it as soon as its gate is open; `done` is called when the broker has all of it."""
        delivery = _Delivery(outcome, done)
        self._unpublished += 1
        self._bytes += delivery.size
        self._send(delivery)

    async def areachable(self, timeout_s: float) -> bool:
        """Whether a broker answers within that time."""
        return await self._sender.areachable(timeout_s)

    async def aclose(self, *, timeout_s: float) -> None:
        """Disconnect, within that time; what is unpublished stays so."""
        await self._sender.aclose(timeout_s=timeout_s)

    def _send(self, delivery: _Delivery) -> None:
        gate = delivery.outcome.inquiry.gate
        if not delivery.letter_acked and delivery.alarm is None:
            delivery.alarm = asyncio.get_running_loop().call_later(LETTER_S, self._pause, delivery)
        if gate.open:
            self._sender.put(delivery.record, partial(self._settled, delivery), gate)
        elif gate.lost:
            self._end(delivery)
            asyncio.get_running_loop().call_soon(delivery.done, None)
        else:
            gate.wait(lambda: self._send(delivery))

    def _settled(self, delivery: _Delivery, record: Record, error: BaseException | None) -> None:
        if error is not None:
            self._failed(delivery, record, error)
            return
        if not delivery.letter_acked:
            delivery.letter_acked = True
            self._resume(delivery)
            self._send(delivery)
            return
        self._end(delivery)
        outcome, done = delivery.outcome, delivery.done
        if outcome.trace is not None:
            self._copies.trace(outcome.trace)
        if outcome.reply is not None:
            self._copies.reply(outcome.reply)
        elif outcome.refused_reply is not None:
            self._hook.reply_refused(outcome.refused_reply)
        done(outcome)

    def _failed(self, delivery: _Delivery, record: Record, error: BaseException) -> None:
        if isinstance(error, Fenced):
            self._send(delivery)
            return
        self._hook.send_failed(record.topic, error)
        delivery.error = error
        outcome = delivery.outcome
        if isinstance(error, TOO_LARGE):
            smaller = self._shrink(outcome, not delivery.letter_acked)
            if smaller is not outcome:
                delivery.letter_acked = delivery.letter_acked and smaller.dead_letter is outcome.dead_letter
                delivery.outcome = smaller
                self._send(delivery)
                return
        delivery.backoff = delivery.backoff or Backoff()  # most are never repeated
        asyncio.get_running_loop().call_later(delivery.backoff.wait_s(), self._send, delivery)

    def _end(self, delivery: _Delivery) -> None:
        self._unpublished -= 1
        self._bytes -= delivery.size
        if delivery.alarm is not None:
            self._resume(delivery)

    def _pause(self, delivery: _Delivery) -> None:
        inquiry = delivery.outcome.inquiry
        delay = LETTER_S
        if inquiry.gate.open:
            source, error = inquiry.source, delivery.error
            reason = (
                f"the dead letter of {source.topic}/{source.partition}/{source.offset} cannot be written to "
                f"{delivery.record.topic}: {'not acknowledged' if error is None else repr(error)}"
            )
            inquiry.gate.blocks[delivery] = reason
            log.error("partition %d is paused, nothing of it is skipped: %s", source.partition, reason)
            delay = REMIND_S
        delivery.alarm = asyncio.get_running_loop().call_later(delay, self._pause, delivery)

    def _resume(self, delivery: _Delivery) -> None:
        if delivery.alarm is None:
            return
        delivery.alarm.cancel()
        delivery.alarm = None
        inquiry = delivery.outcome.inquiry
        if inquiry.gate.blocks.pop(delivery, None) and not inquiry.gate.blocks:
            log.info("partition %d goes on", inquiry.source.partition)
