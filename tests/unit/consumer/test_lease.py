"""What is written needs a lease: whoever may have been expelled writes nothing until it knows."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from streams.consumer.assignment import Assignment
from streams.consumer.intake import Intake
from streams.consumer.lease import Lease
from streams.consumer.rebalance import Rebalance
from streams.consumer.recovery import Recovered
from streams.kafka.group_member import GroupMember


class Group:
    """A member and the clock of its process."""

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


async def test_a_process_that_stood_still_for_a_session_writes_nothing_until_it_is_told() -> None:
    group = Group()
    await group.assign()
    assert group.gate.open
    told: list[bool] = []
    group.now += 10.0
    assert not group.gate.open
    group.gate.wait(lambda: told.append(group.gate.open))
    group.answered = False
    await group.heartbeat()
    assert not told
    group.answered = True
    await group.heartbeat()
    assert told == [True]
    await group.rebalance.aclose()


async def test_the_lease_counts_from_when_the_heartbeat_was_sent() -> None:
    group = Group()
    await group.assign()
    group.took_s = 30.0  # the answer came, the process was stopped, and reads it only now
    await group.heartbeat()
    assert not group.gate.open
    await group.rebalance.aclose()


async def test_a_heartbeat_opens_no_gate_that_a_rebalance_holds() -> None:
    group = Group()
    await group.assign()
    group.assignment.hold()
    await group.heartbeat()
    assert not group.gate.open
    await group.assign()
    assert group.gate.open
    await group.rebalance.aclose()


async def test_being_assigned_twice_heeds_each_heartbeat_once() -> None:
    group = Group()
    await group.assign()
    heeded = group.consumer._coordinator._do_heartbeat
    await group.assign()
    assert group.consumer._coordinator._do_heartbeat is heeded
    await group.rebalance.aclose()


def test_there_is_no_lease_before_the_first_answer_and_an_old_one_takes_none_back() -> None:
    lease = Lease(10.0, clock=lambda: 105.0)
    assert not lease.valid()
    lease.renew(100.0)
    lease.renew(90.0)
    assert lease.valid()
