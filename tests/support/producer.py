"""A broker in memory, its producers that fail as a test tells them, and a hook that keeps its reports."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka.errors import OutOfOrderSequenceNumber
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.publishing.records import Record
from streams.telemetry.hook import Hook

PARTITIONS = {"t.answers": 6, "t.questions.dlq": 3, "t.events": 6, "t.answers.deltas": 6, "replies": 2}
PARTITIONS |= {"answers": 6, "questions.dlq": 3, "events": 6, "answers.deltas": 6, "journal": 6}


class Recorded(BatchBuilder):
    """A batch that remembers its values."""

    def __init__(self, size: int) -> None:
        super().__init__(size, 0)
        self.values: list[bytes | None] = []

    def append(self, **record: Any) -> Any:
        added = super().append(**record)
        if added is not None:
            self.values.append(record["value"])
        return added


class Placed(NamedTuple):
    offset: int


class FakeProducer:
    """Acknowledges each batch at once, unless `refuse` gives an error for it or it is `held`."""

    def __init__(self, broker: "FakeBroker") -> None:
        self.broker = broker
        self.client = self
        self.cluster = self
        self.futures: list[asyncio.Future[Any]] = []

    async def start(self) -> None:
        self.broker.opened += 1

    async def stop(self) -> None:
        self.broker.closed += 1

    async def close(self) -> None: ...

    def add_listener(self, listener: Callable[[Any], None]) -> None:
        self.broker.listeners.append(listener)

    def add_topic(self, topic: str) -> None: ...

    def force_metadata_update(self) -> "asyncio.Future[bool]":
        updated: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        updated.set_result(True)
        return updated

    def leader_for_partition(self, place: Any) -> int | None:
        if place.topic in self.broker.deleted:
            return None
        return -1 if place.topic in self.broker.leaderless else 1

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(PARTITIONS[topic])) if topic in PARTITIONS else None

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(PARTITIONS[topic]))

    def create_batch(self) -> Recorded:
        return Recorded(self.broker.batch_size)

    async def send_batch(self, batch: Recorded, topic: str, *, partition: int) -> asyncio.Future[Any]:
        assert topic not in self.broker.leaderless | self.broker.deleted, "aiokafka would wait here"
        assert (topic, partition) not in self.broker.flying, "two batches of one partition at once"
        if self.broker.dead is self:
            raise OutOfOrderSequenceNumber
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.broker.flying.add((topic, partition))

        def deliver() -> None:
            self.broker.flying.discard((topic, partition))
            error = self.broker.refuse(topic, batch.values)
            if error is None:
                self.broker.log.append((topic, partition, list(batch.values)))
                future.set_result(Placed(self.broker.end(topic, partition, batch.values)))
            else:
                future.set_exception(error)

        if topic in self.broker.held:
            self.broker.held[topic].append(deliver)
        else:
            asyncio.get_running_loop().call_soon(deliver)
        return future


class FakeBroker:
    def __init__(self) -> None:
        self.log: list[tuple[str, int, list[bytes | None]]] = []
        self.flying: set[tuple[str, int]] = set()
        self.held: dict[str, list[Callable[[], None]]] = {}
        self.refuse: Callable[[str, list[bytes | None]], Exception | None] = lambda topic, values: None
        self.dead: FakeProducer | None = None
        self.leaderless: set[str] = set()
        self.deleted: set[str] = set()
        self.batch_size = 1000
        self.opened = self.closed = 0
        self.listeners: list[Callable[[Any], None]] = []

    def open(self) -> FakeProducer:
        return FakeProducer(self)

    def end(self, topic: str, partition: int, values: list[bytes | None]) -> int:
        """Return the first offset of the batch that was just written."""
        written = [len(batch) for name, at, batch in self.log if (name, at) == (topic, partition)]
        return sum(written) - len(values)

    def topics(self) -> list[str]:
        return [topic for topic, _, values in self.log for _ in values]

    def values(self, topic: str) -> list[bytes | None]:
        return [value for name, _, values in self.log if name == topic for value in values]


class RecordingHook(Hook):
    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []
        self.sent: list[str] = []
        self.dropped = 0

    def records_sent(self, topic: str, count: int, size: int) -> None:
        self.sent += [topic] * count

    def send_failed(self, topic: str, error: BaseException) -> None:
        self.failures.append((topic, type(error).__name__))

    def delta_dropped(self) -> None:
        self.dropped += 1


def record(value: bytes, partition: int = 0, **fields: Any) -> Record:
    return Record(
        **(
            {"topic": "t.answers", "key": b"k", "value": value, "headers": [], "partition": partition}
            | fields
        )
    )
