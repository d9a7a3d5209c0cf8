"""Telling the broker what is done.

A commit that holds one partition that is not ours fails as a whole, and one that is repeated after a
rejoin is accepted, however stale it is. So each is made anew from what is assigned now, and one that
is under way when a rebalance begins is given up.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.consumer.work import Assigned
from streams.telemetry.hook import Hook


class Committer:
    """Commits through an aiokafka consumer; one commit at a time is under way, or one more at a revoke."""

    def __init__(self, consumer: Any, topic: str, hook: Hook) -> None:
        self._consumer = consumer
        self._topic = topic
        self._hook = hook
        self._scope: asyncio.Timeout | None = None

    async def acommit(self, partitions: Iterable[Assigned], timeout_s: float) -> None:
        """Commit the contiguous completed prefix of each, where it has grown.

        Raises nothing: a failure is told to the hook, and the next call repeats what it held.
        """
        ours = self._consumer.assignment()
        due: list[tuple[Assigned, int]] = []
        offsets: dict[TopicPartition, int] = {}
        for assigned in partitions:
            point = assigned.tracker.commit_point
            topic_partition = TopicPartition(self._topic, assigned.number)
            if point is not None and point != assigned.committed and topic_partition in ours:
                due.append((assigned, point))
                offsets[topic_partition] = point
        # Expelled from the group, aiokafka would commit as if there were none, unfenced; it has no
        # public sign of that state.
        if not offsets or self._consumer._coordinator.generation < 0:
            return
        try:
            async with asyncio.timeout(timeout_s) as self._scope:
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._hook.commit_failed(error)
            return
        for assigned, point in due:
            assigned.committed = point
            self._hook.committed(assigned.number, point)

    def give_up(self) -> None:
        """End the commit that is under way, if there is one."""
        if self._scope is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._scope.reschedule(asyncio.get_running_loop().time())
