"""Commits are made in turns, so that many maps hold nothing else up, and of one assignment only."""

import asyncio
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.consumer import commits
from streams.consumer.assignment import Assignment
from streams.consumer.commits import Committer
from streams.consumer.intake import Intake
from streams.consumer.partition import Work
from streams.consumer.recovered import Recovered
from streams.kafka.group_member import GroupMember
from streams.telemetry.hook import Hook

TOPIC = "questions"
COUNT = 8


class Coordinator:
    generation = 1


class FakeConsumer:
    """Has all partitions, and keeps the commits."""

    def __init__(self) -> None:
        self.commits: list[dict[int, int]] = []
        self._coordinator = Coordinator()

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC, number) for number in range(COUNT)}

    async def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        self.commits.append({place.partition: found.offset for place, found in offsets.items()})


@pytest.fixture
def assignment() -> Assignment:
    """Of each partition one record is done."""
    assignment = Assignment(Intake(max_in_flight=COUNT, max_buffered=COUNT, max_bytes=10**6))
    assignment.assign(range(COUNT), 1)
    for number in range(COUNT):
        assignment.recover(Recovered(number, 0, None))
        record: Any = ConsumerRecord(TOPIC, number, 0, 0, 0, b"k", b"v", None, 1, 1, ())
        assignment.take_in(Work(record, assignment.partitions[number], 2), 0.0)
    for work in assignment.take(COUNT):
        assignment.finish(work)
    return assignment


@pytest.fixture
def in_small_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "TURN_S", 0.0)


@pytest.mark.usefixtures("in_small_turns")
async def test_other_tasks_have_their_turn_while_maps_are_made(assignment: Assignment) -> None:
    consumer, turns = FakeConsumer(), 0
    committing = asyncio.create_task(Committer(GroupMember(consumer), TOPIC, assignment, Hook()).acommit(5.0))
    while not committing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= COUNT
    assert consumer.commits == [dict.fromkeys(range(COUNT), 1)]


@pytest.mark.usefixtures("in_small_turns")
async def test_a_commit_that_a_rebalance_overtakes_is_not_made(assignment: Assignment) -> None:
    consumer = FakeConsumer()
    committer = Committer(GroupMember(consumer), TOPIC, assignment, Hook())
    committing = asyncio.create_task(committer.acommit(5.0))
    await asyncio.sleep(0)
    assignment.hold()
    await committing
    assert consumer.commits == []
    await committer.acommit(5.0)  # as is done when partitions are taken away
    assert consumer.commits == [dict.fromkeys(range(COUNT), 1)]
