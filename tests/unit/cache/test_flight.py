"""Single flight: every waiting caller gets a value or a role, even if a leader fails."""

import asyncio
import random

import pytest

from agents.cache.flight import Role, SingleFlight

pytestmark = pytest.mark.looptime
KEY = b"key"


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_all_who_wait_get_the_value_that_lands() -> None:
    flights = SingleFlight()
    assert await flights.ajoin(KEY, now() + 9) is Role.LEADER
    waiting = [asyncio.create_task(flights.ajoin(KEY, now() + 9)) for _ in range(3)]
    await asyncio.sleep(1)
    flights.land(KEY, b"value")
    assert await asyncio.gather(*waiting) == [b"value"] * 3
    assert len(flights) == 0


async def test_a_caller_with_another_key_does_not_wait() -> None:
    flights = SingleFlight()
    assert await flights.ajoin(KEY, now() + 9) is Role.LEADER
    assert await flights.ajoin(b"other", now() + 9) is Role.LEADER


async def test_after_a_leader_fails_the_longest_waiting_caller_leads() -> None:
    flights = SingleFlight()
    await flights.ajoin(KEY, now() + 9)
    waiting = [asyncio.create_task(flights.ajoin(KEY, now() + 9)) for _ in range(3)]
    await asyncio.sleep(1)
    flights.hand_over(KEY)
    assert await waiting[0] is Role.LEADER
    await asyncio.sleep(1)
    assert not waiting[1].done()
    flights.let_go(KEY)
    assert await asyncio.gather(*waiting[1:]) == [Role.ALONE] * 2


async def test_no_caller_waits_longer_than_it_chose_to() -> None:
    flights = SingleFlight()
    await flights.ajoin(KEY, now() + 9)
    began = now()
    assert await flights.ajoin(KEY, began + 2) is Role.ALONE
    assert now() - began == pytest.approx(2)
    flights.hand_over(KEY)
    assert len(flights) == 0


async def test_a_caller_cancelled_as_it_becomes_the_leader_hands_over() -> None:
    flights = SingleFlight()
    await flights.ajoin(KEY, now() + 9)
    first, second = [asyncio.create_task(flights.ajoin(KEY, now() + 9)) for _ in range(2)]
    await asyncio.sleep(1)
    flights.hand_over(KEY)
    first.cancel()
    assert await second is Role.LEADER
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize("seed", range(20))
async def test_every_caller_gets_a_value_or_a_role_through_failures_and_cancellations(seed: int) -> None:
    chance = random.Random(seed)
    flights = SingleFlight()
    leading = most = 0

    async def ask() -> str:
        nonlocal leading, most
        await asyncio.sleep(chance.random() * 5)
        role = await flights.ajoin(KEY, now() + chance.random() * 4)
        if isinstance(role, bytes):
            return "value"
        if role is Role.ALONE:
            return "alone"
        leading += 1
        most = max(most, leading)
        end = chance.choice([flights.hand_over, flights.let_go, lambda key: flights.land(key, b"v")])
        try:
            await asyncio.sleep(chance.random())
        except asyncio.CancelledError:
            end = flights.hand_over
            raise
        finally:
            leading -= 1
            end(KEY)
        return "led"

    tasks = [asyncio.create_task(ask()) for _ in range(60)]
    for task in chance.sample(tasks, 20):
        asyncio.get_running_loop().call_later(chance.random() * 6, task.cancel)
    await asyncio.wait(tasks, timeout=60)
    assert all(task.done() for task in tasks)
    assert most == 1
    assert len(flights) == 0
