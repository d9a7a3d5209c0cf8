"""The one coroutine that sends: records are queued by partition and leave in one batch a partition.

Thousands of tasks that await `producer.send` at once cost quadratically: whenever a batch is full, all of
them wake up and all but one go back to sleep. Even one after the other, each costs a future and a turn of
the event loop. Here a whole batch has one future.

No place delays another: a batch is handed over only if the producer takes it without waiting. Records of a
partition without a leader, or of a deleted topic, wait here.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)

from streams.publishing.gate import Fenced, Gate
from streams.publishing.producer import LOOK_S, ProducerConnection
from streams.publishing.queues import Destination, Queues
from streams.publishing.records import OnDelivery, Record
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

PACE_S = 0.008
"""Least time between two rounds of sending under load. A request costs as much as many records: with 4 ms, a
question of 100 users cost a quarter more. The first record after a pause leaves at once."""
CROWD = 256
"""With so many queued records, the next round starts at once."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Sender:
    """Owns a producer and queues records for it.

    Args:
        open_producer: makes a producer that is not started.
        topics: looked up before the first record; they must exist.
        rebuild: replace the producer after a failure. An idempotent one needs that: it has then counted
            records that the broker has not, and the broker would refuse all that follow.
        hook: told of every acknowledged batch.
        patience_s: how long a partition may be without a leader before its records fail; None: for ever.
        prepare: called with each record before it is queued.
    """

    def __init__(
        self,
        *,
        open_producer: Callable[[], AIOKafkaProducer],
        topics: Collection[str],
        rebuild: bool,
        hook: Hook,
        patience_s: float | None = None,
        prepare: Callable[[Record], None] | None = None,
    ) -> None:
        self._connection = ProducerConnection(open_producer, topics, self._retry_leaderless)
        self._rebuilds = rebuild
        self._hook = hook
        self._patience_s = patience_s
        self._prepare = prepare
        self._leaderless: dict[Destination, float] = {}
        self._looking: asyncio.TimerHandle | None = None
        self._queues = Queues()
        self._ends: dict[Destination, int] = {}
        self._broken = False
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """How many records have not left."""
        return self._queues.queued

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker, or a topic is missing.
        """
        await self._connection.open()
        self._task = asyncio.create_task(self._run(), name="send")

    async def failed(self) -> None:
        """Raise the error that ends the sending, which is a defect; never return."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def expect(self, topic: str) -> None:
        """Look the topic up in the background, so that its partitions are known when it is needed."""
        self._connection.producer.client.add_topic(topic)

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has; 0: it is not known yet, or not there."""
        return self._connection.partitions(topic)

    def end(self, topic: str, partition: int) -> int:
        """Return the highest acknowledged offset of a partition plus one; 0 before the first."""
        return self._ends.get((topic, partition), 0)

    def put(self, record: Record, on_delivery: OnDelivery, gate: Gate | None = None) -> None:
        """Queue a record, in order with the others of its partition, and call `on_delivery` once.

        If its gate is not open when it would leave, it is not sent, and the error is `Fenced`.
        """
        record.on_delivery = on_delivery
        record.gate = gate
        record.alone = False
        if self._prepare is not None:
            self._prepare(record)
        try:
            place = record.topic, self._connection.partition(record)
        except UnknownTopicOrPartitionError as error:
            asyncio.get_running_loop().call_soon(on_delivery, record, error)
            return
        if self._queues.add(place, record):
            self._work.set()

    async def areachable(self, timeout_s: float) -> bool:
        """Whether a broker answers within that time."""
        return await self._connection.areachable(timeout_s)

    async def aflush(self) -> None:
        """Return once every record was delivered or has failed."""
        while not self._queues.idle:
            self._idle.clear()
            await self._idle.wait()

    async def aclose(self, *, timeout_s: float) -> None:
        """Disconnect, within that time. Queued records are not sent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._looking is not None:
            self._looking.cancel()
        await self._connection.aclose(timeout_s)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._work.wait()
            if self._broken:
                await self._replace_producer()
            wait = due - loop.time()
            if wait > 0 and self._queues.queued < CROWD:
                await asyncio.sleep(wait)
            due = loop.time() + PACE_S
            self._work.clear()
            for place in self._queues.ready():
                if self._connection.leads(*place):
                    self._leaderless.pop(place, None)
                    await self._send_batch(place)
                else:
                    self._await_leader(place)

    async def _send_batch(self, place: Destination) -> None:
        producer = self._connection.producer
        batch = producer.create_batch()
        records, fenced = self._queues.depart(place, batch)
        self._report_fenced(fenced)
        if not records:
            self._wake_flushers()
            return
        batch.close()
        try:
            sent = await producer.send_batch(batch, place[0], partition=place[1])
        except Exception as error:  # noqa: BLE001 - a dead producer raises any error
            self._finish_batch(place, records, error)
        else:
            sent.add_done_callback(lambda sent: self._batch_done(place, records, sent))

    def _await_leader(self, place: Destination) -> None:
        """Keep the records of a place until it has a leader."""
        loop = asyncio.get_running_loop()
        self._leaderless.setdefault(place, loop.time())
        self._connection.look()
        if self._looking is None:
            self._looking = loop.call_later(LOOK_S, self._check_leaderless)

    def _check_leaderless(self) -> None:
        """Go through the records that wait for a leader. Only every `LOOK_S`: there may be many."""
        self._looking = None
        now = asyncio.get_running_loop().time()
        for place, since in list(self._leaderless.items()):
            self._report_fenced(self._queues.shut(place))
            impatient = self._patience_s is not None and now >= since + self._patience_s
            given_up: list[Record] = []
            if impatient and not self._connection.leads(*place):
                given_up = self._queues.give_up(place)
            if not self._queues.waits(place):
                # The next record has its own patience: there may be a leader by then.
                del self._leaderless[place]
            self._report(place, given_up, LeaderNotAvailableError(f"{place[0]}/{place[1]} has no leader"))
        self._wake_flushers()
        self._retry_leaderless()

    def _retry_leaderless(self) -> None:
        for place in self._leaderless:
            if self._queues.more(place):
                self._work.set()

    def _report_fenced(self, records: list[Record]) -> None:
        for record in records:
            asyncio.get_running_loop().call_soon(record.on_delivery, record, Fenced())

    def _batch_done(self, place: Destination, records: list[Record], sent: "asyncio.Future[Any]") -> None:
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is None:
            end, first = self._ends.get(place, 0), sent.result().offset
            self._ends[place] = max(end, first + len(records))
            # A broker that had the batch already may not say where (-1). It came after all before it.
            for number, record in enumerate(records):
                record.position = end if first < 0 else first + number
            self._hook.records_sent(place[0], len(records), sum([record.size for record in records]))
        self._finish_batch(place, records, error)

    def _finish_batch(self, place: Destination, records: list[Record], error: BaseException | None) -> None:
        if not self._queues.arrive(place, records):
            return  # reported when the producer was replaced
        if error is not None:
            if self._rebuilds:
                self._broken = True
                self._work.set()
            if isinstance(error, TOO_LARGE) and len(records) > 1:
                self._queues.separate(place, records)
                records = []
        if self._queues.more(place):
            self._work.set()
        self._report(place, records, error)
        self._wake_flushers()

    def _report(self, place: Destination, records: list[Record], error: BaseException | None) -> None:
        for record in records:
            on_delivery = record.on_delivery
            # The callback holds the record, too: only the garbage collector would free them.
            del record.on_delivery
            try:
                on_delivery(record, error)
            except Exception:
                log.exception("the delivery callback of a record for %s failed", place[0])

    def _wake_flushers(self) -> None:
        if self._queues.idle:
            self._idle.set()

    async def _replace_producer(self) -> None:
        await self._connection.replace()
        for place, records in self._queues.flying:
            self._finish_batch(place, records, ProducerClosed())
        self._broken = False
