"""Fakes of a consumer, its group and its handler, for tests of the loop without a broker."""

import asyncio
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from streams.consumer.assignment import Assignment
from streams.consumer.intake import Intake
from streams.consumer.lease import Lease
from streams.consumer.partition import Work
from streams.consumer.rebalance import Rebalance
from streams.consumer.recovered import Recovered
from streams.kafka.group_member import GroupMember

TOPIC = "questions"


class Coordinator:
    generation = 1

    async def _do_heartbeat(self) -> bool:
        return True


class FakeConsumer:
    """Gives out the records in `log`; every call is kept."""

    def __init__(self) -> None:
        self.log: dict[int, list[ConsumerRecord]] = {}
        self.written: dict[int, list[ConsumerRecord]] = {}
        self.owned: set[int] = set()
        self.polls: list[tuple[int, ...]] = []
        self.commits: list[dict[int, int]] = []
        self.maps: list[dict[int, str]] = []
        self.commit: Callable[[dict[TopicPartition, int]], Any] = self._accept
        self.errors: list[Exception] = []
        self.seeks: list[tuple[int, int]] = []
        self.listener: Any = None
        self.found: dict[int, Recovered] = {}
        self.unrecovered: set[int] = set()
        self.markers: dict[int, int] = {}
        """How many offsets without a record each partition ends in: they are read with its last record."""
        self.open_from: dict[int, int] = {}
        """The offset at which each partition is held by an open transaction."""
        self._coordinator = Coordinator()
        self._subscription = SimpleNamespace(
            subscription=SimpleNamespace(assignment=SimpleNamespace(state_value=self._state))
        )

    def _state(self, partition: TopicPartition) -> SimpleNamespace:
        number = partition.partition
        waiting, written = self.log.get(number, []), self.written.get(number, [])
        end = (written[-1].offset + 1 if written else 0) + self.markers.get(number, 0)
        stable = self.open_from.get(number, end)
        position = waiting[0].offset if waiting else min(stable, end)
        return SimpleNamespace(has_valid_position=True, position=position, lso=stable, highwater=end)

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC, number) for number in self.owned}

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int = 10**6) -> Any:
        self.polls.append(tuple(partition.partition for partition in partitions))
        await asyncio.sleep(0.001)
        if self.errors:
            raise self.errors.pop()
        found = {}
        for partition in partitions:
            records = self.log.get(partition.partition, [])
            if records:
                found[partition] = records[:max_records]
                del records[:max_records]
        return found

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.seeks.append((partition.partition, offset))
        records = self.written.get(partition.partition, [])
        self.log[partition.partition] = [record for record in records if record.offset >= offset]

    async def _accept(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits.append({partition.partition: found.offset for partition, found in offsets.items()})
        self.maps.append({partition.partition: found.metadata for partition, found in offsets.items()})

    async def recover(self, numbers: Collection[int], done: Callable[[Recovered], None]) -> None:
        for number in set(numbers) - self.unrecovered:
            done(self.found.get(number) or Recovered(number, 0, None))
        if self.unrecovered:
            await asyncio.Event().wait()

    def produce(self, partition: int, *keys: bytes | None, first: int = 0) -> None:
        records = [
            ConsumerRecord(TOPIC, partition, first + n, 0, 0, key, b"v", None, 1, 1, ())
            for n, key in enumerate(keys)
        ]
        self.log.setdefault(partition, []).extend(records)
        self.written.setdefault(partition, []).extend(records)

    def make_anew(self, partition: int, *keys: bytes) -> None:
        """Delete the topic and create it again with these records; offsets begin at 0 again."""
        self.log[partition] = []
        self.written[partition] = []
        self.produce(partition, *keys)

    async def assign(self, *numbers: int, generations: int = 1) -> None:
        before = self.assignment()
        await self.listener.on_partitions_revoked(before)
        self.owned = set(numbers)
        self._coordinator.generation += generations
        await self.listener.on_partitions_assigned(self.assignment())


class HeldHandler:
    """Starts every record, and finishes the ones that the test names."""

    def __init__(self) -> None:
        self.started: list[Work] = []
        self.done: Any = None
        self.dropped: list[int] = []
        self.refusing = False
        self.late: set[int] = set()

    def drop(self, number: int) -> None:
        self.dropped.append(number)

    def abandon(self, work: Work) -> None:
        self.started.remove(work)
        asyncio.get_running_loop().call_soon(self.done, work)

    def prepare(self, work: Work) -> None:
        work.key = work.record.key or b"no key"

    def refuses(self, work: Work) -> bool:
        return work.record.offset in self.late

    def start(self, work: Work, done: Callable[[Work], None]) -> bool:
        self.started.append(work)
        self.done = done
        return not self.refusing and work.record.offset not in self.late

    def finish(self, offset: int, partition: int = 0) -> None:
        work = next(w for w in self.started if (w.record.partition, w.record.offset) == (partition, offset))
        self.started.remove(work)
        self.done(work)

    @property
    def running(self) -> list[tuple[int, int]]:
        return sorted((work.record.partition, work.record.offset) for work in self.started)


class LeasedMember:
    """A member of a group, with the clock of its process; the group answers heartbeats as it is told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.answered = True
        self.took_s = 0.0
        coordinator = SimpleNamespace(generation=1, _do_heartbeat=self._send)
        self.consumer: Any = SimpleNamespace(_coordinator=coordinator, seek=lambda *_: None)
        self.assignment = Assignment(
            Intake(max_in_flight=4, max_buffered=8, max_bytes=1000),
            lease=Lease(10.0, clock=lambda: self.now),
        )
        unused: Any = None
        self.rebalance = Rebalance(
            member=GroupMember(self.consumer),
            topic="questions",
            assignment=self.assignment,
            committer=unused,
            recover=self._recover,
            handler=unused,
            leaving=[],
            wake=lambda: None,
            hook=SimpleNamespace(partitions_assigned=lambda _: None),  # type: ignore[arg-type]  # all it tells
            timeout_s=1.0,
        )

    @property
    def gate(self) -> Any:
        return self.assignment.partitions[0].gate

    async def assign(self) -> None:
        await self.rebalance.on_partitions_assigned([TopicPartition("questions", 0)])
        self.assignment.recover(Recovered(0, 0, None))

    async def heartbeat(self) -> None:
        await self.consumer._coordinator._do_heartbeat()

    async def _send(self) -> bool:
        self.now += self.took_s
        return self.answered

    async def _recover(self, *_: Any) -> None:
        await self.recovery()

    async def recovery(self) -> None: ...
