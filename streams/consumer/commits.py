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
        if self._consumer._coordinator.generation < 0:
            return
        ours = self._consumer.assignment()
        due: list[tuple[Assigned, Due]] = []
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        for assigned in self._assignment.partitions.values():
            topic_partition = TopicPartition(self._topic, assigned.number)
            wanted = self._assignment.due(assigned)
            if wanted is not None and topic_partition in ours:
                due.append((assigned, wanted))
                offsets[topic_partition] = OffsetAndMetadata(wanted.point, wanted.metadata)
        if not offsets:
            return
        try:
            async with asyncio.timeout(timeout_s) as self._scope:
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._hook.commit_failed(error)
            return
        for assigned, wanted in due:
            self._assignment.committed(assigned, wanted)
            self._hook.committed(assigned.number, wanted.point)

    def give_up(self) -> None:
        """End the commit that is under way, if there is one."""
        if self._scope is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._scope.reschedule(asyncio.get_running_loop().time())
