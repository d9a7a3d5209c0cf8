"""The one coroutine that sends outcomes: a dead letter first, then the answer, then its copies.

One, because thousands of tasks that await `producer.send` at once cost quadratically: whenever a
batch is full, all of them are woken and all but one go back to sleep.

An outcome is never given up: whatever fails is sent again, and its offset stays incomplete until the
broker has it. A failure that comes from the broker costs the producer: an idempotent one has then
counted a record that the broker has not, and would be refused for ever.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)

from streams.publishing.copies import Copies
from streams.publishing.records import Outcome, Record
from streams.publishing.sending import Sent, aclose_producer, asend, place
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

BURST = 64
"""Records sent before the event loop has a turn."""
BACKOFF_S = (0.1, 0.5, 2.0, 5.0)
CLOSE_S = 3.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_LOCAL = (MessageSizeTooLargeError, UnknownTopicOrPartitionError)
"""Raised before anything was queued, by a producer that is well."""

Done = Callable[[Outcome], None]


class _Delivery:
    """An outcome on its way. `producer` is the one that has it; None: it waits."""

    __slots__ = ("attempts", "done", "letter_acked", "outcome", "producer")

    def __init__(self, outcome: Outcome, done: Done) -> None:
        self.outcome = outcome
        self.done = done
        self.letter_acked = outcome.dead_letter is None
        self.attempts = 0
        self.producer: Any = None

    @property
    def record(self) -> Record:
        """What is to be written next."""
        letter = self.outcome.dead_letter
        return self.outcome.answer if letter is None or self.letter_acked else letter


class Publisher:
    """Takes outcomes and says when each is safe.

    Args:
        open_producer: makes a producer that is not started, idempotent, with acks from all.
        topics: where outcomes go; they are looked up before one is sent.
        copies: where traces and replies go once the answer is acknowledged.
        shrink: makes a smaller outcome of one whose answer (or dead letter, where that is True) was
            refused for its size, or returns it as it is.
    """

    def __init__(
        self,
        *,
        open_producer: Callable[[], AIOKafkaProducer],
        topics: Collection[str],
        copies: Copies,
        shrink: Callable[[Outcome, bool], Outcome],
        hook: Hook,
    ) -> None:
        self._open_producer = open_producer
        self._topics = topics
        self._copies = copies
        self._shrink = shrink
        self._hook = hook
        self._producer: Any = None
        self._broken = False
        self._waiting: deque[_Delivery] = deque()
        self._unacked: set[_Delivery] = set()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def unpublished(self) -> int:
        """Outcomes that the broker has not acknowledged."""
        return len(self._unacked)

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker.
        """
        await self._open()
        self._task = asyncio.create_task(self._run(), name="publish")

    async def failed(self) -> None:
        """Returns never, but raises what ended the publisher."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def publish(self, outcome: Outcome, done: Done) -> None:
        """Send it; `done` is called once, with what was published, when the broker has all of it."""
        delivery = _Delivery(outcome, done)
        self._unacked.add(delivery)
        self._queue(delivery)

    async def areachable(self, timeout_s: float) -> bool:
        """Whether a broker answers within that time."""
        try:
            async with asyncio.timeout(timeout_s):
                return bool(await self._producer.client.force_metadata_update())
        except (KafkaError, TimeoutError):
            return False

    async def aclose(self, *, timeout_s: float) -> None:
        """Disconnect, within that time; what is unpublished stays so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._producer is not None:
            await aclose_producer(self._producer, timeout_s)

    async def _run(self) -> None:
        sent = 0
        while True:
            if self._broken:
                await self._rebuild()
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
                continue
            delivery = self._waiting.popleft()
            try:
                await self._send(delivery)
            except KafkaTimeoutError:
                self._waiting.appendleft(delivery)  # the batch ahead is stuck; nothing was queued
            except Exception as error:  # noqa: BLE001 - an outcome is never given up
                if isinstance(error, KafkaError) and not isinstance(error, _LOCAL):
                    self._broken = True  # its sender has died: it refuses everything from now on
                self._failed(delivery, error)
            sent += 1
            if not sent % BURST:
                await asyncio.sleep(0)

    async def _open(self) -> None:
        self._producer = self._open_producer()
        await self._producer.start()
        for topic in self._topics:
            await self._producer.partitions_for(topic)

    def _queue(self, delivery: _Delivery) -> None:
        self._waiting.append(delivery)
        self._work.set()

    async def _send(self, delivery: _Delivery) -> None:
        producer = self._producer
        record = delivery.record
        if not delivery.letter_acked:
            place(producer, record, fold=True)
        sent = await asend(producer, record)
        delivery.producer = producer
        sent.add_done_callback(lambda sent: self._settled(delivery, producer, record, sent))

    def _settled(self, delivery: _Delivery, producer: Any, record: Record, sent: Sent) -> None:
        if delivery.producer is not producer:
            return  # given to another producer since
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is not None:
            self._broken = True
            self._failed(delivery, error)
            return
        self._hook.record_sent(record.topic, record.size)
        if not delivery.letter_acked:
            delivery.letter_acked = True
            delivery.producer = None
            self._queue(delivery)
            return
        self._unacked.discard(delivery)
        outcome, done = delivery.outcome, delivery.done
        if outcome.reply is not None:
            self._copies.reply(outcome.reply, lambda: done(outcome))
        else:
            done(outcome)
        if outcome.trace is not None:
            self._copies.trace(outcome.trace)

    def _failed(self, delivery: _Delivery, error: BaseException) -> None:
        delivery.producer = None
        record, outcome = delivery.record, delivery.outcome
        self._hook.send_failed(record.topic, error)
        self._work.set()
        if isinstance(error, _TOO_LARGE):
            smaller = self._shrink(outcome, not delivery.letter_acked)
            if smaller is not outcome:
                delivery.letter_acked = delivery.letter_acked and smaller.dead_letter is outcome.dead_letter
                delivery.outcome = smaller
                self._waiting.append(delivery)
                return
        delay = BACKOFF_S[min(delivery.attempts, len(BACKOFF_S) - 1)]
        delivery.attempts += 1
        log.error("a record of %s was not written, repeated in %.1f s: %r", record.topic, delay, error)
        asyncio.get_running_loop().call_later(delay, self._queue, delivery)

    async def _rebuild(self) -> None:
        old, attempt = self._producer, 0
        await aclose_producer(old, CLOSE_S)
        while True:
            try:
                await self._open()
                break
            except KafkaError as error:
                delay = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
                attempt += 1
                log.warning("the producer was not rebuilt, repeated in %.1f s: %r", delay, error)
                await aclose_producer(self._producer, CLOSE_S)
                await asyncio.sleep(delay)
        self._broken = False
        for delivery in self._unacked:
            if delivery.producer is old:
                # Neither acknowledged nor refused: it may be there twice now, with the same source.
                delivery.producer = None
                self._waiting.append(delivery)
