"""Acts when the group takes partitions and gives them: the thin shell around `Assignment`."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError

from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.handler import Handler
from streams.consumer.partition import Partition
from streams.consumer.recovered import Recovered
from streams.kafka.group_member import GroupMember
from streams.publishing.gate import Gate
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

Recover = Callable[[Collection[int], Callable[[Recovered], None]], Awaitable[None]]
"""Finds out which records of partitions are done (`streams.consumer.recovery.Recovery.arecover`)."""

RETRY_S = 1.0


class Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """Listens to one consumer. aiokafka swallows any error that is raised here, so only a defect raises.

    Args:
        wake: called when records may run or be fetched again.
        timeout_s: how long outcomes on their way, and then the commit, may hold a rebalance up.

    Attributes:
        joined: the group has given us our partitions, even if there are none for us.
        leaving: number and gate of lost partitions whose outcomes are on their way and cannot be called back.
    """

    def __init__(
        self,
        *,
        member: GroupMember,
        topic: str,
        assignment: Assignment,
        committer: Committer,
        recover: Recover,
        handler: Handler,
        wake: Callable[[], None],
        hook: Hook,
        timeout_s: float,
        leaving: list[tuple[int, Gate]],
    ) -> None:
        self.joined = False
        self.leaving = leaving
        self._member = member
        self._topic = topic
        self._assignment = assignment
        self._committer = committer
        self._recover = recover
        self._handler = handler
        self._wake = wake
        self._hook = hook
        self._timeout_s = timeout_s
        self._recovering: set[asyncio.Task[None]] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._deaf = False

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Commit the completed offsets; nothing starts or goes out until we know which partitions stay."""
        if self._deaf or not revoked:
            return
        await self._take_away(sorted(partition.partition for partition in revoked))

    async def asuspend(self) -> None:
        """Stop listening to the consumer; until another one joins, its partitions count as revoked."""
        self._deaf = True
        if not self._assignment.held and self._assignment.partitions:
            await self._take_away(sorted(self._assignment.partitions))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Go on with the partitions that stayed, recover the new ones."""
        if self._deaf:
            return
        numbers = sorted(partition.partition for partition in assigned)
        self._stop_recovering()
        clock = self._assignment.lease.clock
        self._member.heed_heartbeats(clock, self._assignment.renew)
        self._assignment.renew(clock())
        changed = self._assignment.assign(numbers, self._member.generation)
        for lost in changed.lost:
            self._cut_off(lost)
        for kept in changed.kept:
            self.seek(kept)
        if changed.new:
            self._recover_soon(self._recover_new([new.number for new in changed.new]))
        self.joined = True
        self._wake()
        self._hook.partitions_assigned(numbers)

    def begin_anew(self, partition: Partition, start: int) -> None:
        """Recover a partition of ours from `start`, because its topic was made anew and begins there.

        The records of the old topic are gone, so those that still run get no outcome: it would be taken for
        the outcome of a record of the new topic. Commits of the old topic are replaced before the recovery
        reads them.
        """
        # One that is under way holds an offset of the old topic.
        self._committer.give_up()
        self._cut_off(self._assignment.begin_anew(partition.number))
        self._recover_soon(self._recover_anew(partition.number, start))

    def seek(self, partition: Partition) -> None:
        """Have a recovered partition read from where we are: the consumer knows only the committed offset."""
        try:
            self._member.consumer.seek(TopicPartition(self._topic, partition.number), partition.resume)
        except IllegalStateError:
            log.debug("partition %d was revoked meanwhile", partition.number)

    async def aclose(self) -> None:
        """End the recoveries that are under way."""
        self._stop_recovering()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    async def _take_away(self, numbers: list[int]) -> None:
        self._assignment.hold()
        self._hook.partitions_revoked(numbers)
        self._stop_recovering()
        self._committer.give_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                for partition in list(self._assignment.partitions.values()):
                    await partition.gate.aquiet()
        await self._committer.acommit(self._timeout_s)

    def _cut_off(self, lost: Partition) -> None:
        self.leaving.append((lost.number, lost.gate))
        for work in list(lost.running):
            self._handler.abandon(work)
        self._handler.drop(lost.number)

    async def _recover_anew(self, number: int, start: int) -> None:
        while not await self._committer.areset(number, start, self._timeout_s):  # noqa: ASYNC110 - repeated
            await asyncio.sleep(RETRY_S)
        await self._recover_new([number])

    async def _recover_new(self, numbers: Collection[int]) -> None:
        # The scan has to see the outcomes of these partitions that we have sent ourselves.
        for number, gate in self.leaving:
            if number in numbers:
                await gate.aquiet()
        self.leaving = [(number, gate) for number, gate in self.leaving if gate.flying]
        await self._recover(numbers, self._recovered)

    def _recovered(self, found: Recovered) -> None:
        partition = self._assignment.recover(found)
        if partition is not None:
            self.seek(partition)
            self._wake()
            before = self._assignment.committed_before(found.number)
            if before > found.start and not found.reported:
                self._hook.offset_out_of_range(found.number, before, found.start)
            self._hook.partition_recovered(found.number, found.scanned, len(found.completed), found.seconds)

    def _recover_soon(self, recovery: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(recovery, name="recover")
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    def _stop_recovering(self) -> None:
        recovering, self._recovering = self._recovering, set()
        for task in recovering:
            # It closes its clients, which takes a while, and which nobody may break off.
            task.cancel()
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
