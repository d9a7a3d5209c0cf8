"""What is sent besides the outcomes: traces, reply copies and deltas; never in an outcome's way."""

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
"""Records of one topic that may wait for a slow broker before deltas, traces and replies are dropped and
told of."""
MAX_BYTES = 32 * 1_048_576
"""The same in bytes."""
TRACES_S = 0.1
"""How long traces are gathered: a batch costs as much as many records, and nobody waits for a trace."""
PATIENCE_S = 5.0
"""How long a topic may be without a leader before what goes there is dropped and told of."""


class _Waiting:
    """What is not settled of one topic."""

    __slots__ = ("bytes", "records")

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0


class Copies:
    """Sends each record once; whether that worked is told to the hook.

    What one topic does not take costs no other one its room.

    Args:
        sender: one of its own, whose producer is not idempotent: a record that the broker refuses (a
            reply topic with a small limit, say) fails alone. Its patience is bounded.
        reply_topics: where replies may go; a missing one costs only its own replies.
    """

    def __init__(self, sender: Sender, *, reply_topics: Collection[str], hook: Hook) -> None:
        self._sender = sender
        self._reply_topics = reply_topics
        self._hook = hook
        self._waiting: dict[str, _Waiting] = {}
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
        """Returns never, but raises what ended the sending."""
        await self._sender.failed()

    def trace(self, record: Record) -> None:
        """Send a question's trace, together with others."""
        if not self._take(record, MAX_TRACES):
            self._hook.send_failed(record.topic, BufferError("too many wait"))
            return
        if not self._traces:
            asyncio.get_running_loop().call_later(TRACES_S, self._send_traces)
        self._traces.append(record)

    def reply(self, record: Record) -> None:
        """Send a copy to whoever asked for one, in order with the others of its partition."""
        if self._take(record, MAX_REPLIES):
            self._sender.put(record, self._settled)
        else:
            self._hook.send_failed(record.topic, BufferError("too many wait"))

    def delta(self, record: Record, *, last: bool = False) -> None:
        """Send a piece of a streaming answer, unless too many wait; the last one always."""
        if self._take(record, sys.maxsize if last else MAX_DELTAS):
            self._sender.put(record, self._settled)
        else:
            self._hook.delta_dropped()

    async def aclose(self, *, timeout_s: float) -> None:
        """Send what is left and disconnect, within that time."""
        self._send_traces()
        try:
            async with asyncio.timeout(timeout_s / 2):
                await self._sender.aflush()
        except TimeoutError:
            log.warning("%d traces, replies and deltas were not sent", self._sender.queued)
        await self._sender.aclose(timeout_s=timeout_s / 2)

    def _send_traces(self) -> None:
        traces, self._traces = self._traces, []
        for record in traces:
            self._sender.put(record, self._settled)

    def _take(self, record: Record, limit: int) -> bool:
        """Whether there is room for one more of its topic, which is taken."""
        waiting = self._waiting.get(record.topic)
        if waiting is None:
            waiting = self._waiting[record.topic] = _Waiting()
        if waiting.records >= limit or (waiting.bytes >= MAX_BYTES and limit < sys.maxsize):
            return False
        waiting.records += 1
        waiting.bytes += record.size
        return True

    def _settled(self, record: Record, error: BaseException | None) -> None:
        waiting = self._waiting[record.topic]
        waiting.records -= 1
        waiting.bytes -= record.size
        if error is not None:
            self._hook.send_failed(record.topic, error)
