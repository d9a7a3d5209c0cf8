"""What is sent besides the outcomes: traces, reply copies and deltas; never in an outcome's way."""

import asyncio
import logging
import sys
from collections.abc import Collection

from streams.publishing.queues import Item
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


class _Topic:
    """What is not settled of one topic."""

    __slots__ = ("bytes", "hook", "records")

    def __init__(self, hook: Hook) -> None:
        self.records = 0
        self.bytes = 0
        self.hook = hook


class _Copy(Item):
    """One record, and the room that it takes."""

    __slots__ = ("topic",)

    def __init__(self, record: Record, topic: _Topic) -> None:
        super().__init__(record)
        self.topic = topic
        topic.records += 1
        topic.bytes += record.size

    def settled(self, error: BaseException | None) -> None:
        topic, record = self.topic, self.record
        topic.records -= 1
        topic.bytes -= record.size
        if error is not None:
            topic.hook.send_failed(record.topic, error)


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
        self._topics: dict[str, _Topic] = {}
        self._traces: list[_Copy] = []

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
        copy = self._copy(record, MAX_TRACES)
        if copy is None:
            self._hook.send_failed(record.topic, BufferError("too many wait"))
            return
        if not self._traces:
            asyncio.get_running_loop().call_later(TRACES_S, self._send_traces)
        self._traces.append(copy)

    def reply(self, record: Record) -> None:
        """Send a copy to whoever asked for one, in order with the others of its partition."""
        copy = self._copy(record, MAX_REPLIES)
        if copy is None:
            self._hook.send_failed(record.topic, BufferError("too many wait"))
        else:
            self._sender.put(copy)

    def delta(self, record: Record, *, last: bool = False) -> None:
        """Send a piece of a streaming answer, unless too many wait; the last one always."""
        copy = self._copy(record, sys.maxsize if last else MAX_DELTAS)
        if copy is None:
            self._hook.delta_dropped()
        else:
            self._sender.put(copy)

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
        for copy in traces:
            self._sender.put(copy)

    def _copy(self, record: Record, limit: int) -> _Copy | None:
        """The record with room taken for it; None where its topic has none left."""
        topic = self._topics.get(record.topic)
        if topic is None:
            topic = self._topics[record.topic] = _Topic(self._hook)
        if topic.records >= limit or (topic.bytes >= MAX_BYTES and limit < sys.maxsize):
            return None
        return _Copy(record, topic)
