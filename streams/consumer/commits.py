"""Commits: an offset for each partition, with a map of the completed offsets above it.

A commit that holds one partition that is not ours fails as a whole, and one that is repeated after a
rejoin is accepted, however stale it is. So each is made anew from the partitions assigned now, and one
that is under way when a rebalance begins is given up.
"""

import asyncio
import contextlib

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.consumer.assignment import Assignment
from streams.consumer.partition import Due, Partition
from streams.kafka.group_member import EXPELLED, GroupMember
from streams.telemetry.hook import Hook

TURN_S = 0.002
"""How long maps are made before others have a turn: with 100,000 offsets open, all take 50 ms."""


class Committer:
    """Commits as a member of the group; one commit at a time is under way, or one more at a revoke."""

    def __init__(self, member: GroupMember, topic: str, assignment: Assignment, hook: Hook) -> None:
        self._member = member
        self._topic = topic
        self._assignment = assignment
        self._hook = hook
        self._scope: asyncio.Timeout | None = None

    async def acommit(self, timeout_s: float) -> None:
        """Commit the completed prefix, or the map, of each partition where it has changed.

        Raises nothing: a failure is told to the hook, and the next call repeats its offsets.
        """
        begun = self._now
        if begun[0] == EXPELLED:
            return
        try:
            async with asyncio.timeout(timeout_s) as self._scope:
                due = await self._due()
                if not due or begun != self._now:
                    return
                await self._member.consumer.commit(
                    {
                        TopicPartition(self._topic, partition.number): OffsetAndMetadata(
                            wanted.point, wanted.metadata
                        )
                        for partition, wanted in due
                    }
                )
        except (KafkaError, TimeoutError) as error:
            self._hook.commit_failed(error)
            return
        for partition, wanted in due:
            partition.commit(wanted)
            self._hook.committed(partition.number, wanted.point)

    async def areset(self, number: int, offset: int, timeout_s: float) -> bool:
        """Commit this offset of a partition without a map, in place of any commit that the group has of it.

        Returns:
            False where it failed, which the hook is told.
        """
        if self._now[0] == EXPELLED:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._member.consumer.commit(
                    {TopicPartition(self._topic, number): OffsetAndMetadata(offset, "")}
                )
        except (KafkaError, TimeoutError) as error:
            self._hook.commit_failed(error)
            return False
        return True

    def give_up(self) -> None:
        """End the commit that is under way, if there is one."""
        if self._scope is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._scope.reschedule(asyncio.get_running_loop().time())

    @property
    def _now(self) -> tuple[int, int, bool]:
        """Generation, epoch, and whether a rebalance is under way; a commit must not outlast any of them."""
        assignment = self._assignment
        return self._member.generation, assignment.epoch, assignment.held

    async def _due(self) -> list[tuple[Partition, Due]]:
        """Collect the commits to make; records that complete meanwhile are left to the next commit."""
        loop = asyncio.get_running_loop()
        until = loop.time() + TURN_S
        found: list[tuple[Partition, Due]] = []
        for partition in list(self._assignment.partitions.values()):
            if loop.time() >= until:
                await asyncio.sleep(0)
                until = loop.time() + TURN_S
            wanted = self._assignment.due(partition)
            if wanted is not None:
                found.append((partition, wanted))
        ours = self._member.consumer.assignment()
        return [one for one in found if TopicPartition(self._topic, one[0].number) in ours]
