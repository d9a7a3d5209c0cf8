"""The loop against a consumer that does what it is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError

from streams.consumer.intake import Intake
from streams.consumer.loop import ConsumerLoop
from streams.consumer.work import Work
from streams.telemetry.hook import Hook
from tests.support.system import eventually

TOPIC = "questions"


class Coordinator:
    generation = 1


class FakeConsumer:
    """Gives out what is in `log`; every call is kept."""

    def __init__(self) -> None:
        self.log: dict[int, list[ConsumerRecord]] = {}
        self.owned: set[int] = set()
        self.polls: list[tuple[int, ...]] = []
        self.commits: list[dict[int, int]] = []
        self.commit: Callable[[dict[TopicPartition, int]], Any] = self._accept
        self.errors: list[Exception] = []
        self.seeks: list[tuple[int, int]] = []
        self.listener: Any = None
        self._coordinator = Coordinator()

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

    async def _accept(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits.append({partition.partition: offset for partition, offset in offsets.items()})

    def produce(self, partition: int, *keys: bytes | None, first: int = 0) -> None:
        self.log.setdefault(partition, []).extend(
            ConsumerRecord(TOPIC, partition, first + n, 0, 0, key, b"v", None, 1, 1, ())
            for n, key in enumerate(keys)
        )

    async def assign(self, *numbers: int) -> None:
        before = self.assignment()
        await self.listener.on_partitions_revoked(before)
        self.owned = set(numbers)
        await self.listener.on_partitions_assigned(self.assignment())


class HeldHandler:
    """Starts whatever it is given and finishes what the test says."""

    def __init__(self) -> None:
        self.started: list[Work] = []
        self.done: Any = None

    def conversation_key(self, work: Work) -> bytes:
        return b"no key"

    def start(self, work: Work, done: Callable[[Work], None]) -> None:
        self.started.append(work)
        self.done = done

    def finish(self, offset: int, partition: int = 0) -> None:
        work = next(w for w in self.started if (w.record.partition, w.record.offset) == (partition, offset))
        self.started.remove(work)
        self.done(work)

    @property
    def running(self) -> list[tuple[int, int]]:
        return sorted((work.record.partition, work.record.offset) for work in self.started)


class Told(Hook):
    def __init__(self) -> None:
        self.refused: list[str] = []

    def commit_failed(self, error: BaseException) -> None:
        self.refused.append(type(error).__name__)


@pytest.fixture
def consumer() -> FakeConsumer:
    return FakeConsumer()


@pytest.fixture
def handler() -> HeldHandler:
    return HeldHandler()


@pytest.fixture
def hook() -> Told:
    return Told()


@pytest.fixture
async def loop(consumer: FakeConsumer, handler: HeldHandler, hook: Told) -> Any:
    made = ConsumerLoop(
        topic=TOPIC,
        open_consumer=lambda: consumer,  # type: ignore[arg-type, return-value]
        handler=handler,
        intake=Intake(max_in_flight=4, max_buffered=8, max_bytes=10_000),
        hook=hook,
        commit_interval_s=0.01,
        commit_timeout_s=20,
    )
    await made.start()
    yield made
    await made.aclose(timeout_s=1)


async def test_nothing_is_asked_for_before_partitions_are_assigned(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    consumer.produce(0, b"a")
    consumer.owned = {0}
    await eventually(lambda: consumer.polls, 2, "a poll")
    assert set(consumer.polls) == {(-1,)}
    await consumer.assign(0)
    await eventually(lambda: handler.running == [(0, 0)], 2, "work")


async def test_when_full_it_touches_the_group_and_takes_no_record(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, *[b"%d" % n for n in range(50)])
    await eventually(lambda: len(consumer.log[0]) == 50 - 4 - 8 and consumer.polls[-1] == (-1,), 2, "full")
    assert len(handler.started) == 4
    for number in range(40):
        handler.finish(number)
        assert len(handler.started) == 4, "a freed slot is taken at once"
        # Well below the second after which a full worker polls in any case.
        await eventually(lambda: loop._intake.buffered or not consumer.log[0], 0.5, "a refill")


async def test_a_key_waits_for_its_head_while_others_pass(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a", b"b", None, None)
    await eventually(lambda: handler.running == [(0, 0), (0, 2), (0, 3)], 2, "the heads")
    handler.finish(0)
    assert handler.running == [(0, 1), (0, 2), (0, 3)]


async def test_records_of_a_partition_that_was_not_announced_are_given_back(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    consumer.produce(5, b"a", first=70)
    loop._take_in({TopicPartition(TOPIC, 5): consumer.log[5]})
    assert consumer.seeks == [(5, 70)]
    assert not handler.started


async def test_what_finishes_after_a_rebalance_counts_for_nobody(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a", b"b")
    await eventually(lambda: len(handler.started) == 2, 2, "work")
    handler.finish(2)
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a", b"b")
    await eventually(lambda: handler.running == [(0, 0), (0, 0), (0, 2)], 2, "the same again")
    handler.finish(0)  # the one of the first assignment
    assert loop.state()["partitions"]["0"]["commit_point"] == 0
    assert handler.running == [(0, 0), (0, 2)], "its lane is another one's now"
    handler.finish(0)
    assert handler.running == [(0, 1), (0, 2)]
    await eventually(lambda: consumer.commits == [{0: 1}], 2, "one commit")
    assert loop.in_flight == 2


async def test_what_is_done_is_committed_before_partitions_are_given_away(
    consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    loop = ConsumerLoop(
        topic=TOPIC,
        open_consumer=lambda: consumer,  # type: ignore[arg-type, return-value]
        handler=handler,
        intake=Intake(max_in_flight=4, max_buffered=8, max_bytes=10_000),
        hook=hook,
        commit_interval_s=60,
    )
    await loop.start()
    await consumer.assign(0)
    consumer.produce(0, b"a", b"b", b"c")
    await eventually(lambda: len(handler.started) == 3, 2, "work")
    handler.finish(0)
    handler.finish(2)
    await consumer.assign()
    assert consumer.commits == [{0: 1}]
    assert loop.state()["partitions"] == {}
    await loop.aclose(timeout_s=1)
    assert consumer.commits == [{0: 1}]


async def test_a_commit_under_way_is_given_up_when_a_rebalance_begins(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    hanging = asyncio.Event()
    cancelled = []

    async def hang(offsets: Any) -> None:
        hanging.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(offsets)
            raise

    consumer.commit = hang
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 2, "work")
    handler.finish(0)
    await asyncio.wait_for(hanging.wait(), 2)
    consumer.commit = consumer._accept
    await asyncio.wait_for(consumer.assign(1), 2)
    await eventually(lambda: cancelled, 2, "the end of the old commit")
    assert consumer.commits == [{0: 1}]


async def test_a_refused_commit_is_told_and_repeated(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    async def refuse(offsets: Any) -> None:
        raise CommitFailedError("rebalanced")

    consumer.commit = refuse
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 2, "work")
    handler.finish(0)
    await eventually(lambda: len(hook.refused) >= 2, 2, "refusals")
    consumer.commit = consumer._accept
    await eventually(lambda: consumer.commits == [{0: 1}], 2, "the commit")


async def test_nothing_is_committed_by_one_that_was_expelled(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 2, "work")
    consumer._coordinator.generation = -1
    handler.finish(0)
    await consumer.assign()
    assert consumer.commits == []


async def test_polling_survives_what_may_pass_and_ends_on_what_may_not(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.errors = [KafkaConnectionError("away")]
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 3, "work")
    consumer.errors = [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a header's name")]
    with pytest.raises(UnicodeDecodeError):
        await asyncio.wait_for(loop.failed(), 3)


async def test_draining_starts_nothing_and_waits_for_what_runs(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a")
    await eventually(lambda: handler.started, 2, "work")
    loop.stop_fetching()
    idle = asyncio.create_task(loop.wait_idle())
    handler.finish(0)
    await asyncio.wait_for(idle, 1)
    assert not handler.started
    await loop.aclose(timeout_s=1)
    assert consumer.commits[-1] == {0: 1}
