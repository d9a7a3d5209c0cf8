"""The loop against a fake consumer."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError

from streams.consumer.assignment import Assignment
from streams.consumer.capacity import LEAST, WINDOW_S
from streams.consumer.intake import Intake
from streams.consumer.loop import ConsumerLoop
from streams.consumer.offset_map import decode
from streams.consumer.recovered import Recovered
from streams.telemetry.hook import Hook
from tests.support.consumer import TOPIC, FakeConsumer, HeldHandler
from tests.support.system import eventually


class Told(Hook):
    def __init__(self) -> None:
        self.refused: list[str] = []
        self.out_of_range: list[tuple[int, int, int]] = []
        self.open: list[int] = []

    def offset_out_of_range(self, partition: int, committed: int, start: int) -> None:
        self.out_of_range.append((partition, committed, start))

    def transaction_open(self, partition: int) -> None:
        self.open.append(partition)

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
        recover=consumer.recover,
        handler=handler,
        assignment=Assignment(Intake(max_in_flight=4, max_buffered=8, max_bytes=10_000)),
        hook=hook,
        commit_interval_s=0.01,
        commit_timeout_s=20,
    )
    await made.start()
    yield made
    await made.aclose(timeout_s=1)


async def test_no_partition_is_polled_before_it_is_assigned(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    consumer.produce(0, b"a")
    consumer.owned = {0}
    await eventually(lambda: consumer.polls, 10, "a poll")
    assert set(consumer.polls) == {(-1,)}
    await consumer.assign(0)
    await eventually(lambda: handler.running == [(0, 0)], 10, "work")


async def test_a_full_worker_keeps_polling_and_takes_no_record(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The regular poll of a full worker comes too late for a refill.
    monkeypatch.setattr("streams.consumer.connection.TOUCH_S", 60)
    await consumer.assign(0)
    consumer.produce(0, *[b"%d" % n for n in range(50)])
    await eventually(lambda: len(consumer.log[0]) == 50 - 4 - 8 and consumer.polls[-1] == (-1,), 10, "full")
    assert len(handler.started) == 4
    for number in range(40):
        handler.finish(number)
        await asyncio.sleep(0)
        assert len(handler.started) == 4, "a freed slot is taken in the next turn"
        await eventually(lambda: loop._intake.buffered or not consumer.log[0], 10, "a refill")


async def test_a_refused_question_takes_no_slot_and_is_waited_for_at_the_end(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    handler.refusing = True
    await consumer.assign(0)
    consumer.produce(0, *[b"%d" % n for n in range(6)])
    await eventually(lambda: len(handler.started) == 6, 10, "more than there are slots")
    handler.refusing = False
    consumer.produce(0, *[b"%d" % n for n in range(6, 16)], first=6)
    await eventually(lambda: len(handler.started) == 10, 10, "as many as there are slots")
    loop.stop_fetching()
    ended = asyncio.create_task(loop.wait_idle())
    for number in range(6, 10):
        handler.finish(number)
    await asyncio.sleep(0)
    assert len(handler.started) == 6
    assert not ended.done()
    for number in range(6):
        handler.finish(number)
    await asyncio.wait_for(ended, 10)


async def test_a_question_without_time_left_is_refused_while_no_slot_is_free(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, *[b"%d" % n for n in range(6)], b"0")
    await eventually(lambda: loop._intake.buffered == 3 and len(handler.started) == 4, 10, "all slots taken")
    handler.late = {5, 6}  # the last is behind one that runs, and waits for it
    await eventually(lambda: handler.running == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 5)], 10, "a refusal")
    handler.finish(5)
    assert len(handler.started) == 4, "it took no slot, so it has freed none"
    handler.finish(0)
    await eventually(lambda: (0, 4) in handler.running and (0, 6) in handler.running, 10, "the slot is used")


async def test_a_rebalance_is_waited_for_without_polling(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.running == [(0, 0)], 10, "work")
    await consumer.listener.on_partitions_revoked(consumer.assignment())
    before = len(consumer.polls)
    for _ in range(200):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    # A real consumer's poll of nothing need not yield: without a wait, no heartbeat would leave.
    assert len(consumer.polls) - before <= 2


async def test_a_key_waits_for_its_head_while_others_pass(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a", b"b", None, None)
    await eventually(lambda: handler.running == [(0, 0), (0, 2), (0, 3)], 10, "the heads")
    handler.finish(0)
    await asyncio.sleep(0)
    assert handler.running == [(0, 1), (0, 2), (0, 3)]


async def test_records_polled_across_a_rebalance_are_read_again_from_where_we_are(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"b")
    await eventually(lambda: len(handler.started) == 2, 10, "work")
    epoch = loop._assignment.epoch
    await consumer.assign(0)
    consumer.seeks.clear()
    consumer.produce(0, b"c", first=2)
    polled = {TopicPartition(TOPIC, 0): consumer.log.pop(0), TopicPartition(TOPIC, 5): []}
    assert loop._connection is not None
    assert loop._connection._take_in(polled, epoch) == 0
    assert consumer.seeks == [(0, 2)]
    assert len(handler.started) == 2


async def test_records_run_after_the_recovery_and_completed_ones_never_again(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    consumer.unrecovered = {0}
    consumer.found = {1: Recovered(1, 5, 5, {6, 9})}
    consumer.produce(0, b"a")
    consumer.produce(1, *[b"%d" % n for n in range(4)], first=5)
    await consumer.assign(1, 0)
    await eventually(lambda: handler.running == [(1, 5), (1, 7), (1, 8)], 10, "what was not done")
    assert consumer.seeks == [(1, 5)]
    assert not loop.joined, "one partition waits for its recovery"
    for offset in (5, 7, 8):
        handler.finish(offset, partition=1)
    await eventually(lambda: consumer.commits[-1:] == [{1: 10}], 10, "what was done before counts")


async def test_a_commit_names_the_completed_offsets_above_it(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, *[b"%d" % n for n in range(4)])
    await eventually(lambda: len(handler.started) == 4, 10, "work")
    handler.finish(1)
    handler.finish(3)
    await eventually(lambda: consumer.commits, 10, "a commit of the map alone")
    assert consumer.commits[-1] == {0: 0}
    found = decode(consumer.maps[-1][0], 0)
    assert found is not None
    assert found.completed == {1, 3}
    count = len(consumer.commits)
    await eventually(lambda: len(consumer.polls) > 100, 10, "time")
    assert len(consumer.commits) == count, "nothing has changed"


async def test_a_partition_that_comes_back_goes_on(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0, 1)
    consumer.produce(0, b"a", b"a", b"b")
    await eventually(lambda: handler.running == [(0, 0), (0, 2)], 10, "work")
    handler.finish(2)
    await consumer.assign(0)
    assert handler.running == [(0, 0)]
    assert consumer.seeks[-1] == (0, 3), "nothing is read twice"
    assert loop.state()["partitions"]["0"]["epoch"] == 2
    handler.finish(0)
    await eventually(lambda: handler.running == [(0, 1)], 10, "the next in its lane")
    handler.finish(1)
    await eventually(lambda: consumer.commits[-1] == {0: 3}, 10, "the commit")
    assert loop.in_flight == 0


@pytest.mark.parametrize("generations", [2, 5])
async def test_a_partition_that_another_worker_may_have_had_is_recovered(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, generations: int
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a", b"b")
    await eventually(lambda: handler.running == [(0, 0), (0, 2)], 10, "work")
    old = list(handler.started)
    consumer.found = {0: Recovered(0, 1, 1, {2})}
    await consumer.assign(0, generations=generations)
    await eventually(lambda: handler.running == [(0, 1)], 10, "what another has not done")
    assert all(work.partition.lost and not work.partition.gate.open for work in old)
    assert loop.in_flight == 1


async def test_nothing_starts_or_goes_out_during_a_rebalance(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a")
    await eventually(lambda: handler.running == [(0, 0)], 10, "work")
    gate = handler.started[0].partition.gate
    await consumer.listener.on_partitions_revoked(consumer.assignment())
    assert not gate.open
    handler.finish(0)
    assert handler.running == []
    consumer._coordinator.generation += 1
    await consumer.listener.on_partitions_assigned(consumer.assignment())
    assert gate.open
    assert handler.running == [(0, 1)]


async def test_completed_offsets_are_committed_before_partitions_are_given_away(
    consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    loop = ConsumerLoop(
        topic=TOPIC,
        open_consumer=lambda: consumer,  # type: ignore[arg-type, return-value]
        recover=consumer.recover,
        handler=handler,
        assignment=Assignment(Intake(max_in_flight=4, max_buffered=8, max_bytes=10_000)),
        hook=hook,
        commit_interval_s=60,
    )
    await loop.start()
    await consumer.assign(0)
    consumer.produce(0, b"a", b"b", b"c")
    await eventually(lambda: len(handler.started) == 3, 10, "work")
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
    await eventually(lambda: handler.started, 10, "work")
    handler.finish(0)
    await asyncio.wait_for(hanging.wait(), 10)
    consumer.commit = consumer._accept
    await asyncio.wait_for(consumer.assign(1), 10)
    await eventually(lambda: cancelled, 10, "the end of the old commit")
    assert consumer.commits == [{0: 1}]


async def test_a_refused_commit_is_reported_and_repeated(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    async def refuse(offsets: Any) -> None:
        raise CommitFailedError("rebalanced")

    consumer.commit = refuse
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 10, "work")
    handler.finish(0)
    await eventually(lambda: len(hook.refused) >= 2, 10, "refusals")
    consumer.commit = consumer._accept
    await eventually(lambda: consumer.commits == [{0: 1}], 10, "the commit")


async def test_an_expelled_member_commits_nothing(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 10, "work")
    consumer._coordinator.generation = -1
    handler.finish(0)
    await consumer.assign()
    assert consumer.commits == []


async def test_polling_survives_a_retriable_error_and_ends_on_a_defect(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.errors = [KafkaConnectionError("away")]
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 10, "work")
    consumer.errors = [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a header's name")]
    with pytest.raises(UnicodeDecodeError):
        await asyncio.wait_for(loop.failed(), 3)


async def test_draining_starts_nothing_and_waits_for_running_questions(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"a")
    await eventually(lambda: handler.started, 10, "work")
    loop.stop_fetching()
    idle = asyncio.create_task(loop.wait_idle())
    handler.finish(0)
    await asyncio.wait_for(idle, 10)
    assert not handler.started
    await loop.aclose(timeout_s=1)
    assert consumer.commits[-1] == {0: 1}


async def test_a_lost_partition_is_forgotten_and_a_kept_one_is_not(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0, 1)
    await eventually(lambda: loop.joined, 10, "recovery")
    await consumer.assign(1)
    assert handler.dropped == [0]


async def test_a_partition_is_paused_while_its_dead_letter_cannot_be_written(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    await consumer.assign(0, 1)
    consumer.produce(0, b"a", b"b")
    await eventually(lambda: handler.running == [(0, 0), (0, 1)], 10, "work")
    gate = loop._assignment.gate_of(0)
    gate.blocks["a letter"] = "the reason"
    consumer.produce(0, b"c", b"b", b"d", first=2)
    consumer.produce(1, b"a", b"b")
    await eventually(lambda: (1, 1) in handler.running, 10, "the other partition")
    handler.finish(0)
    handler.finish(1, 1)
    assert handler.running == [(0, 1), (1, 0)]
    assert loop.paused == 1
    assert loop.state()["partitions"]["0"]["paused"] == "the reason"
    del gate.blocks["a letter"]
    handler.finish(1)
    assert loop.paused == 0
    await eventually(lambda: handler.running == [(0, 2), (0, 3), (0, 4), (1, 0)], 10, "what waited")


async def test_nothing_starts_while_waiting_outcomes_leave_no_room(
    consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    room = True
    loop = ConsumerLoop(
        topic=TOPIC,
        open_consumer=lambda: consumer,  # type: ignore[arg-type, return-value]
        recover=consumer.recover,
        handler=handler,
        assignment=Assignment(
            Intake(max_in_flight=4, max_buffered=8, max_bytes=10_000, has_room=lambda: room)
        ),
        hook=hook,
    )
    await loop.start()
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.started, 10, "work")
    room = False
    consumer.produce(0, b"b", first=1)
    await eventually(lambda: loop.incomplete == 2, 10, "the record")
    assert handler.running == [(0, 0)]
    room = True
    handler.finish(0)
    await asyncio.sleep(0)
    assert handler.running == [(0, 1)]
    handler.finish(1)
    await loop.aclose(timeout_s=1)


class HungClient:
    """A part of a consumer that never ends."""

    async def close(self) -> None:
        await asyncio.Event().wait()


class HungConsumer(FakeConsumer):
    """Neither connects nor ends, as without a broker."""

    def __init__(self) -> None:
        super().__init__()
        self._client = self._fetcher = HungClient()
        self._coordinator.member_id = "m"  # type: ignore[attr-defined] - as aiokafka's has
        self._coordinator._coordination_task = self._coordinator._heartbeat_task = None  # type: ignore[attr-defined] - as above

    async def start(self) -> None:
        await asyncio.Event().wait()

    stop = start


@pytest.mark.looptime
async def test_the_end_does_not_wait_for_a_consumer_that_is_being_rebuilt(
    consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    consumer._coordinator.member_id = "m"  # type: ignore[attr-defined] - as aiokafka's has
    consumers = [HungConsumer(), consumer]
    loop = ConsumerLoop(
        topic=TOPIC,
        open_consumer=consumers.pop,  # type: ignore[arg-type]
        recover=consumer.recover,
        handler=handler,
        assignment=Assignment(Intake(max_in_flight=4, max_buffered=8, max_bytes=10_000)),
        hook=hook,
    )
    await loop.start()
    await consumer.assign(0)
    rebuilding = asyncio.create_task(loop.rebuild())
    await eventually(lambda: not consumers, 10, "another consumer")
    began = asyncio.get_running_loop().time()
    await loop.aclose(timeout_s=2)
    assert asyncio.get_running_loop().time() - began <= 3.1
    rebuilding.cancel()
    await asyncio.gather(rebuilding, return_exceptions=True)


async def test_records_that_wait_for_a_late_event_loop_start_when_it_is_prompt(
    consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    intake = Intake(max_in_flight=2 * LEAST, max_buffered=10 * LEAST, max_bytes=100_000)
    loop = ConsumerLoop(
        topic=TOPIC,
        open_consumer=lambda: consumer,  # type: ignore[arg-type, return-value]
        recover=consumer.recover,
        handler=handler,
        assignment=Assignment(intake),
        hook=hook,
    )
    await loop.start()
    await consumer.assign(0)
    intake.capacity.observe(time.monotonic() - 2 * WINDOW_S, 1.0, 0)
    assert loop.limit == loop.state()["in_flight_limit"] == LEAST
    consumer.produce(0, *(b"%d" % n for n in range(2 * LEAST)))
    await eventually(lambda: loop.incomplete == 2 * LEAST, 10, "the records")
    assert len(handler.running) == LEAST
    loop.observe_lag(0.0)
    assert LEAST < len(handler.running) == loop.limit < 2 * LEAST
    await loop.aclose(timeout_s=1)


async def test_a_topic_made_anew_is_recovered_from_its_beginning_and_every_record_of_it_runs(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    await consumer.assign(0, 1)
    consumer.produce(0, b"a", b"b", b"c", b"a")
    await eventually(lambda: handler.running == [(0, 0), (0, 1), (0, 2)], 10, "work")
    consumer.produce(1, b"a")
    await eventually(lambda: (1, 0) in handler.running, 10, "the other partition")
    for offset in (0, 1):
        handler.finish(offset)
    await eventually(lambda: consumer.commits[-1:] == [{0: 2}] and (0, 3) in handler.running, 10, "a commit")
    old = handler.started[-1].partition if handler.started[-1].record.partition == 0 else None
    consumer.make_anew(0, b"x", b"y", b"x")
    await eventually(lambda: handler.running == [(0, 0), (0, 1), (1, 0)], 10, "the new records")
    assert hook.out_of_range == [(0, 4, 0)], "it is told once"
    assert consumer.commits[-1] == {0: 0}, "the old topic's commit is replaced"
    assert consumer.maps[-1] == {0: ""}
    assert handler.dropped == [0]
    assert old is None or old.lost
    handler.finish(0)
    await eventually(lambda: handler.running == [(0, 1), (0, 2), (1, 0)], 10, "the next in its lane")
    for offset in (1, 2):
        handler.finish(offset)
    await eventually(lambda: consumer.commits[-1] == {0: 3}, 10, "the new topic's commit")
    assert handler.running == [(1, 0)]
    assert hook.out_of_range == [(0, 4, 0)]


async def test_a_topic_made_anew_is_noticed_before_anything_of_the_old_one_was_polled(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    consumer.found = {0: Recovered(0, 7, 7)}
    consumer.produce(0, *[b"%d" % n for n in range(8)])
    await consumer.assign(0)
    await eventually(lambda: handler.running == [(0, 7)], 10, "work")
    handler.finish(7)
    consumer.found = {0: Recovered(0, 0, 0, {1})}
    consumer.make_anew(0, b"x", b"y", b"z")
    await eventually(lambda: handler.running == [(0, 0), (0, 2)], 10, "all but the one with an outcome")
    assert hook.out_of_range == [(0, 8, 0)]


async def test_a_partition_made_anew_waits_until_its_old_commit_is_replaced(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumer.rebalance.RETRY_S", 0.01)
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.running == [(0, 0)], 10, "work")
    handler.finish(0)
    await eventually(lambda: consumer.commits == [{0: 1}], 10, "a commit")
    refused = 0

    async def refuse(_: Any) -> None:
        nonlocal refused
        refused += 1
        raise CommitFailedError("rebalanced")

    consumer.commit = refuse
    consumer.make_anew(0, b"x")
    await eventually(lambda: refused > 2, 10, "attempts")
    assert handler.running == []
    assert not loop.joined
    consumer.commit = consumer._accept
    await eventually(lambda: handler.running == [(0, 0)], 10, "the new record")
    assert consumer.commits == [{0: 1}, {0: 0}]


@pytest.mark.parametrize("reported", [False, True])
async def test_a_lost_partition_that_comes_back_below_its_commit_is_of_a_topic_made_anew(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, hook: Told, reported: bool
) -> None:
    await consumer.assign(0, 1)
    consumer.produce(0, b"a", b"b")
    await eventually(lambda: len(handler.started) == 2, 10, "work")
    handler.finish(0)
    await consumer.assign()
    assert consumer.commits == [{0: 1}]
    consumer.make_anew(0, b"x")
    consumer.found = {0: Recovered(0, 0, None, reported=reported), 1: Recovered(1, 0, None)}
    await consumer.assign(0, 1)
    await eventually(lambda: handler.running == [(0, 0)], 10, "the new record")
    assert hook.out_of_range == ([] if reported else [(0, 1, 0)])
    await consumer.assign()
    await consumer.assign(0, 1)
    await eventually(lambda: loop.joined, 10, "recovery")
    assert len(hook.out_of_range) < 2, "it is told once"


async def test_records_polled_while_a_rebalance_is_under_way_are_no_new_topic(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, hook: Told
) -> None:
    await consumer.assign(0)
    consumer.produce(0, b"a", b"b")
    await eventually(lambda: len(handler.started) == 2, 10, "work")
    await consumer.listener.on_partitions_revoked(consumer.assignment())
    # The consumer has joined and reads from the commit, and its listener does not know of it.
    assert loop._connection is not None
    polled = {TopicPartition(TOPIC, 0): list(consumer.written[0])}
    assert loop._connection._take_in(polled, loop._assignment.epoch) == 0
    assert hook.out_of_range == []
    assert handler.running == [(0, 0), (0, 1)]


async def test_positions_are_the_commit_points_or_where_recovery_begins(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler
) -> None:
    consumer.found = {1: Recovered(1, 5, 5), 2: Recovered(2, 0, None)}
    await consumer.assign(0, 1, 2)
    consumer.produce(0, b"a", b"b")
    await eventually(lambda: len(handler.started) == 2, 10, "work")
    handler.finish(0)
    assert loop.positions == {0: 1, 1: 5, 2: None}


async def test_the_marker_of_a_transaction_is_committed_with_the_records_before_it(
    loop: ConsumerLoop, consumer: FakeConsumer, handler: HeldHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumer.connection.LOOK_S", 0.0)
    consumer.markers = {0: 1, 1: 2}
    await consumer.assign(0, 1)
    consumer.produce(0, b"a")
    await eventually(lambda: handler.running == [(0, 0)], 10, "work")
    await eventually(lambda: {1: 2} in consumer.commits, 10, "a commit of markers alone")
    assert not any(0 in commit for commit in consumer.commits)
    handler.finish(0)
    await eventually(lambda: {0: 2} in consumer.commits, 10, "a commit above the marker")
    assert loop.positions == {0: 2, 1: 2}


async def test_an_open_transaction_is_shown_and_told_once(
    loop: ConsumerLoop,
    consumer: FakeConsumer,
    handler: HeldHandler,
    hook: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.consumer.connection.LOOK_S", 0.0)
    monkeypatch.setattr("streams.kafka.transactions.WARN_S", 0.02)
    consumer.markers, consumer.open_from = {0: 5}, {0: 1}
    await consumer.assign(0)
    consumer.produce(0, b"a")
    await eventually(lambda: hook.open, 10, "a warning")
    before = len(consumer.polls)
    await eventually(lambda: len(consumer.polls) > before + 20, 10, "more polls")
    assert hook.open == [0]
    assert loop.state()["partitions"]["0"]["open_transaction_s"] >= 0.02
    consumer.open_from = {}
    await eventually(lambda: not loop.state()["partitions"]["0"]["open_transaction_s"], 10, "its end")
