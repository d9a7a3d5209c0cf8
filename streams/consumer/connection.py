"""One consumer of the group from its start to its end: the thin shell around aiokafka's.

How aiokafka has to be used (each of these was reproduced; see its issue tracker):

* `getmany` is never cancelled while the consumer lives: it would leave the poll counter wrong for good,
  and the consumer would not notice any more that it had stopped polling. So it is never put into a
  time-out, and where nothing is wanted it is not waited for but touched, with a partition that
  nobody has, which moves no record.
* `pause` throws away the records that were fetched ahead: the wanted partitions are named instead.
* Records may come before `on_partitions_assigned` has run; as only partitions that it named are
  wanted, these stay in the fetcher.
* Commits have their own traps: see `streams.consumer.commits`.
* A header's name that is not UTF-8 stops its partition: see `streams.kafka.header_names`.
* Its coordination may end, or wait for ever, and nobody hears of it: see `streams.consumer.watchdog`.
* Where the offset to read is not in the log, it goes on at the first one there in silence: see `_take_in`.
* Its private parts: see `streams.kafka.group_member`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.partition import Partition
from streams.consumer.rebalance import Rebalance
from streams.kafka.group_member import GroupMember

log = logging.getLogger(__name__)

POLL_MS = 100
"""How long a poll waits for records of the wanted partitions, before others may be wanted, too."""
PACE_S = 0.004
SMALL_POLL = 32
"""After a poll of fewer records the next one waits for `PACE_S`: a fetch costs as much as many records."""
TOUCH_S = 1.0
"""How often a worker that wants nothing polls all the same."""
GAPS_S = 2.0
"""Least time between two looks at where the log begins."""
LOOK_S = 0.5
"""Least time between two looks at how far the logs were read."""
RETRY_S = 0.5
SWEEP_S = 60.0
"""A tenant without records for this long, once or twice, leaves its share to the others."""


class Connection:
    """Polls and commits through one consumer; can be put away and another one taken, while work goes on.

    Args:
        member: its consumer is not started.
        add: takes records that were polled of a partition of ours, and the time.
        dispatch: called after that, and after a commit: something may start.
        failed: told of a defect that has ended it.
        out_of_range: told of a partition, the offset that was to be read next, and the first one there.
        transaction_open: told of a partition that an open transaction has held for long.

    Attributes:
        ended: why it does not poll any more, though nobody has closed it; else empty.
        polled_at: when a poll last returned, on the monotonic clock; 0 before the first.
        member_id: the member of the group that it was, once it is put away; empty: none.
    """

    def __init__(
        self,
        member: GroupMember,
        committer: Committer,
        rebalance: Rebalance,
        *,
        topic: str,
        assignment: Assignment,
        add: Callable[[Partition, Sequence[ConsumerRecord], float], None],
        dispatch: Callable[[], None],
        failed: Callable[[BaseException], None],
        out_of_range: Callable[[int, int, int], None],
        transaction_open: Callable[[int], None],
        commit_interval_s: float,
        commit_timeout_s: float,
    ) -> None:
        self.rebalance = rebalance
        self.ended = ""
        self.polled_at = 0.0
        self.member_id = ""
        self._member = member
        self._consumer = member.consumer
        self._committer = committer
        self._topic = topic
        self._assignment = assignment
        self._intake = assignment.intake
        self._add = add
        self._dispatch = dispatch
        self._failed = failed
        self._out_of_range = out_of_range
        self._transaction_open = transaction_open
        self._looked_at = 0.0
        self._gaps: dict[TopicPartition, int] = {}
        self._gaps_looked_at = 0.0
        self._commit_interval_s = commit_interval_s
        self._commit_timeout_s = commit_timeout_s
        self._fetching = True
        self._room = asyncio.Event()
        self._place = partial(TopicPartition, topic)
        self._nowhere = self._place(-1)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Join the group and begin."""
        self._consumer.subscribe([self._topic], listener=self.rebalance)
        await self._consumer.start()
        self._start_tasks()

    async def take_over(self, member_id: str) -> None:
        """Go on as the member that an earlier connection was, without waiting for the group.

        To the group it is a member that joins again: it keeps our partitions, or learns that they are lost.
        """
        self.member_id = member_id
        await self._consumer.start()
        self._member.adopt(member_id)
        self._consumer.subscribe([self._topic], listener=self.rebalance)
        self._start_tasks()

    def wake(self) -> None:
        """Look again for room for more records."""
        self._room.set()

    def position(self, number: int) -> int:
        """The offset of a partition that is read next; -1 where that is not known."""
        return self._member.progress(self._place(number)).position

    def stop_fetching(self) -> None:
        """Take no record any more; polls go on, so that the group keeps us."""
        self._fetching = False
        self._room.set()

    async def aclose(self, timeout_s: float) -> None:
        """Commit, leave the group. Takes `timeout_s` at most, whether the broker answers or not."""
        await self._end_tasks()
        await self._committer.acommit(timeout_s / 2)
        await self._member.kill(timeout_s / 2)

    async def put_away(self, timeout_s: float) -> None:
        """End without leaving the group: the group keeps `member_id` for another to take over.

        Takes `timeout_s` at most, whether the broker answers or not.
        """
        await self._end_tasks()
        self.member_id = self._member.forget() or self.member_id
        await self._member.kill(timeout_s)

    async def _end_tasks(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.rebalance.aclose()

    def _start_tasks(self) -> None:
        self._tasks = [
            asyncio.create_task(self._poll(), name="poll"),
            asyncio.create_task(self._commit_regularly(), name="commit"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
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
            wanted = list(map(self._place, hungry))
            try:
                if wanted:
                    records = await consumer.getmany(*wanted, timeout_ms=POLL_MS, max_records=intake.room)
                    count = self._take_in(records, epoch)
                    # In the same turn: the consumer's position is above records that were not taken in.
                    self._look_at_progress(epoch)
                    if 0 < count < SMALL_POLL:
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
        """Take in the polled records. Returns how many there were.

        An offset above the next one may be a gap in the log; one below it means that the topic is another,
        made anew under the same name. A new topic that is longer than our position by the time that we read
        it cannot be told from the old one by offsets: its records below that position are not read.
        """
        now = time.monotonic()
        count = 0
        for topic_partition, records in batches.items():
            partition = self._assignment.partitions.get(topic_partition.partition)
            stale = self._assignment.held or epoch != self._assignment.epoch
            if partition is None or not partition.ready or stale:
                # Polled across a rebalance, from anywhere; if it is ours, it is read from where we are.
                if partition is not None and partition.ready:
                    self.rebalance.seek(partition)
                continue
            first, expected = records[0].offset, partition.resume
            if first < expected:
                self._gaps.pop(topic_partition, None)
                self._out_of_range(partition.number, expected, first)
                self.rebalance.begin_anew(partition, first)
                continue
            if first > expected:
                self._gaps.setdefault(topic_partition, expected)
            count += len(records)
            self._add(partition, records, now)
        if count:
            self._dispatch()
        return count

    def _look_at_progress(self, epoch: int) -> None:
        """Pass over offsets without a record, and notice open transactions."""
        now, assignment = time.monotonic(), self._assignment
        if now < self._looked_at + LOOK_S or assignment.held or epoch != assignment.epoch:
            return
        self._looked_at = now
        for number, partition in assignment.partitions.items():
            if not partition.ready or number not in self._intake.hungry:
                partition.transaction.forget()
                continue
            place, expected = self._place(number), partition.resume
            partition.look(self._member.progress(place), now)
            if partition.resume > expected:
                self._gaps.setdefault(place, expected)
            if partition.transaction.due(now):
                self._transaction_open(number)

    async def _look_at_gaps(self) -> None:
        """Report records that were gone before they were read: aiokafka goes on behind them in silence.

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
