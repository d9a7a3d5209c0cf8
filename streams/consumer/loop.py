"""The consumer of one topic: hands records out by their lanes, and outlives its connections to the broker."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.connection import Connection
from streams.consumer.dispatch import Dispatcher
from streams.consumer.handler import Handler
from streams.consumer.rebalance import Rebalance, Recover
from streams.consumer.watchdog import Observation
from streams.kafka.group_member import GroupMember
from streams.publishing.gate import Gate
from streams.telemetry.hook import Hook

CONNECT_S = 20.0
"""How long a new consumer may take to connect in the place of another."""


class ConsumerLoop:
    """Runs every record of one topic that the group gives us, each lane in order.

    Args:
        open_consumer: makes a consumer that is not started, of a group, without auto-commit.
        assignment: empty; its lease has the group's session time-out.
        commit_timeout_s: how long a commit may hang before it counts as failed.
    """

    def __init__(
        self,
        *,
        topic: str,
        open_consumer: Callable[[], AIOKafkaConsumer],
        recover: Recover,
        handler: Handler,
        assignment: Assignment,
        hook: Hook,
        commit_interval_s: float = 1.0,
        commit_timeout_s: float = 5.0,
    ) -> None:
        self._topic = topic
        self._open_consumer = open_consumer
        self._recover = recover
        self._handler = handler
        self._intake = assignment.intake
        self._assignment = assignment
        self._hook = hook
        self._commit_interval_s = commit_interval_s
        self._commit_timeout_s = commit_timeout_s
        self._dispatcher = Dispatcher(
            self._assignment, handler, hook, hungry=self._hungry, failed=self._failed
        )
        self._connection: Connection | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._defect: asyncio.Future[None] | None = None

    @property
    def joined(self) -> bool:
        """Whether the group has given us our partitions, if only none, and all are recovered."""
        connection = self._connection
        return connection is not None and connection.rebalance.joined and self._assignment.recovered

    @property
    def positions(self) -> dict[int, int | None]:
        """The commit point of each of our partitions: all records below it are done; None: not known."""
        return {
            number: partition.committed
            if partition.tracker.commit_point is None
            else partition.tracker.commit_point
            for number, partition in self._assignment.partitions.items()
        }

    @property
    def in_flight(self) -> int:
        """Questions being answered or waiting for the broker's acknowledgement."""
        return self._intake.in_flight

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return self._intake.capacity.limit

    def observe_lag(self, lag_s: float) -> None:
        """Take in how late a timer of the event loop was served (see `capacity`)."""
        intake = self._intake
        if intake.capacity.observe(time.monotonic(), lag_s, intake.running) and self._connection is not None:
            self._dispatcher.dispatch()

    @property
    def incomplete(self) -> int:
        """How many polled records have no outcome yet; they run or wait for their turn."""
        return sum(partition.tracker.incomplete_count for partition in self._assignment.partitions.values())

    @property
    def oldest_age_s(self) -> float:
        """Seconds since the oldest of them was polled; 0 with none."""
        now = time.monotonic()
        return max(
            (partition.tracker.oldest_age(now) for partition in self._assignment.partitions.values()),
            default=0.0,
        )

    @property
    def paused(self) -> int:
        """How many partitions start nothing, because a dead letter cannot be written."""
        return sum(1 for partition in self._assignment.partitions.values() if partition.gate.blocks)

    def observe(self, ends: Mapping[int, int] | None) -> Observation:
        """Observe the consumer for the watchdog; `ends` of our partitions, where they are known."""
        connection, assignment = self._connection, self._assignment
        if connection is None:
            raise RuntimeError("the loop was not started")
        joined = connection.rebalance.joined and not assignment.held
        wanted = self._intake.hungry if joined and not self._dispatcher.stopping else ()
        return Observation(
            now=time.monotonic(),
            polled_at=connection.polled_at,
            ended=connection.ended,
            joined=joined,
            epoch=assignment.epoch,
            positions={number: connection.position(number) for number in wanted},
            ends=ends,
        )

    def state(self) -> dict[str, Any]:
        """The consumer's part of `/state`."""
        now = time.monotonic()
        return {
            "in_flight": self._intake.in_flight,
            "in_flight_limit": self.limit,
            "buffered": self._intake.buffered,
            "buffered_bytes": self._intake.buffered_bytes,
            "lanes": len(self._assignment.lanes),
            "partitions": {
                str(number): {
                    "epoch": partition.tracker.epoch,
                    "recovered": partition.ready,
                    "paused": next(iter(partition.gate.blocks.values()), ""),
                    "commit_point": partition.tracker.commit_point,
                    "committed": partition.committed,
                    "incomplete": partition.tracker.incomplete_count,
                    "oldest_age_s": round(partition.tracker.oldest_age(now), 3),
                    "open_transaction_s": round(partition.transaction.held_s(now), 3),
                }
                for number, partition in sorted(self._assignment.partitions.items())
            },
        }

    async def start(self) -> None:
        """Join the group and begin."""
        self._defect = asyncio.get_running_loop().create_future()
        self._connection = self._open([])
        await self._connection.start()
        self._dispatcher.start()

    async def rebuild(self) -> None:
        """Replace a stuck consumer by a new one; the records that run go on, their outcomes wait.

        Cancelling it leaves the change under way, which `aclose` ends.

        Raises:
            KafkaError, TimeoutError: the broker refuses it; to be called again.
        """
        if self._connection is None:
            return
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.create_task(self._replace(self._connection), name="rebuild")
        await asyncio.shield(self._replacing)

    async def failed(self) -> None:
        """Wait for a defect that ends the loop, and raise it."""
        if self._defect is not None:
            await asyncio.shield(self._defect)

    def stop_fetching(self) -> None:
        """Start nothing any more; the records that wait in memory are left to their next reader."""
        if self._connection is not None:
            self._connection.stop_fetching()
        self._dispatcher.stop()

    async def wait_idle(self) -> None:
        """Return once nothing is in flight, after `stop_fetching`."""
        await self._dispatcher.wait_idle()

    async def aclose(self, *, timeout_s: float) -> None:
        """Commit and leave the group.

        Takes `timeout_s` at most, and half of it more while a consumer is rebuilt, whether the broker answers
        or not.
        """
        self._dispatcher.stop()
        if self._replacing is not None:
            await asyncio.wait({self._replacing}, timeout=timeout_s / 4)
            self._replacing.cancel()
            # Cancelled, it puts its new consumer away, which may take longer than there is.
            await asyncio.wait({self._replacing}, timeout=timeout_s / 4)
        if self._connection is not None:
            await self._connection.aclose(timeout_s)

    def _open(self, leaving: list[tuple[int, Gate]]) -> Connection:
        member = GroupMember(self._open_consumer())
        committer = Committer(member, self._topic, self._assignment, self._hook)
        rebalance = Rebalance(
            member=member,
            topic=self._topic,
            assignment=self._assignment,
            committer=committer,
            recover=self._recover,
            handler=self._handler,
            wake=self._wake,
            hook=self._hook,
            timeout_s=self._commit_timeout_s,
            leaving=leaving,
        )
        return Connection(
            member,
            committer,
            rebalance,
            topic=self._topic,
            assignment=self._assignment,
            add=self._dispatcher.add,
            dispatch=self._dispatcher.dispatch,
            failed=self._failed,
            out_of_range=self._hook.offset_out_of_range,
            transaction_open=self._hook.transaction_open,
            commit_interval_s=self._commit_interval_s,
            commit_timeout_s=self._commit_timeout_s,
        )

    async def _replace(self, old: Connection) -> None:
        await old.rebalance.asuspend()
        await old.put_away(self._commit_timeout_s)
        new = self._connection = self._open(old.rebalance.leaving)
        if self._dispatcher.stopping:
            new.stop_fetching()
        try:
            async with asyncio.timeout(CONNECT_S):
                await new.take_over(old.member_id)
        except BaseException:
            await new.put_away(self._commit_timeout_s)
            raise

    def _failed(self, error: BaseException) -> None:
        if self._defect is not None and not self._defect.done():
            self._defect.set_exception(error)

    def _hungry(self) -> None:
        if self._connection is not None:
            self._connection.wake()

    def _wake(self) -> None:
        self._hungry()
        self._dispatcher.dispatch()
