"""The defects: each breaks the mechanism of one guarantee, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator

from streams.consumer import recovery
from streams.consumer.control import ControlReader
from streams.consumer.lanes import Lanes
from streams.consumer.lease import Lease
from streams.consumer.offsets import OffsetTracker
from streams.consumer.repeats import Repeats
from streams.publishing.begun import Begun
from streams.publishing.publisher import Publisher


def commit_before_answer() -> None:
    """Commits every polled offset, answered or not."""
    OffsetTracker.commit_point = property(lambda tracker: tracker._next)  # type: ignore[assignment,method-assign]  # a defect


def ignored_epoch() -> None:
    """Repeats the commits of an earlier assignment in a later one."""
    right = AIOKafkaConsumer.commit
    last: dict[Any, Any] = {}
    stale: dict[Any, Any] = {}
    generations = [-1]

    async def commit(self: Any, offsets: Any = None) -> None:
        if generations[-1] != self._coordinator.generation:
            generations.append(self._coordinator.generation)
            stale.update(last)
            last.clear()
            back = {place: stale.pop(place) for place in self.assignment() if place in stale}
            if back:
                await right(self, back)
        last.update(offsets)
        await right(self, offsets)

    AIOKafkaConsumer.commit = commit


def dropped_dead_letter_ack() -> None:
    """Counts a dead letter as written even if the broker refused it."""
    right = Publisher._on_delivery

    def on_delivery(self: Publisher, pending: Any, record: Any, error: BaseException | None) -> None:
        right(self, pending, record, error if pending.letter_acked else None)

    Publisher._on_delivery = on_delivery  # type: ignore[method-assign]  # a defect


def order_broken() -> None:
    """Gives every record a lane of its own."""
    right = Lanes.add

    def add(self: Any, partition: int, key: Any, work: Any) -> None:
        work.key = (key, work.record.offset)
        right(self, partition, work.key, work)

    Lanes.add = add  # type: ignore[method-assign]  # a defect


def forgotten_recovery_scan() -> None:
    """Skips the recovery scan."""
    recovery.take_in = lambda *_: None


def journal_ignored() -> None:
    """Writes the journal, but never reads it."""
    Begun.recorded = lambda *_: None  # type: ignore[method-assign]  # a defect


def results_forgotten() -> None:
    """Takes over partitions without the results that their questions have."""
    Repeats.load = lambda *_: None  # type: ignore[method-assign]  # a defect


def slept_through_expulsion() -> None:
    """Lets a worker that was stopped for longer than its session go on until the group tells it."""
    right = GroupCoordinator._send_req

    async def late(self: Any, request: Any) -> Any:
        reply = await right(self, request)
        await asyncio.sleep(1)
        return reply

    GroupCoordinator._send_req = late
    Lease.valid = lambda _: True  # type: ignore[method-assign]  # a defect


def cancels_not_scanned() -> None:
    """Takes over partitions without the cancels that were written before."""
    right = ControlReader.afollow

    async def afollow(self: ControlReader, number: int, since_ms: int) -> None:
        await right(self, number, 2**53)

    ControlReader.afollow = afollow  # type: ignore[method-assign]  # a defect


DEFECTS: dict[str, Callable[[], None]] = {
    "commit-before-answer": commit_before_answer,
    "ignored-epoch": ignored_epoch,
    "dropped-dead-letter-ack": dropped_dead_letter_ack,
    "order-broken": order_broken,
    "forgotten-recovery-scan": forgotten_recovery_scan,
    "journal-ignored": journal_ignored,
    "results-forgotten": results_forgotten,
    "slept-through-expulsion": slept_through_expulsion,
    "cancels-not-scanned": cancels_not_scanned,
}
