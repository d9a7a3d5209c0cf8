"""Hedged requests in virtual time: when the second one starts, which one wins, how the other ends."""

import asyncio
import gc
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import DependencyError, TransientError
from agents.resilience.hedge import AGE_MAX_S, SAMPLES, SAMPLES_MIN, LatencyWindow, ahedged

pytestmark = pytest.mark.looptime


class Requests:
    """Requests of a given duration, which are recorded when they begin and when they are cancelled."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []

    async def one(self, name: str, seconds: float, error: DependencyError | None = None) -> str:
        self.begun.append(name)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if error is not None:
            raise error
        return name


async def took(result: Awaitable[str]) -> tuple[str, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    value = await result
    ended = loop.time() - began
    await asyncio.sleep(0.01)  # a cancelled request learns of it now
    return value, ended


async def never() -> str:
    raise AssertionError("started all the same")


async def test_a_quick_call_is_not_hedged() -> None:
    requests = Requests()
    result = await took(
        ahedged(requests.one("first", 0.5), 1.0, lambda: requests.one("second", 0.1), lambda: True)
    )
    assert result == ("first", pytest.approx(0.5))
    await asyncio.sleep(5)
    assert requests.begun == ["first"]


async def test_the_second_wins_if_the_first_is_slow_and_the_first_is_cancelled() -> None:
    requests = Requests()
    result = await took(
        ahedged(requests.one("first", 30), 1.0, lambda: requests.one("second", 0.1), lambda: True)
    )
    assert result == ("second", pytest.approx(1.1))
    assert requests.cancelled == ["first"]


async def test_the_first_wins_if_it_ends_before_its_hedge() -> None:
    requests = Requests()
    result = await took(
        ahedged(requests.one("first", 1.5), 1.0, lambda: requests.one("second", 30), lambda: True)
    )
    assert result == ("first", pytest.approx(1.5))
    assert requests.cancelled == ["second"]


async def test_if_one_request_fails_the_other_ones_result_is_used() -> None:
    requests, broken = Requests(), TransientError("index", "reset")
    second_saves = ahedged(
        requests.one("first", 1.2, broken), 1.0, lambda: requests.one("second", 1.0), lambda: True
    )
    assert await took(second_saves) == ("second", pytest.approx(2.0))
    first_saves = ahedged(
        requests.one("first", 3.0), 1.0, lambda: requests.one("second", 0.1, broken), lambda: True
    )
    assert await took(first_saves) == ("first", pytest.approx(3.0))


async def test_if_both_fail_the_first_ones_error_is_raised() -> None:
    requests = Requests()
    one, other = TransientError("index", "first"), TransientError("index", "second")
    with pytest.raises(TransientError, match="first"):
        await ahedged(
            requests.one("first", 1.5, one), 1.0, lambda: requests.one("second", 2.0, other), lambda: True
        )


async def test_no_hedge_is_started_if_none_may_start() -> None:
    requests = Requests()
    assert await ahedged(requests.one("first", 3), 1.0, never, lambda: False) == "first"


async def test_a_caller_that_gives_up_takes_both_with_it() -> None:
    requests = Requests()
    task = asyncio.create_task(
        ahedged(requests.one("first", 30), 1.0, lambda: requests.one("second", 30), lambda: True)
    )
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.01)
    assert task.cancelled()
    assert sorted(requests.cancelled) == ["first", "second"]


async def test_a_time_out_of_the_first_itself_is_not_taken_for_a_win() -> None:
    async def gives_up() -> str:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await ahedged(gives_up(), 1.0, never, lambda: False)


def test_the_percentile_is_that_of_the_last_calls() -> None:
    window = LatencyWindow()
    for number in range(SAMPLES_MIN - 1):
        window.add(number, 0.0)
    assert window.p95_s(0.0) is None
    window.add(100.0, 0.0)
    assert window.p95_s(0.0) == pytest.approx(18.0)
    for number in range(SAMPLES):
        window.add(number, 0.0)
    assert window.p95_s(0.0) == pytest.approx(94.0)


def test_latencies_older_than_ten_minutes_do_not_count() -> None:
    window = LatencyWindow()
    for _ in range(SAMPLES):
        window.add(5.0, 0.0)
    assert window.p95_s(AGE_MAX_S) == 5.0
    assert window.p95_s(AGE_MAX_S + 1) is None
    for _ in range(SAMPLES_MIN):
        window.add(0.1, AGE_MAX_S + 1)
    assert window.p95_s(AGE_MAX_S + 1) == 0.1


@given(
    st.lists(st.tuples(st.floats(0, AGE_MAX_S / 10), st.floats(0, 30)), max_size=150),
    st.floats(0, 3 * AGE_MAX_S),
)
def test_the_percentile_is_one_of_the_latencies_of_the_last_minutes(
    calls: list[tuple[float, float]], pause: float
) -> None:
    window, now, added = LatencyWindow(), 0.0, list[tuple[float, float]]()
    for passed, latency_s in calls:
        now += passed
        window.add(latency_s, now)
        added.append((now, latency_s))
    now += pause
    p95_s = window.p95_s(now)
    if p95_s is not None:
        # Calculated at most `AGE_MAX_S` ago, from latencies no older than that.
        assert p95_s in {latency_s for at, latency_s in added if at >= now - 2 * AGE_MAX_S}


async def test_the_error_of_a_cancelled_hedge_is_not_logged_as_never_retrieved() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def second() -> str:
        try:
            return await asyncio.sleep(30, "second")
        except asyncio.CancelledError as error:  # as a client that translates every exception does
            raise TransientError("index", "the connection was closed") from error

    assert await ahedged(Requests().one("first", 2.0), 1.0, second, lambda: True) == "first"
    await asyncio.sleep(0.01)
    gc.collect()
    assert reported == []
