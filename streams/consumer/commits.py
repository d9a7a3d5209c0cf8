"""Telling the broker what is done: an offset, and in its metadata what is done above it.

A commit that holds one partition that is not ours fails as a whole, and one that is repeated after a
rejoin is accepted, however stale it is. So each is made anew from what is assigned now, and one that
is under way when a rebalance begins is given up.
"""

import asyncio
import contextlib
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.consumer.assignment import Assignment, Due
from streams.consumer.work import Assigned
from streams.telemetry.hook import Hook

TURN_S = 0.002
"""How long maps are made before others have a turn: with 100,000 offsets open, all take 50 ms."""


class Committer:
    """Commits through an aiokafka consumer; one commit at a time is under way, or one more at a revoke."""

    def __init__(self, consumer: Any, topic: str, assignment: Assignment, hook: Hook) -> None:
        self._consumer = consumer
        self._topic = topic
        self._assignment = assignment
        self._hook = hook
        self._scope: asyncio.Timeout | None = None

    async def acommit(self, timeout_s: float) -> None:
        """Commit what has changed of each partition: its contiguous completed prefix, or its map.

        Raises nothing: a failure is told to the hook, and the next call repeats what it held.
        """
        # Expelled from the group, aiokafka would commit as if there were none, unfenced; it has no
        # public sign of that state.
        begun = self._now
        if begun[0] < 0:
            return
        try:
            async with asyncio.timeout(timeout_s) as self._scope:
                due = await self._due()
                if not due or begun != self._now:
                    return
                await self._consumer.commit(
                    {
                        TopicPartition(self._topic, assigned.number): OffsetAndMetadata(
                            wanted.point, wanted.metadata
                        )
                        for assigned, wanted in due
                    }
                )
        except (KafkaError, TimeoutError) as error:
            self._hook.commit_failed(error)
            return
        for assigned, wanted in due:
            self._assignment.committed(assigned, wanted)
            self._hook.committed(assigned.number, wanted.point)

    @property
    def _now(self) -> tuple[int, int, bool]:
        """Generation, epoch, and whether a rebalance is under way: what a commit must not outlast."""
        assignment = self._assignment
        return self._consumer._coordinator.generation, assignment.epoch, assignment.held

    async def _due(self) -> list[tuple[Assigned, Due]]:
        """What is to be committed; what completes meanwhile is of the next commit."""
        loop = asyncio.get_running_loop()
        until = loop.time() + TURN_S
        found: list[tuple[Assigned, Due]] = []
        for assigned in list(self._assignment.partitions.values()):
            if loop.time() >= until:
                await asyncio.sleep(0)
                until = loop.time() + TURN_S
            wanted = self._assignment.due(assigned)
            if wanted is not None:
                found.append((assigned, wanted))
        ours = self._consumer.assignment()
        return [one for one in found if TopicPartition(self._topic, one[0].number) in ours]

    def give_up(self) -> None:
        """End the commit that is under way, if there is one."""
        if self._scope is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._scope.reschedule(asyncio.get_running_loop().time())
