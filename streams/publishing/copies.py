"""Traces, replies and deltas: sent beside the outcomes, and never in an outcome's way."""

import asyncio
import logging
import sys
from collections.abc import Collection

from streams.publishing.records import Record
from streams.publishing.sending import Sender
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

MAX_DELTAS = 2_000
MAX_TRACES = 20_000
MAX_REPLIES = 20_000
"""Records of one topic that may wait for a slow broker. Further deltas, traces and replies are dropped and
reported."""
MAX_BYTES = 32 * 1_048_576
"""The same limit in bytes."""
TRACES_S = 0.1
"""How long traces are gathered: a batch costs as much as many records, and nobody waits for a trace."""
PATIENCE_S = 5.0
"""How long a topic may be without a leader before records for it are dropped and reported."""


class _Pending:
    """The size of one topic's records that the broker does not have yet."""

    __slots__ = ("bytes", "records")

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0


class Copies:
    """Sends each record once and reports failures to the hook.

    Each topic has its own room: one that takes no records leaves the others theirs.

    Args:
        sender: not the publisher's: its producer is not idempotent, so a record that the broker refuses (by
            a reply topic with a small limit, say) fails alone. Its patience is bounded.
        reply_topics: where replies may go; a missing one costs only its own replies.
    """

    def __init__(self, sender: Sender, *, reply_topics: Collection[str], hook: Hook) -> None:
        self._sender = sender
        self._reply_topics = reply_topics
        self._hook = hook
        self._pending: dict[str, _Pending] = {}
        self._traces: list[Record] = []

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker.
        """
        await self._sender.start()
        for topic in self._reply_topics:
            self._sender.expect(topic)

    async def failed(self) -> None:
        """Raise the error that ends the sending; never return."""
        await self._sender.failed()

    def trace(self, record: Record) -> None:
        """Send a question's trace, together with others."""
        if not self._take_room(record, MAX_TRACES):
            self._hook.send_failed(record.topic, BufferError("too many records wait for the topic"))
            return
        if not self._traces:
            asyncio.get_running_loop().call_later(TRACES_S, self._send_traces)
        self._traces.append(record)

    def reply(self, record: Record) -> None:
        """Send an asker's copy of an answer, in order with the others of its partition."""
        if self._take_room(record, MAX_REPLIES):
            self._sender.put(record, self._on_delivery)
        else:
            self._hook.send_failed(record.topic, BufferError("too many records wait for the topic"))

    def delta(self, record: Record, *, last: bool = False) -> None:
        """Send a piece of a streaming answer, unless too many wait. The last piece is always sent."""
        if self._take_room(record, sys.maxsize if last else MAX_DELTAS):
            self._sender.put(record, self._on_delivery)
        else:
            self._hook.delta_dropped()

    async def aclose(self, *, timeout_s: float) -> None:
        """Send the remaining records and disconnect, within that time."""
        self._send_traces()
        try:
            async with asyncio.timeout(timeout_s / 2):
                await self._sender.aflush()
        except TimeoutError:
            log.warning("%d traces, replies and deltas were not sent before the end", self._sender.queued)
        await self._sender.aclose(timeout_s=timeout_s / 2)

    def _send_traces(self) -> None:
        traces, self._traces = self._traces, []
        for record in traces:
            self._sender.put(record, self._on_delivery)

    def _take_room(self, record: Record, limit: int) -> bool:
        """Whether there is room for one more record of its topic; if so, it is taken."""
        pending = self._pending.get(record.topic)
        if pending is None:
            pending = self._pending[record.topic] = _Pending()
        if pending.records >= limit or (pending.bytes >= MAX_BYTES and limit < sys.maxsize):
            return False
        pending.records += 1
        pending.bytes += record.size
        return True

    def _on_delivery(self, record: Record, error: BaseException | None) -> None:
        pending = self._pending[record.topic]
        pending.records -= 1
        pending.bytes -= record.size
        if error is not None:
            self._hook.send_failed(record.topic, error)
