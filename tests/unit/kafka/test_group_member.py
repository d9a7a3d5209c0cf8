"""The adapter to aiokafka's private names, against objects that have those names."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka.group_member import EXPELLED, GroupMember
from streams.kafka.transactions import UNKNOWN, Progress

PLACE = TopicPartition("questions", 0)


def member_of(coordinator: Any, **parts: Any) -> GroupMember:
    return GroupMember(SimpleNamespace(_coordinator=coordinator, **parts))


def test_a_consumer_that_was_not_started_is_in_no_group() -> None:
    member = member_of(None)
    assert member.generation == EXPELLED
    assert member.forget() == ""


def test_a_member_that_is_forgotten_gives_its_id_to_another_consumer() -> None:
    first = SimpleNamespace(generation=4, member_id="m")
    second = SimpleNamespace(generation=EXPELLED, member_id="")
    assert member_of(first).forget() == "m"
    assert first.generation == EXPELLED, "else it would leave the group when it stops"
    member_of(second).adopt("m")
    assert second.member_id == "m"


async def test_a_heartbeat_counts_from_its_sending_and_only_if_it_is_answered_well() -> None:
    now, well, times = 100.0, True, []

    async def send() -> bool:
        nonlocal now
        now += 5
        return well

    coordinator = SimpleNamespace(_do_heartbeat=send)
    member = member_of(coordinator)
    for _ in range(2):
        member.heed_heartbeats(lambda: now, times.append)
    assert await coordinator._do_heartbeat()
    well = False
    assert not await coordinator._do_heartbeat()
    assert times == [100.0]


@pytest.mark.parametrize(
    ("subscription", "valid", "progress"),
    [(False, True, UNKNOWN), (True, False, UNKNOWN), (True, True, Progress(7, -1, 9))],
)
def test_progress_that_is_not_known_is_told_at_once(
    subscription: bool, valid: bool, progress: Progress
) -> None:
    state = SimpleNamespace(position=7, has_valid_position=valid, lso=None, highwater=9)
    assignment = SimpleNamespace(state_value=lambda _: state)
    subscribed = SimpleNamespace(assignment=assignment) if subscription else None
    member = member_of(
        None, _subscription=SimpleNamespace(subscription=subscribed), assignment=lambda: {PLACE}
    )
    assert member.progress(PLACE) == progress
    assert member.progress(TopicPartition("questions", 1)) == UNKNOWN


@pytest.mark.looptime
async def test_a_consumer_that_hangs_is_ended_part_by_part_in_time() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    closed: list[str] = []

    async def close() -> None:
        closed.append("client")

    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(hang()) for _ in range(2)]
    coordinator = SimpleNamespace(_coordination_task=tasks[0], _heartbeat_task=tasks[1])
    hanging, client = SimpleNamespace(close=hang), SimpleNamespace(close=close)
    began = loop.time()
    await member_of(coordinator, stop=hang, _fetcher=hanging, _client=client).kill(4.0)
    assert loop.time() - began <= 4.0
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    assert closed == ["client"]


async def test_aiokafka_has_the_names_that_the_adapter_uses() -> None:
    consumer = AIOKafkaConsumer("questions", group_id="g")
    member = GroupMember(consumer)
    assert member.generation == EXPELLED
    assert member.progress(PLACE) == UNKNOWN
    await member.kill(1.0)
