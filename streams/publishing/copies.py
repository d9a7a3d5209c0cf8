"""What is sent besides the outcomes: traces, reply copies and deltas; never in an outcome's way."""

import asyncio
import logging
from collections.abc import Callable, Collection

from streams.publishing.records import Record
from streams.publishing.sending import Sender
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

MAX_DELTAS = 2_000
MAX_TRACES = 20_000
"""Records that may wait for a slow broker before deltas, and then traces, are dropped and told of."""
TRACES_S = 0.1
"""How long traces are gathered: a batch costs as much as many records, and nobody waits for a trace."""


class Copies:
    """Sends each record once; whether that worked is told to the hook.

    Args:
        sender: one of its own, whose producer is not idempotent: a record that the broker refuses (a
            reply topic with a small limit, say) fails alone.
        reply_topics: where replies may go; a missing one costs only its own replies.
    """

    def __init__(self, sender: Sender, *, reply_topics: Collection[str], hook: Hook) -> None:
        self._sender = sender
        self._reply_topics = reply_topics
        self._hook = hook
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
        if len(self._traces) + self._sender.queued >= MAX_TRACES:
            self._hook.send_failed(record.topic, BufferError("too many wait"))
            return
        if not self._traces:
            asyncio.get_running_loop().call_later(TRACES_S, self._send_traces)
        self._traces.append(record)

    def reply(self, record: Record, done: Callable[[], None]) -> None:
        """Send a copy to whoever asked for one; `done` is called once it is acked or has failed."""

        def settled(record: Record, error: BaseException | None) -> None:
            self._settled(record, error)
            done()

        self._sender.put(record, settled)

    def delta(self, record: Record, *, last: bool = False) -> None:
        """Send a piece of a streaming answer, unless too many wait; the last one always."""
        if last or self._sender.queued < MAX_DELTAS:
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

    def _settled(self, record: Record, error: BaseException | None) -> None:
        if error is None:
            self._hook.record_sent(record.topic, record.size)
        else:
            self._hook.send_failed(record.topic, error)
