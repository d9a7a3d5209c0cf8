"""A member that may have been expelled writes nothing until it knows."""

from streams.consumer.lease import Lease
from tests.support.consumer import LeasedMember


async def test_a_process_that_stood_still_for_a_session_writes_nothing_until_a_heartbeat_is_answered() -> (
    None
):
    member = LeasedMember()
    await member.assign()
    assert member.gate.open
    told: list[bool] = []
    member.now += 10.0
    assert not member.gate.open
    member.gate.wait(lambda: told.append(member.gate.open))
    member.answered = False
    await member.heartbeat()
    assert not told
    member.answered = True
    await member.heartbeat()
    assert told == [True]
    await member.rebalance.aclose()


async def test_the_lease_counts_from_when_the_heartbeat_was_sent() -> None:
    member = LeasedMember()
    await member.assign()
    member.took_s = 30.0  # the answer came, the process was stopped, and reads it only now
    await member.heartbeat()
    assert not member.gate.open
    await member.rebalance.aclose()


async def test_a_heartbeat_opens_no_gate_that_a_rebalance_holds() -> None:
    member = LeasedMember()
    await member.assign()
    member.assignment.hold()
    await member.heartbeat()
    assert not member.gate.open
    await member.assign()
    assert member.gate.open
    await member.rebalance.aclose()


async def test_a_second_assignment_heeds_each_heartbeat_once() -> None:
    member = LeasedMember()
    await member.assign()
    heeded = member.consumer._coordinator._do_heartbeat
    await member.assign()
    assert member.consumer._coordinator._do_heartbeat is heeded
    await member.rebalance.aclose()


def test_a_lease_begins_with_the_first_answer_and_an_older_answer_does_not_shorten_it() -> None:
    lease = Lease(10.0, clock=lambda: 105.0)
    assert not lease.valid()
    lease.renew(100.0)
    lease.renew(90.0)
    assert lease.valid()


def test_a_lease_is_not_valid_before_it_began_whatever_the_clock_says() -> None:
    assert not Lease(10.0, clock=lambda: 0.5).valid()
