"""How long work waits after each failure, and when it starts from the first step again."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from streams.process.backoff import Backoff
from streams.worker.supervisor import RESTART_STEPS_S, WELL_S

FIRST_S, LONGEST_S = 0.5, 30.0
CRASH = st.floats(0, WELL_S - 0.001)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def waits(runs: list[float]) -> Iterator[float]:
    """The waits of a supervised process that ran for these times, in seconds."""
    clock = Clock()
    backoff = Backoff(RESTART_STEPS_S, well_s=WELL_S, clock=clock)
    for ran_s in runs:
        backoff.began()
        clock.now += ran_s
        wait_s = backoff.wait_s()
        clock.now += wait_s
        yield wait_s


@given(st.lists(CRASH, min_size=1, max_size=200))
def test_each_crash_doubles_the_wait_up_to_the_longest(runs: list[float]) -> None:
    expected = [min(FIRST_S * 2**number, LONGEST_S) for number in range(len(runs))]
    assert list(waits(runs)) == expected


@given(st.lists(CRASH, max_size=50), st.floats(WELL_S, 1e6), st.lists(CRASH, min_size=1, max_size=5))
def test_after_a_long_run_the_next_crash_waits_for_the_first_step(
    before: list[float], well: float, after: list[float]
) -> None:
    assert list(waits([*before, well + 0.001, *after]))[len(before) :] == list(waits([0.0, *after]))


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=100))
def test_a_process_is_never_started_in_a_tight_loop(runs: list[float]) -> None:
    assert all(FIRST_S <= wait_s <= LONGEST_S for wait_s in waits(runs))


def test_progress_starts_the_steps_again() -> None:
    backoff = Backoff((1.0, 2.0))
    assert [backoff.wait_s() for _ in range(4)] == [1.0, 2.0, 2.0, 2.0]
    backoff.reset()
    assert backoff.wait_s() == 1.0


def test_without_a_time_to_run_well_a_long_attempt_changes_nothing() -> None:
    clock = Clock()
    backoff = Backoff((1.0, 2.0), clock=clock)
    backoff.began()
    backoff.wait_s()
    clock.now += 1e9
    assert backoff.wait_s() == 2.0
