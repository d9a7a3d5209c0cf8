"""What is done when the group takes partitions and gives them: the thin shell around `Assignment`."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError

from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.recovery import Recovered
from streams.consumer.work import Assigned, Handler
from streams.publishing.gate import Gate
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

Recover = Callable[[Collection[int], Callable[[Recovered], None]], Awaitable[None]]
"""Finds out what was done of partitions, and tells of each (`streams.consumer.recovery.Recovery`)."""


class Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """Listens to one consumer. aiokafka swallows what is raised here: nothing is, but by a defect.

    Args:
        wake: called when something may run or be fetched again.
        timeout_s: how long outcomes on their way, and then the commit, may hold a rebalance up.

    Attributes:
        joined: the group has given us our partitions, were they none.
        leaving: of lost partitions, with outcomes on their way that cannot be called back.
    """

    def __init__(
        self,
        *,
        consumer: Any,
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
        self._consumer = consumer
        self._topic = topic
        self._assignment = assignment
        self._committer = committer
        self._recover = recover
        self._handler = handler
        self._wake = wake
        self._hook = hook
        self._timeout_s = timeout_s
        self._heeded: Any = None
        self._recovering: asyncio.Task[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._deaf = False

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Commit what is done; nothing starts or goes out until it is known what stays with us."""
        if self._deaf or not revoked:
            return
        await self._take_away(sorted(partition.partition for partition in revoked))

    async def asuspend(self) -> None:
        """Hear the consumer no more; until another one joins, its partitions are as if they were revoked."""
        self._deaf = True
        if not self._assignment.held and self._assignment.partitions:
            await self._take_away(sorted(self._assignment.partitions))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Go on with those that stayed, begin with the new ones."""
        if self._deaf:
            return
        numbers = sorted(partition.partition for partition in assigned)
        self._stop_recovering()
        self._heed_heartbeats()
        self._assignment.renew(self._assignment.lease.clock())
        changed = self._assignment.assign(numbers, self._consumer._coordinator.generation)
        for lost in changed.lost:
            self.leaving.append((lost.number, lost.gate))
            for work in list(lost.running):
                self._handler.abandon(work)
            self._handler.drop(lost.number)
        for kept in changed.kept:
            self.seek(kept)
        if changed.new:
            new = [fresh.number for fresh in changed.new]
            self._recovering = asyncio.create_task(self._begin(new), name="recover")
        self.joined = True
        self._wake()
        self._hook.partitions_assigned(numbers)

    def _heed_heartbeats(self) -> None:
        # There is no public sign of one that was answered. An error tells that we are expelled.
        coordinator = self._consumer._coordinator
        if self._heeded is coordinator:
            return
        self._heeded = coordinator
        send, assignment = coordinator._do_heartbeat, self._assignment

        async def heartbeat() -> bool:
            at = assignment.lease.clock()
            answered: bool = await send()
            if answered:
                assignment.renew(at)
            return answered

        coordinator._do_heartbeat = heartbeat

    def seek(self, assigned: Assigned) -> None:
        """Have the partition read from where we are: the consumer knows only what was committed."""
        if assigned.resume is None:
            return
        try:
            self._consumer.seek(TopicPartition(self._topic, assigned.number), assigned.resume)
        except IllegalStateError:
            log.debug("partition %d was revoked meanwhile", assigned.number)

    async def aclose(self) -> None:
        """Recover nothing any more."""
        self._stop_recovering()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    async def _take_away(self, numbers: list[int]) -> None:
        self._assignment.hold()
        self._hook.partitions_revoked(numbers)
        self._stop_recovering()
        self._committer.give_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                for assigned in list(self._assignment.partitions.values()):
                    await assigned.gate.aquiet()
        await self._committer.acommit(self._timeout_s)

    async def _begin(self, numbers: Collection[int]) -> None:
        # What we have sent of them ourselves is to be seen by the scan.
        for number, gate in self.leaving:
            if number in numbers:
                await gate.aquiet()
        self.leaving = [(number, gate) for number, gate in self.leaving if gate.flying]
        await self._recover(numbers, self._recovered)

    def _recovered(self, found: Recovered) -> None:
        assigned = self._assignment.recover(found)
        if assigned is not None:
            self.seek(assigned)
            self._wake()
            self._hook.partition_recovered(found.number, found.scanned, len(found.completed), found.seconds)

    def _stop_recovering(self) -> None:
        if self._recovering is not None:
            # It closes its clients, which takes a while, and which nobody may break off.
            self._recovering.cancel()
            self._stopping.add(self._recovering)
            self._recovering.add_done_callback(self._stopping.discard)
            self._recovering = None
