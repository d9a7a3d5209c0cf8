"""What is sent besides the outcomes: traces, reply copies and deltas; never in an outcome's way.

They have a producer of their own, which is not idempotent: a record that the broker refuses (a reply
topic with a small limit, say) fails alone, where an idempotent producer would be stuck afterwards.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from streams.publishing.records import Record
from streams.publishing.sending import Sent, aclose_producer, asend, place
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

MAX_DELTAS = 2_000
MAX_TRACES = 20_000
"""What may wait for a slow broker; beyond it records are dropped, and told of."""
BURST = 64


class Copies:
    """Sends once, in order; whether it worked is told to the hook.

    Args:
        open_producer: makes a producer that is not started and not idempotent.
        topics: ours, where traces and deltas go.
        reply_topics: where replies may go. All are looked up at the start, before one is needed; of
            these, one may be missing.
    """

    def __init__(
        self,
        *,
        open_producer: Callable[[], AIOKafkaProducer],
        topics: Collection[str],
        reply_topics: Collection[str],
        hook: Hook,
    ) -> None:
        self._open_producer = open_producer
        self._topics = topics
        self._reply_topics = reply_topics
        self._hook = hook
        self._producer: Any = None
        self._records: deque[tuple[Record, Callable[[], None] | None]] = deque()
        self._deltas: deque[Record] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker.
        """
        self._producer = self._open_producer()
        await self._producer.start()
        for topic in self._topics:
            await self._producer.partitions_for(topic)
        for topic in self._reply_topics:
            self._producer.client.add_topic(topic)
        self._task = asyncio.create_task(self._run(), name="publish-copies")

    async def failed(self) -> None:
        """Returns never, but raises what ended the sending."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def trace(self, record: Record) -> None:
        """Send a question's trace."""
        if len(self._records) >= MAX_TRACES:
            self._hook.send_failed(record.topic, KafkaTimeoutError())
            return
        self._records.append((record, None))
        self._work.set()

    def reply(self, record: Record, settled: Callable[[], None]) -> None:
        """Send a copy to whoever asked for one; `settled` is called once it is acked or has failed."""
        self._records.append((record, settled))
        self._work.set()

    def delta(self, record: Record, *, last: bool = False) -> None:
        """Send a piece of a streaming answer, unless too many wait; the last one always."""
        if len(self._deltas) >= MAX_DELTAS and not last:
            self._hook.delta_dropped()
            return
        self._deltas.append(record)
        self._work.set()

    async def aclose(self, *, timeout_s: float) -> None:
        """Send what is left and disconnect, within that time."""
        if self._task is not None:
            try:
                async with asyncio.timeout(timeout_s / 2):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("%d traces and replies were not sent", len(self._records))
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._producer is not None:
            await aclose_producer(self._producer, timeout_s / 2)

    async def _run(self) -> None:
        sent = 0
        while True:
            if self._records:
                record, settled = self._records.popleft()
                fold = settled is None
            elif self._deltas:
                record, settled, fold = self._deltas.popleft(), None, True
            else:
                self._work.clear()
                self._idle.set()
                await self._work.wait()
                self._idle.clear()
                continue
            await self._send(record, settled, fold)
            sent += 1
            if not sent % BURST:
                await asyncio.sleep(0)

    async def _send(self, record: Record, settled: Callable[[], None] | None, fold: bool) -> None:
        try:
            place(self._producer, record, fold=fold)
            sent = await asend(self._producer, record)
        except Exception as error:  # noqa: BLE001 - one record must not stop the others
            self._hook.send_failed(record.topic, error)
            if settled is not None:
                settled()
        else:
            sent.add_done_callback(lambda sent: self._settled(record, settled, sent))

    def _settled(self, record: Record, settled: Callable[[], None] | None, sent: Sent) -> None:
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is None:
            self._hook.record_sent(record.topic, record.size)
        else:
            self._hook.send_failed(record.topic, error)
        if settled is not None:
            settled()
