"""The rules of one partition: which of its records start, and which commit is due."""

import math
import random
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from streams.consumer import partition as partition_module
from streams.consumer.assignment import Assignment
from streams.consumer.intake import Intake
from streams.consumer.offset_map import decode
from streams.consumer.partition import Partition, Work
from streams.consumer.recovered import Recovered
from streams.kafka.transactions import UNKNOWN, Progress

COUNT = 40


def work_of(partition: Partition, offset: int, tenant: str = "a") -> Work:
    record: Any = ConsumerRecord("questions", partition.number, offset, 0, 0, b"k", b"v", None, 1, 1, ())
    work = Work(record, partition, 1)
    work.key, work.tenant = b"%d" % offset, tenant
    return work


def test_a_record_that_is_not_prepared_has_no_lane_no_tenant_and_no_deadline(partition: Partition) -> None:
    record: Any = ConsumerRecord("questions", partition.number, 0, 0, 0, b"k", b"v", None, 1, 1, ())
    work = Work(record, partition, 1)
    assert (work.key, work.tenant, work.expires_at, work.late_at) == (b"", "", math.inf, math.inf)


def offsets(works: list[Work]) -> list[int]:
    return [work.record.offset for work in works]


@pytest.fixture
def assignment() -> Assignment:
    made = Assignment(Intake(max_in_flight=1000, max_buffered=1000, max_bytes=10**6), lambda _: 700)
    made.assign([0], 1)
    made.recover(Recovered(0, 0, None))
    return made


@pytest.fixture
def partition(assignment: Assignment) -> Partition:
    return assignment.partitions[0]


@pytest.fixture
def short_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map with no short form fits no commit once it spans a few dozen offsets."""
    encode = partition_module.encode
    monkeypatch.setattr(partition_module, "encode", lambda *arguments: encode(*arguments, 26))


def poll(assignment: Assignment, *numbers: int, tenant: str = "a") -> None:
    partition = assignment.partitions[0]
    for offset in numbers:
        assignment.take_in(work_of(partition, offset, tenant), 0.0)


@pytest.mark.usefixtures("short_maps")
def test_no_record_above_the_ceiling_starts_until_the_map_fits_again(
    assignment: Assignment, partition: Partition
) -> None:
    poll(assignment, *range(COUNT))
    running = {work.record.offset: work for work in assignment.take(COUNT)}
    chance = random.Random(4)
    done = sorted(offset for offset in range(1, COUNT) if chance.random() < 0.5)
    for offset in done:
        assignment.finish(running[offset])
    assert assignment.due(partition) is not None
    assert partition.ceiling == done[-1]
    poll(assignment, *range(COUNT, COUNT + 3))
    assert assignment.take(COUNT) == [], "each would make the map longer"
    assert assignment.take_if(lambda _: True, COUNT) == []
    assert offsets(partition.held_back) == [COUNT, COUNT + 1, COUNT + 2]
    assert assignment.due(partition) is not None
    assert assignment.take(COUNT) == [], "the map is as long as it was"
    for offset in sorted(set(range(done[-1])) - set(done)):
        assignment.finish(running[offset])
    assert assignment.due(partition) is not None
    assert partition.ceiling is None
    assert offsets(assignment.take(COUNT)) == [COUNT, COUNT + 1, COUNT + 2]


@pytest.mark.usefixtures("short_maps")
def test_a_record_below_the_ceiling_starts(assignment: Assignment, partition: Partition) -> None:
    poll(assignment, *range(0, COUNT, 2), *range(COUNT, 3 * COUNT))
    partition.ceiling = COUNT
    assert offsets(assignment.take(1000)) == [*range(0, COUNT, 2), COUNT]


def test_a_commit_is_due_where_the_point_or_the_map_has_changed(
    assignment: Assignment, partition: Partition
) -> None:
    assert assignment.due(partition) is None, "nothing was polled"
    poll(assignment, 0, 1, 2)
    first, second, third = assignment.take(3)
    assert assignment.due(partition) is None, "nothing is done"
    assignment.finish(second)
    due = assignment.due(partition)
    assert due is not None
    assert due.point == 0
    partition.commit(due)
    assert partition.committed == 0
    assert assignment.due(partition) is None
    assignment.finish(first)
    due = assignment.due(partition)
    assert due is not None
    assert due.point == 2
    assert assignment.due(partition) == due, "it is due until the broker has it"
    assignment.finish(third)


def test_a_scan_begins_at_the_end_of_answers_when_the_first_running_one_started(
    assignment: Assignment, partition: Partition
) -> None:
    partition.position = 500
    poll(assignment, 0, 1)
    [first] = assignment.take(1)
    partition.position = 600
    [second] = assignment.take(1)
    assert partition.scan_from == 500
    assignment.finish(second)
    due = assignment.due(partition)
    assert due is not None
    offset_map = decode(due.metadata, due.point)
    assert offset_map is not None
    assert offset_map.scan_from == 500
    assignment.finish(first)
    assert partition.scan_from == 700


def test_a_partition_that_begins_anew_forgets_its_records_and_starts_none_before_it_is_recovered(
    assignment: Assignment, partition: Partition
) -> None:
    poll(assignment, 0, 1, 2)
    [running] = assignment.take(1)
    assert assignment.begin_anew(0) is partition
    assert partition.lost
    assert assignment.take(10) == []
    assert assignment.intake.buffered == 0
    assert assignment.intake.hungry == set()
    fresh = assignment.partitions[0]
    assert not fresh.ready
    assignment.recover(Recovered(0, 0, 0))
    poll(assignment, 0, 1)
    assert offsets(assignment.take(10)) == [0, 1]
    assignment.finish(running)
    assert fresh.tracker.incomplete_count == 2, "an old record completes no new one"


def test_a_tenant_has_no_more_than_its_share_of_the_slots_while_there_are_others() -> None:
    made = Assignment(Intake(max_in_flight=8, max_buffered=100, max_bytes=10**6, tenant_share=0.5))
    made.assign([0], 1)
    made.recover(Recovered(0, 0, None))
    poll(made, *range(20), tenant="loud")
    alone = made.take(3)
    assert len(alone) == 3
    poll(made, 20, 21, tenant="quiet")
    started = made.take(8)
    tenants = [work.tenant for work in [*alone, *started]]
    assert (tenants.count("loud"), tenants.count("quiet")) == (4, 2)
    assert made.intake.slots == 2, "they are kept for others"
    made.finish(alone[0])
    assert [work.tenant for work in made.take(8)] == ["loud"]


def test_wanted_records_start_though_no_slot_is_free_but_not_during_a_rebalance() -> None:
    made = Assignment(Intake(max_in_flight=1, max_buffered=100, max_bytes=10**6))
    made.assign([0], 1)
    made.recover(Recovered(0, 0, None))
    poll(made, *range(5))
    assert offsets(made.take(9)) == [0]
    made.hold()
    assert made.take_if(lambda _: True, 9) == []
    made.assign([0], 1)
    found = made.take_if(lambda _: True, 3)
    assert offsets(found) == [1, 2, 3]
    assert set(found) < set(made.partitions[0].running)
    assert made.lanes.running("a") == 4


def test_a_wanted_record_that_is_held_back_is_not_counted_as_running(
    assignment: Assignment, partition: Partition
) -> None:
    poll(assignment, 0, 1)
    partition.ceiling = 0
    assert offsets(assignment.take_if(lambda _: True, 9)) == [0]
    assert offsets(partition.held_back) == [1]
    assert assignment.lanes.running("a") == 1


def test_a_record_whose_outcome_waits_gives_its_slot_back_once(assignment: Assignment) -> None:
    poll(assignment, 0)
    [work] = assignment.take(1)
    assignment.free_slot(work)
    assert (assignment.intake.running, assignment.lanes.running("a")) == (0, 0)
    assignment.finish(work)
    assert (assignment.intake.running, assignment.intake.in_flight, assignment.lanes.running("a")) == (
        0,
        0,
        0,
    )


def test_a_partition_stays_from_the_first_generation_of_a_group_to_the_next() -> None:
    made = Assignment(Intake(max_in_flight=1, max_buffered=1, max_bytes=1))
    made.assign([0], 0)
    assert made.partitions[0].committed is None
    assert made.partitions[0].tracker.epoch == 1
    assert (made.partitions[0].position, made.partitions[0].resume) == (0, 0)
    made.recover(Recovered(0, 0, None))
    assert made.partitions[0].tracker.epoch == 1
    assert [one.number for one in made.assign([0], 1).kept] == [0]
    assert made.partitions[0].tracker.epoch == 2


def test_a_recovery_counts_once_and_for_our_partitions_only(
    assignment: Assignment, partition: Partition
) -> None:
    poll(assignment, 0)
    assert assignment.recover(Recovered(0, 5, 5)) is None
    assert partition.tracker.next == 1
    assert assignment.recover(Recovered(7, 0, None)) is None


def test_no_slot_is_given_during_a_rebalance(assignment: Assignment) -> None:
    poll(assignment, 0, 1)
    assignment.hold()
    assert assignment.take(9) == []
    assignment.assign([0], 1)
    assert offsets(assignment.take(9)) == [0, 1]


def test_no_more_records_start_once_their_bytes_are_used_up() -> None:
    made = Assignment(Intake(max_in_flight=9, max_buffered=9, max_bytes=2))
    made.assign([0], 1)
    made.recover(Recovered(0, 0, None))
    poll(made, *range(4))
    assert offsets(made.take(9)) == [0, 1]


def test_held_back_records_up_to_the_ceiling_are_freed(partition: Partition) -> None:
    partition.held_back = [work_of(partition, offset) for offset in range(4)]
    partition.ceiling = 2
    assert offsets(partition.freed()) == [0, 1, 2]
    assert offsets(partition.held_back) == [3]


def test_no_held_back_record_is_freed_while_a_dead_letter_cannot_be_written(partition: Partition) -> None:
    partition.held_back = [work_of(partition, 0)]
    partition.gate.blocks["letter"] = "the topic is away"
    assert partition.freed() == []
    partition.gate.blocks.clear()
    assert offsets(partition.freed()) == [0]
    partition.held_back = [work_of(partition, 0)]
    partition.gate.lose()
    assert partition.freed() == []


def test_a_record_that_was_put_back_is_dropped_with_its_partition(
    assignment: Assignment, partition: Partition
) -> None:
    poll(assignment, 0, 1)
    partition.ceiling = 0
    [first] = assignment.take(9)
    partition.ceiling = None
    assignment.finish(first)
    assert partition.held_back == []
    assignment.begin_anew(0)
    assert assignment.take(9) == []
    assert len(assignment.lanes) == 0
    assert assignment.lanes.take(9) is None


def test_the_gate_of_a_partition_that_is_not_ours_is_lost(assignment: Assignment) -> None:
    assert assignment.gate_of(0) is assignment.partitions[0].gate
    assert assignment.gate_of(7).lost
    assert not assignment.gate_of(7).open


def test_a_tenant_that_is_alone_has_all_the_slots() -> None:
    made = Assignment(Intake(max_in_flight=8, max_buffered=100, max_bytes=10**6, tenant_share=0.5))
    made.assign([0], 1)
    made.recover(Recovered(0, 0, None))
    poll(made, *range(20), tenant="loud")
    assert len(made.take(20)) == 8


def test_offsets_without_a_record_are_committed_although_nothing_was_polled(
    assignment: Assignment, partition: Partition
) -> None:
    partition.look(Progress(0, 0, 0), 0.0)
    assert assignment.due(partition) is None
    partition.look(UNKNOWN, 0.0)
    assert assignment.due(partition) is None
    partition.look(Progress(3, 3, 3), 0.0)
    due = assignment.due(partition)
    assert due is not None
    assert due.point == partition.resume == 3
    partition.commit(due)
    partition.look(Progress(3, 3, 3), 0.0)
    assert assignment.due(partition) is None


def test_a_marker_behind_the_last_commit_is_committed_after_a_restart(assignment: Assignment) -> None:
    assignment.assign([0, 1], 3)
    assignment.recover(Recovered(1, 7, 7))
    partition = assignment.partitions[1]
    partition.look(Progress(8, 8, 8), 0.0)
    due = assignment.due(partition)
    assert due is not None
    assert due.point == 8
