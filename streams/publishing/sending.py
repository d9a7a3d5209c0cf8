"""The one coroutine that sends: records are queued by partition and leave in batches of their own.

Thousands of tasks that await `producer.send` at once cost quadratically (whenever a batch is full, all
are woken and all but one go back to sleep), and even one after the other each costs a future and a turn
of the event loop. Here a batch has one future, and a partition whose leader is away holds up no other.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner

from streams.publishing.gate import Fenced, Gate
from streams.publishing.records import Record

log = logging.getLogger(__name__)

PACE_S = 0.004
"""Least time between two rounds of sending under load: a request costs as much as many records. The
first record after a pause leaves at once."""
CROWD = 256
"""So many records queued are sent without waiting for the pace."""
BACKOFF_S = (0.1, 0.5, 2.0, 5.0)
CLOSE_S = 3.0
LOOK_S = 1.0
"""Least time between two looks for a topic that is not there."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

Settled = Callable[[Record, BaseException | None], None]
"""Told of a record once: None when the broker has it, else why it has not. Called in a turn of its own."""
_Place = tuple[str, int]
_partition_of = DefaultPartitioner()


class _Item:
    __slots__ = ("alone", "gate", "record", "settled")

    def __init__(self, record: Record, settled: Settled, gate: Gate | None) -> None:
        self.record = record
        self.settled = settled
        self.gate = gate
        self.alone = False
        """It was in a batch that was refused for its size: which record was too large, shows alone."""


class Sender:
    """Owns a producer.

    Args:
        open_producer: makes a producer that is not started.
        topics: looked up before the first record; they must be there.
        rebuild: replace the producer after a failure. An idempotent one needs it: it has then counted
            records that the broker has not, and would be refused for ever.
    """

    def __init__(
        self, *, open_producer: Callable[[], AIOKafkaProducer], topics: Collection[str], rebuild: bool
    ) -> None:
        self._open_producer = open_producer
        self._topics = topics
        self._rebuilds = rebuild
        self._producer: Any = None
        self._counts: dict[str, int] = {}
        self._queues: dict[_Place, deque[_Item]] = {}
        self._ready: set[_Place] = set()
        self._flying: dict[_Place, list[_Item]] = {}
        self._ends: dict[_Place, int] = {}
        self._looked = 0.0
        self._broken = False
        self._queued = 0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """Records that have not left."""
        return self._queued

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker, or a topic is missing.
        """
        await self._open()
        self._task = asyncio.create_task(self._run(), name="send")

    async def failed(self) -> None:
        """Returns never, but raises what ended the sending: a defect."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def expect(self, topic: str) -> None:
        """Look the topic up in the background, so that its partitions are known when it is needed."""
        self._producer.client.add_topic(topic)

    def end(self, topic: str, partition: int) -> int:
        """One above the highest offset that was acknowledged there; 0 before any was."""
        return self._ends.get((topic, partition), 0)

    def put(self, record: Record, settled: Settled, gate: Gate | None = None) -> None:
        """Send it, in order with the others of its partition.

        Where its gate is not open when it would leave, it is settled with `Fenced` instead.
        """
        try:
            place = record.topic, self._partition(record)
        except UnknownTopicOrPartitionError as error:
            asyncio.get_running_loop().call_soon(settled, record, error)
            return
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = deque()
        queue.append(_Item(record, settled, gate))
        self._queued += 1
        if place not in self._flying:
            self._ready.add(place)
            self._work.set()

    async def areachable(self, timeout_s: float) -> bool:
        """Whether a broker answers within that time."""
        try:
            async with asyncio.timeout(timeout_s):
                return bool(await self._producer.client.force_metadata_update())
        except (KafkaError, TimeoutError):
            return False

    async def aflush(self) -> None:
        """Returns once every record is settled."""
        while self._queued or self._flying:
            self._idle.clear()
            await self._idle.wait()

    async def aclose(self, *, timeout_s: float) -> None:
        """Disconnect, within that time; what has not left stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._producer is not None:
            await _aclose(self._producer, timeout_s)

    async def _open(self) -> None:
        self._producer = self._open_producer()
        await self._producer.start()
        self._producer.client.cluster.add_listener(lambda _: self._counts.clear())
        for topic in self._topics:
            await self._producer.partitions_for(topic)

    def _partition(self, record: Record) -> int:
        count = self._counts.get(record.topic)
        if count is None:
            count = len(self._producer.client.cluster.partitions_for_topic(record.topic) or ())
            if not count:
                self._look_again()
                raise UnknownTopicOrPartitionError(f"{record.topic} is not there")
            self._counts[record.topic] = count
        partition = record.partition
        if partition is None:
            partition = _partition_of(record.key, range(count), range(count))
        elif partition >= count:
            if record.exact:
                raise UnknownTopicOrPartitionError(f"{record.topic} has no partition {partition}")
            partition %= count
        return int(partition)

    def _look_again(self) -> None:
        now = asyncio.get_running_loop().time()
        if now > self._looked + LOOK_S:
            self._looked = now
            self._producer.client.force_metadata_update()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._work.wait()
            if self._broken:
                await self._rebuild()
            wait = due - loop.time()
            if wait > 0 and self._queued < CROWD:
                await asyncio.sleep(wait)
            due = loop.time() + PACE_S
            self._work.clear()
            ready, self._ready = self._ready, set()
            for place in ready:
                # What came while an earlier place was waited for has made this one ready twice.
                if place not in self._flying and self._queues[place]:
                    await self._send_batch(place)

    async def _send_batch(self, place: _Place) -> None:
        batch = self._producer.create_batch()
        items: list[_Item] = []
        queue = self._queues[place]
        while queue and not (items and (queue[0].alone or items[-1].alone)):
            gate = queue[0].gate
            if gate is not None and not gate.open:
                self._fence(queue.popleft())
                continue
            record = queue[0].record
            if not batch.append(key=record.key, value=record.value, headers=record.headers, timestamp=None):
                break
            items.append(queue.popleft())
        if not items:
            self._tell_idle()
            return
        for item in items:
            if item.gate is not None:
                item.gate.left(1)
        batch.close()
        self._queued -= len(items)
        self._flying[place] = items
        try:
            sent = await self._producer.send_batch(batch, place[0], partition=place[1])
        except Exception as error:  # noqa: BLE001 - a dead producer raises what killed it
            self._settle(place, items, error)
        else:
            sent.add_done_callback(lambda sent: self._acknowledged(place, items, sent))

    def _fence(self, item: _Item) -> None:
        self._queued -= 1
        asyncio.get_running_loop().call_soon(item.settled, item.record, Fenced())

    def _acknowledged(self, place: _Place, items: list[_Item], sent: "asyncio.Future[Any]") -> None:
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is None:
            self._ends[place] = max(self._ends.get(place, 0), sent.result().offset + len(items))
        self._settle(place, items, error)

    def _settle(self, place: _Place, items: list[_Item], error: BaseException | None) -> None:
        if self._flying.get(place) is not items:
            return  # settled when the producer was replaced
        del self._flying[place]
        for item in items:
            if item.gate is not None:
                item.gate.settled()
        if error is not None:
            if self._rebuilds:
                self._broken = True
                self._work.set()
            if isinstance(error, TOO_LARGE) and len(items) > 1:
                for item in items:
                    item.alone = True
                self._queues[place].extendleft(reversed(items))
                self._queued += len(items)
                items = []
        if self._queues[place]:
            self._ready.add(place)
            self._work.set()
        for item in items:
            try:
                item.settled(item.record, error)
            except Exception:
                log.exception("whoever sent a record to %s failed at its result", place[0])
        self._tell_idle()

    def _tell_idle(self) -> None:
        if not self._queued and not self._flying:
            self._idle.set()

    async def _rebuild(self) -> None:
        log.warning("the producer is rebuilt: a record was refused or its connection lost its order")
        await _aclose(self._producer, CLOSE_S)
        attempt = 0
        while True:
            try:
                await self._open()
                break
            except KafkaError as error:
                delay = BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
                attempt += 1
                log.warning("the producer was not rebuilt, repeated in %.1f s: %r", delay, error)
                await _aclose(self._producer, CLOSE_S)
                await asyncio.sleep(delay)
        for place, items in list(self._flying.items()):
            self._settle(place, items, ProducerClosed())
        self._broken = False


async def _aclose(producer: Any, timeout_s: float) -> None:
    """Stop it within the time given: with the broker away, `stop` would wait for ever."""
    stopping = asyncio.create_task(producer.stop())
    await asyncio.wait({stopping}, timeout=timeout_s)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=timeout_s)
        await producer.client.close()
    if stopping.done() and not stopping.cancelled():
        stopping.exception()  # whom it concerns has been told, record by record
