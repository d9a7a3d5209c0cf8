"""One consumer of the group from its start to its end: the thin shell around aiokafka's.

What aiokafka needs to be treated with (each of these was reproduced; see its issue tracker):

* `getmany` is never cancelled while the consumer lives: it would leave the poll counter wrong for good,
  and the consumer would not notice any more that it had stopped polling. So it is never put into a
  time-out, and where nothing is wanted it is not waited for but touched, with a partition that
  nobody has, which moves no record.
* `pause` throws away what was fetched ahead: the partitions wanted are named instead.
* Records may come before `on_partitions_assigned` has run; as only partitions that it named are
  wanted, these stay in the fetcher.
* Commits have their own traps: see `streams.consumer.commits`.
* A header's name that is not UTF-8 stops its partition: see `streams.kafka.header_names`.
* Its coordination may end, or wait for ever, and nobody hears of it: see `streams.consumer.watchdog`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.rebalance import Rebalance
from streams.consumer.work import Assigned
from streams.kafka.closing import within

log = logging.getLogger(__name__)

POLL_MS = 100
"""How long a poll waits for records of the partitions wanted, before others may have become so."""
PACE_S = 0.004
SMALL_POLL = 32
"""After a poll of fewer records the next one waits for `PACE_S`: a fetch costs as much as many records."""
TOUCH_S = 1.0
"""How often a worker that wants nothing polls all the same."""
GAPS_S = 2.0
"""Least time between two looks at where the log begins."""
RETRY_S = 0.5
SWEEP_S = 60.0
"""A tenant that had nothing for this long, once or twice, leaves its share to the others."""


class Connection:
    """Polls and commits through one consumer; can be put away and another one taken, while work goes on.

    Args:
        consumer: not started.
        add: takes records that were polled of a partition of ours, and the time.
        dispatch: called after that, and after a commit: something may start.
        failed: told of a defect that has ended it.

    Attributes:
        ended: why it does not poll any more, though nobody has closed it; else empty.
        polled_at: when a poll last returned, on the monotonic clock; 0 before the first.
        member: who the group knows us as, once it is closed without leaving; empty: as nobody.
    """

    def __init__(
        self,
        consumer: Any,
        committer: Committer,
        rebalance: Rebalance,
        *,
        topic: str,
        assignment: Assignment,
        add: Callable[[Assigned, Sequence[ConsumerRecord], float], None],
        dispatch: Callable[[], None],
        failed: Callable[[BaseException], None],
        out_of_range: Callable[[int, int, int], None],
        commit_interval_s: float,
        commit_timeout_s: float,
    ) -> None:
        self.rebalance = rebalance
        self.ended = ""
        self.polled_at = 0.0
        self.member = ""
        self._consumer = consumer
        self._committer = committer
        self._topic = topic
        self._assignment = assignment
        self._intake = assignment.intake
        self._add = add
        self._dispatch = dispatch
        self._failed = failed
        self._out_of_range = out_of_range
        self._gaps: dict[TopicPartition, int] = {}
        self._gaps_looked_at = 0.0
        self._commit_interval_s = commit_interval_s
        self._commit_timeout_s = commit_timeout_s
        self._fetching = True
        self._room = asyncio.Event()
        self._nowhere = TopicPartition(topic, -1)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Join the group, wait for what it gives us, and begin."""
        self._consumer.subscribe([self._topic], listener=self.rebalance)
        await self._consumer.start()
        self._begin()

    async def take_over(self, member: str) -> None:
        """Go on as the member that an earlier connection was, without waiting for the group.

        To the group it is a member that joins again: it keeps our partitions, or learns what became of them.
        """
        self.member = member
        await self._consumer.start()
        # aiokafka has no public way; before the subscription its coordinator does nothing.
        self._consumer._coordinator.member_id = member
        self._consumer.subscribe([self._topic], listener=self.rebalance)
        self._begin()

    def wake(self) -> None:
        """There may be room for more records."""
        self._room.set()

    def position(self, number: int) -> int:
        """The offset of a partition that is read next; -1 where that is not known."""
        subscription = self._consumer._subscription.subscription
        partition = TopicPartition(self._topic, number)
        if subscription is None or partition not in self._consumer.assignment():
            return -1
        state = subscription.assignment.state_value(partition)
        return int(state.position) if state.has_valid_position else -1

    def stop_fetching(self) -> None:
        """Take no record any more; polls go on, so that the group keeps us."""
        self._fetching = False
        self._room.set()

    async def aclose(self, timeout_s: float) -> None:
        """Commit what is done, leave the group. Takes `timeout_s` at most, whatever the broker does."""
        await self._end_tasks()
        if self._consumer._coordinator is not None:
            await self._committer.acommit(timeout_s / 2)
        await self._stop(timeout_s / 2)

    async def put_away(self, timeout_s: float) -> None:
        """End without leaving the group: `member` stays with it, for another to take over. As above."""
        await self._end_tasks()
        coordinator = self._consumer._coordinator
        if coordinator is not None and coordinator.member_id:
            self.member = coordinator.member_id
            coordinator.generation = -1  # else it would leave
        await self._stop(timeout_s)

    async def _stop(self, timeout_s: float) -> None:
        consumer = self._consumer
        if await within(timeout_s / 2, consumer.stop()):
            return
        # It hangs at the first of its parts that does not end: the others must not go on behind us.
        coordinator, fetcher = consumer._coordinator, consumer._fetcher
        if coordinator is not None:
            for task in (coordinator._coordination_task, coordinator._heartbeat_task):
                if task is not None:
                    task.cancel()
        if fetcher is not None:
            await within(timeout_s / 4, fetcher.close())
        await within(timeout_s / 4, consumer._client.close())

    async def _end_tasks(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.rebalance.aclose()

    def _begin(self) -> None:
        self._tasks = [
            asyncio.create_task(self._poll(), name="poll"),
            asyncio.create_task(self._commit_regularly(), name="commit"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        if task not in self._tasks:
            return
        # Where aiokafka's coordination was cancelled, a poll is too.
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, KafkaError):
            self.ended = f"its {task.get_name()} has ended: {error!r}"
        else:
            self._failed(error)

    async def _poll(self) -> None:
        assignment, intake, consumer = self._assignment, self._intake, self._consumer
        while True:
            epoch = assignment.epoch
            hungry = intake.hungry if self._fetching and not assignment.held else ()
            wanted = [TopicPartition(self._topic, number) for number in hungry]
            try:
                if wanted:
                    records = await consumer.getmany(*wanted, timeout_ms=POLL_MS, max_records=intake.room)
                    if 0 < self._take_in(records, epoch) < SMALL_POLL:
                        await asyncio.sleep(PACE_S)
                    if self._gaps and time.monotonic() > self._gaps_looked_at + GAPS_S:
                        await self._look_at_gaps()
                else:
                    await consumer.getmany(self._nowhere, timeout_ms=0)
                    await self._wait_for_room()
            except KafkaError as error:
                # One that was raised while records were read has lost some of them to the consumer's
                # position: going on with it would skip them. None of those is retriable.
                if not error.retriable:
                    raise
                log.warning("polling failed and is repeated: %r", error)
                await asyncio.sleep(RETRY_S)
            self.polled_at = time.monotonic()

    async def _wait_for_room(self) -> None:
        self._room.clear()
        if self._intake.hungry and self._fetching and not self._assignment.held:
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
                    self.rebalance.seek(assigned)
                continue
            count += len(records)
            expected = assigned.resume
            if expected is not None and records[0].offset > expected:
                self._gaps.setdefault(topic_partition, expected)
            self._add(assigned, records, now)
        if count:
            self._dispatch()
        return count

    async def _look_at_gaps(self) -> None:
        """Tell of records that were gone before they were read: aiokafka goes on behind them in silence.

        Most gaps are the marks of transactions, and lie within the log.
        """
        self._gaps_looked_at = time.monotonic()
        gaps, self._gaps = self._gaps, {}
        begins = await self._consumer.beginning_offsets(list(gaps))
        for partition, expected in gaps.items():
            if begins[partition] > expected:
                self._out_of_range(partition.partition, expected, begins[partition])

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
