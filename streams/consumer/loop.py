"""The thin shell around aiokafka's consumer: polls, hands records out by their lanes, commits.

What aiokafka needs to be treated with (each of these was reproduced; see its issue tracker):

* `getmany` is never cancelled while the worker lives: it would leave the poll counter wrong for good,
  and the consumer would not notice any more that it had stopped polling. So it is never put into a
  time-out, and where nothing is wanted it is not waited for but touched, with a partition that
  nobody has, which moves no record.
* `pause` throws away what was fetched ahead: the partitions wanted are named instead.
* Records may come before `on_partitions_assigned` has run; as only partitions that it named are
  wanted, these stay in the fetcher.
* Commits have their own traps: see `streams.consumer.commits`.
* A header's name that is not UTF-8 stops its partition: see `streams.consumer.header_names`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.intake import Intake
from streams.consumer.rebalance import Rebalance, Recover
from streams.consumer.work import Assigned, Handler, Work
from streams.publishing.gate import Gate
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

_NOT_OURS = Gate()
_NOT_OURS.lose()

POLL_MS = 100
"""How long a poll waits for records of the partitions wanted, before others may have become so."""
PACE_S = 0.004
SMALL_POLL = 32
"""After a poll of fewer records the next one waits for `PACE_S`: a fetch costs as much as many records."""
TOUCH_S = 1.0
"""How often a worker that wants nothing polls all the same."""
RETRY_S = 0.5
BURST = 128
"""Records started in one turn of the event loop: others have theirs in between."""
SWEEP_S = 60.0
"""A tenant that had nothing for this long, once or twice, leaves its share to the others."""


class ConsumerLoop:
    """Runs every record of one topic that the group gives us, each lane in order.

    Args:
        open_consumer: makes a consumer that is not started, of a group, without auto-commit.
        commit_timeout_s: how long a commit may hang before it counts as failed.
    """

    def __init__(
        self,
        *,
        topic: str,
        open_consumer: Callable[[], AIOKafkaConsumer],
        recover: Recover,
        handler: Handler,
        intake: Intake,
        hook: Hook,
        end_of_answers: Callable[[int], int] = lambda _: 0,
        commit_interval_s: float = 1.0,
        commit_timeout_s: float = 5.0,
    ) -> None:
        self._topic = topic
        self._open_consumer = open_consumer
        self._recover = recover
        self._handler = handler
        self._intake = intake
        self._assignment = Assignment(intake, end_of_answers)
        self._hook = hook
        self._commit_interval_s = commit_interval_s
        self._commit_timeout_s = commit_timeout_s
        self._consumer: Any = None
        self._committer: Any = None
        self._rebalance: Any = None
        self._stopping = False
        self._dispatching = False
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._nowhere = TopicPartition(topic, -1)

    def gate_of(self, number: int) -> Gate:
        """What is passed by all that is written of a partition; a lost one where it is not ours."""
        assigned = self._assignment.partitions.get(number)
        return _NOT_OURS if assigned is None else assigned.gate

    @property
    def joined(self) -> bool:
        """Whether the group has given us our partitions, were they none, and all are recovered."""
        return self._rebalance is not None and self._rebalance.joined and self._assignment.recovered

    @property
    def in_flight(self) -> int:
        """Questions being answered or waiting for the broker's acknowledgement."""
        return self._intake.in_flight

    @property
    def incomplete(self) -> int:
        """Records polled that have no outcome yet, those that wait for their turn included."""
        return sum(assigned.tracker.incomplete_count for assigned in self._assignment.partitions.values())

    @property
    def oldest_age_s(self) -> float:
        """Seconds since the oldest of them was polled; 0 with none."""
        now = time.monotonic()
        return max(
            (assigned.tracker.oldest_age(now) for assigned in self._assignment.partitions.values()),
            default=0.0,
        )

    def state(self) -> dict[str, Any]:
        """What `/state` shows."""
        now = time.monotonic()
        return {
            "in_flight": self._intake.in_flight,
            "buffered": self._intake.buffered,
            "buffered_bytes": self._intake.buffered_bytes,
            "lanes": len(self._assignment.lanes),
            "partitions": {
                str(number): {
                    "epoch": assigned.tracker.epoch,
                    "recovered": assigned.ready,
                    "commit_point": assigned.tracker.commit_point,
                    "committed": assigned.committed,
                    "incomplete": assigned.tracker.incomplete_count,
                    "oldest_age_s": round(assigned.tracker.oldest_age(now), 3),
                }
                for number, assigned in sorted(self._assignment.partitions.items())
            },
        }

    async def start(self) -> None:
        """Join the group and begin."""
        self._consumer = self._open_consumer()
        self._committer = Committer(self._consumer, self._topic, self._assignment, self._hook)
        self._rebalance = Rebalance(
            consumer=self._consumer,
            topic=self._topic,
            assignment=self._assignment,
            committer=self._committer,
            recover=self._recover,
            handler=self._handler,
            wake=self._wake,
            hook=self._hook,
            timeout_s=self._commit_timeout_s,
        )
        self._consumer.subscribe([self._topic], listener=self._rebalance)
        await self._consumer.start()
        self._tasks = [
            asyncio.create_task(self._poll(), name="poll"),
            asyncio.create_task(self._commit_regularly(), name="commit"),
        ]

    async def failed(self) -> None:
        """Returns never, but raises what ended the loop."""
        await asyncio.gather(*[asyncio.shield(task) for task in self._tasks])

    def stop_fetching(self) -> None:
        """Start nothing any more; what waits in memory is left to whoever reads it next."""
        self._stopping = True
        self._room.set()
        if not self._intake.in_flight:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Returns once nothing is in flight, after `stop_fetching`."""
        await self._idle.wait()

    async def aclose(self, *, timeout_s: float) -> None:
        """Commit what is done, leave the group. Takes `timeout_s` at most, whatever the broker does."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._consumer is None:
            return
        await self._rebalance.aclose()
        await self._committer.acommit(timeout_s / 2)
        stopping = asyncio.create_task(self._consumer.stop())
        # Without a broker, `stop` hangs or raises CancelledError: neither may reach us.
        await asyncio.wait({stopping}, timeout=timeout_s / 2)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            epoch = self._assignment.epoch
            hungry = () if self._stopping or self._assignment.held else self._intake.hungry
            wanted = [TopicPartition(self._topic, number) for number in hungry]
            try:
                if wanted:
                    records = await self._consumer.getmany(
                        *wanted, timeout_ms=POLL_MS, max_records=self._intake.room
                    )
                    if 0 < self._take_in(records, epoch) < SMALL_POLL:
                        await asyncio.sleep(PACE_S)
                else:
                    await self._consumer.getmany(self._nowhere, timeout_ms=0)
                    await self._wait_for_room()
            except KafkaError as error:
                # One that was raised while records were read has lost some of them to the consumer's
                # position: going on would skip them. None of those is retriable.
                if not error.retriable:
                    raise
                log.warning("polling failed and is repeated: %r", error)
                await asyncio.sleep(RETRY_S)

    async def _wait_for_room(self) -> None:
        self._room.clear()
        if self._intake.hungry and not self._stopping and not self._assignment.held:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOUCH_S):
                await self._room.wait()

    def _take_in(self, batches: Mapping[TopicPartition, list[ConsumerRecord]], epoch: int) -> int:
        """Returns how many records there were."""
        now = time.monotonic()
        count = 0
        for topic_partition, records in batches.items():
            assigned = self._assignment.partitions.get(topic_partition.partition)
            if assigned is None or not assigned.ready or epoch != self._assignment.epoch:
                # Polled across a rebalance; if it is ours, it is read from where we are.
                if assigned is not None:
                    self._rebalance.seek(assigned)
                continue
            count += len(records)
            for record in records:
                self._add(assigned, record, now)
        if count:
            self._hook.records_fetched(count)
            self._dispatch()
        return count

    def _add(self, assigned: Assigned, record: ConsumerRecord, now: float) -> None:
        size = len(record.value or b"") + len(record.key or b"")
        for _, value in record.headers:
            size += len(value or b"")
        work = Work(record, assigned, size)
        self._handler.prepare(work)
        self._assignment.take_in(work, now)

    def _wake(self) -> None:
        self._room.set()
        self._dispatch()

    def _dispatch(self) -> None:
        for _ in range(BURST):
            if self._stopping or (taken := self._assignment.take()) is None:
                return
            work, hungry = taken
            if hungry:
                self._room.set()
            self._handler.start(work, self._finished)
        if not self._dispatching:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._dispatching = False
        self._dispatch()

    def _finished(self, work: Work) -> None:
        self._assignment.finish(work)
        if not self._stopping:
            self._dispatch()
        elif not self._intake.in_flight:
            self._idle.set()

    async def _commit_regularly(self) -> None:
        swept = time.monotonic()
        while True:
            await asyncio.sleep(self._commit_interval_s)
            if time.monotonic() > swept + SWEEP_S:
                swept = time.monotonic()
                self._assignment.lanes.sweep()
            if not self._assignment.held:
                await self._committer.acommit(self._commit_timeout_s)
                self._dispatch()
