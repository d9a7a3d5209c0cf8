"""Slots in virtual time: first come, first served, nothing lost, nobody starved."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import OpenBreakerError, TimedOutError
from agents.resilience.bulkhead import Bulkhead

pytestmark = pytest.mark.looptime


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_waiters_come_in_order_and_cancelled_ones_leave_no_hole() -> None:
    bulkhead, order = Bulkhead("model", 1), list[int]()
    assert bulkhead.take()

    async def one(number: int) -> None:
        await bulkhead.atake(100.0)
        order.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(4)]
    await settled()
    tasks[1].cancel()
    await settled()
    for expected in ([0], [0, 2], [0, 2, 3]):
        bulkhead.release()
        await settled()
        assert order == expected
    bulkhead.release()
    assert (bulkhead.in_use, bulkhead.waiting) == (0, 0)


async def test_a_slot_that_was_handed_to_a_cancelled_taker_goes_to_the_next() -> None:
    bulkhead = Bulkhead("model", 1)
    assert bulkhead.take()
    first, second = (asyncio.create_task(bulkhead.atake(100.0)) for _ in range(2))
    await settled()
    bulkhead.release()
    first.cancel()  # it has the slot, and does not know it yet
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert second.exception() is None
    assert bulkhead.in_use == 1


async def test_nobody_waits_past_the_deadline() -> None:
    bulkhead, loop = Bulkhead("model", 1), asyncio.get_running_loop()
    assert bulkhead.take()
    began = loop.time()
    with pytest.raises(TimedOutError):
        await bulkhead.atake(began + 2.0)
    assert loop.time() - began == pytest.approx(2.0)
    bulkhead.release()
    assert bulkhead.take()


async def test_a_higher_limit_lets_waiters_in_and_a_lower_one_lets_calls_end_first() -> None:
    bulkhead = Bulkhead("model", 1)
    assert bulkhead.take()
    tasks = [asyncio.create_task(bulkhead.atake(100.0)) for _ in range(2)]
    await settled()
    bulkhead.limit = 3
    await asyncio.wait(tasks)
    bulkhead.limit = 1
    bulkhead.release()
    bulkhead.release()
    assert not bulkhead.take()
    bulkhead.release()
    assert bulkhead.take()


async def test_all_who_wait_can_be_refused() -> None:
    bulkhead = Bulkhead("model", 1)
    assert bulkhead.take()
    tasks = [asyncio.create_task(bulkhead.atake(100.0)) for _ in range(3)]
    await settled()
    bulkhead.refuse(lambda: OpenBreakerError("model", "open"))
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, OpenBreakerError)
    assert (bulkhead.in_use, bulkhead.waiting) == (1, 0)


CALLS = st.lists(
    st.tuples(st.floats(0, 5), st.floats(0, 2), st.one_of(st.none(), st.floats(0, 5)), st.floats(0.1, 20)),
    min_size=1,
    max_size=40,
)


@given(CALLS, st.integers(1, 4))
async def test_every_call_ends_within_its_time_and_every_slot_comes_back(
    calls: list[tuple[float, float, float | None, float]], limit: int
) -> None:
    loop = asyncio.get_running_loop()
    bulkhead, running = Bulkhead("model", limit), 0

    async def one(wait: float, takes: float, patience: float) -> None:
        nonlocal running
        await asyncio.sleep(wait)
        deadline = loop.time() + patience
        try:
            if not bulkhead.take():
                await bulkhead.atake(deadline)
        except TimedOutError:
            assert loop.time() >= deadline - 0.001
            return
        assert loop.time() <= deadline + 0.001
        running += 1
        assert running <= limit
        try:
            await asyncio.sleep(takes)
        finally:
            running -= 1
            bulkhead.release()
            assert not (bulkhead.waiting and bulkhead.in_use < limit)

    async def given_up(task: "asyncio.Task[None]", after: float) -> None:
        await asyncio.sleep(after)
        task.cancel()

    tasks = []
    for wait, takes, gives_up, patience in calls:
        task = asyncio.create_task(one(wait, takes, patience))
        tasks.append(task)
        if gives_up is not None:
            tasks.append(asyncio.create_task(given_up(task, gives_up)))
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError)
    assert (bulkhead.in_use, bulkhead.waiting) == (0, 0)
