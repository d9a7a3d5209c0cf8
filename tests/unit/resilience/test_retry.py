"""Which failures are repeated, when, and how many in all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import (
    BadOutputError,
    DependencyError,
    OpenBreakerError,
    PermanentError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from agents.resilience.retry import (
    BUDGET_MAX,
    BUDGET_PER_S,
    BUDGET_SHARE,
    WAIT_MAX_S,
    WAIT_S,
    RetryBudget,
    wait_before_retry,
)


def wait(
    error: DependencyError, attempts: int = 1, left_s: float = 100.0, jitter: float = 1.0
) -> float | None:
    return wait_before_retry(error, attempts, 50.0, 50.0 + left_s, jitter)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (TransientError("model", ""), 3),
        (ThrottledError("model", ""), 3),
        (BadOutputError("model", ""), 2),
        (PermanentError("model", ""), 1),
        (TimedOutError("model", ""), 1),
        (OpenBreakerError("model", ""), 1),
        (DependencyError("model", ""), 1),
    ],
)
def test_attempts_by_class_of_error(error: DependencyError, attempts: int) -> None:
    repeated = [wait(error, number) is not None for number in range(1, 6)]
    assert repeated == [number < attempts for number in range(1, 6)]


def test_a_retry_waits_for_the_retry_after_and_is_left_out_if_no_time_is_left() -> None:
    error = ThrottledError("model", "", retry_after_s=5.0)
    assert wait(error, jitter=0.0) == 5.0
    assert wait(error, jitter=1.0) == 5.0 + WAIT_S
    assert wait(error, left_s=5.0, jitter=0.0) is None
    assert wait(TransientError("model", ""), left_s=WAIT_S) is None


def test_the_wait_doubles_with_each_attempt() -> None:
    assert [wait(TransientError("model", ""), number) for number in (1, 2)] == [WAIT_S, 2 * WAIT_S]


@given(st.integers(1, 2), st.floats(0, 1), st.floats(0, 60))
def test_the_wait_is_within_its_bounds_and_before_the_deadline(
    attempts: int, jitter: float, left_s: float
) -> None:
    waited = wait(TransientError("model", ""), attempts, left_s, jitter)
    if waited is not None:
        assert 0 <= waited <= min(WAIT_MAX_S, WAIT_S * 2 ** (attempts - 1))
        assert waited < left_s


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=400))
def test_repeats_stay_below_a_tenth_of_the_calls_and_one_a_second(events: list[tuple[bool, float]]) -> None:
    now, calls, repeats = 100.0, 0, 0
    budget = RetryBudget()
    for is_call, pause in events:
        now += pause
        if is_call:
            budget.earn(now)
            calls += 1
        elif budget.spend(now):
            repeats += 1
        allowed = BUDGET_PER_S + BUDGET_SHARE * calls + BUDGET_PER_S * (now - 100.0)
        assert repeats <= allowed + 1e-6


def test_a_quiet_time_saves_up_no_more_than_the_most() -> None:
    budget = RetryBudget()
    budget.earn(0.0)
    assert sum(budget.spend(10_000.0) for _ in range(100)) == BUDGET_MAX
