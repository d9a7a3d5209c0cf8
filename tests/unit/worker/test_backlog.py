"""The time that a backlog takes to drain, estimated from the recent rate of completion."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.backlog import DrainEstimate, lag_of

rates = st.floats(0.1, 10_000)


def test_the_lag_counts_records_above_our_positions() -> None:
    ends = {0: 10, 1: 10, 2: 10}
    assert lag_of(ends, {0: 0, 1: 4, 2: None}) == 10 + 6
    assert lag_of(ends, {0: 10, 1: 11}) == 0, "ends may be older than positions"
    assert lag_of(ends, {}) == 0


def test_the_estimate_is_unknown_before_lag_and_rate_are() -> None:
    estimate = DrainEstimate()
    assert math.isnan(estimate.seconds)
    estimate.observe(0.0, 100, 0)
    assert math.isnan(estimate.seconds)
    estimate.observe(5.0, None, 10)
    assert math.isnan(estimate.seconds)


def test_the_estimate_is_zero_without_a_backlog() -> None:
    estimate = DrainEstimate()
    for now in range(10):
        estimate.observe(now, 0, 0)
        assert estimate.seconds == 0


def test_the_estimate_is_infinite_without_progress() -> None:
    estimate = DrainEstimate()
    for now in range(10):
        estimate.observe(now, 5, 7)
    assert estimate.seconds == math.inf


@given(rate=rates, lag=st.integers(1, 10**9), steps=st.lists(st.floats(0.1, 60), min_size=1, max_size=50))
def test_the_estimate_is_right_at_a_steady_rate_and_any_interval(
    rate: float, lag: int, steps: list[float]
) -> None:
    estimate, now = DrainEstimate(), 0.0
    estimate.observe(now, lag, 0)
    for step in steps:
        now += step
        estimate.observe(now, lag, rate * now)
        assert estimate.seconds == pytest.approx(lag / rate, rel=1e-6)


@given(before=rates, after=rates, step=st.floats(1, 10))
def test_the_estimate_follows_half_of_a_change_in_a_half_life(
    before: float, after: float, step: float
) -> None:
    estimate, now, completed = DrainEstimate(half_life_s=60.0), 0.0, 0.0
    estimate.observe(now, 1000, completed)
    estimate.observe(now := now + 60, 1000, completed := completed + 60 * before)
    changed = now
    while now < changed + 60:
        wait = min(step, changed + 60 - now)
        estimate.observe(now := now + wait, 1000, completed := completed + wait * after)
    assert 1000 / estimate.seconds == pytest.approx((before + after) / 2, rel=1e-3)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 10**6), st.integers(0, 10**4)), max_size=50))
def test_the_estimate_is_never_negative(observed: list[tuple[float, int, int]]) -> None:
    estimate, now, completed = DrainEstimate(), 0.0, 0
    for step, lag, more in observed:
        now, completed = now + step, completed + more
        estimate.observe(now, lag, completed)
        assert math.isnan(estimate.seconds) or estimate.seconds >= 0
