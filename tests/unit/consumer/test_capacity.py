"""The limit of questions that run at once, against a worker that is simulated in virtual time."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.consumer.capacity import IDLE_S, LATE_S, LEAST, PROMPT_S, WINDOW_S, Capacity

BEAT_S = 0.025
WAKES = 10
"""Times that a question comes back to the event loop: each time, that part of its cost is ready."""


@dataclass
class Worker:
    """A closed loop of users on one core: each question waits `waits_s` and costs `cost_s` of the core.

    Past saturation a question costs more, by up to a half with every `dearer` that are ready at once.
    """

    capacity: Capacity
    waits_s: float
    cost_s: float
    dearer: float = 1000.0
    now: float = 0.0
    running: float = 0.0
    ready: float = 0.0
    throughput: float = 0.0
    late_s: float = 0.0

    def run(self, users: int, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            turn = self.ready * self.cost_s / WAKES
            step = BEAT_S + turn
            cost = self.cost_s * (1 + 0.5 * self.ready / self.dearer)
            self.throughput = min(self.running / (self.waits_s + cost), 1 / cost)
            self.ready = max(0.0, self.running - self.throughput * (self.waits_s + cost))
            allowed = min(users, self.capacity.limit)
            # Running questions end by themselves alone; waiting ones begin at once.
            self.running = max(float(allowed), self.running - self.throughput * step)
            self.now += step
            self.capacity.observe(self.now, turn, round(self.running))
            self.late_s = turn

    @property
    def knee(self) -> float:
        return self.waits_s / self.cost_s + 1


class Told(Capacity):
    """Its windows one after the other; every timer within one is as late."""

    now = 0.0

    def windows(self, lags: list[float], running: int) -> int:
        for lag_s in lags:
            self.now += WINDOW_S
            self.observe(self.now, lag_s, running)
        return self.limit


def test_a_prompt_loop_has_the_highest_limit() -> None:
    assert Told(10_000).windows([PROMPT_S] * 100, 10_000) == 10_000


def test_the_limit_falls_while_the_loop_is_late_and_rises_when_it_is_prompt() -> None:
    capacity = Told(1000)
    assert capacity.windows([2 * LATE_S], 1000) == 800
    assert capacity.windows([(LATE_S + PROMPT_S) / 2] * 10, 800) == 800
    assert capacity.windows([PROMPT_S], 800) == 825
    for _ in range(10):
        capacity.windows([0.0], capacity.limit)
    assert capacity.limit == 1000


def test_the_limit_rises_fast_far_below_the_one_at_which_the_loop_was_late() -> None:
    capacity = Told(1000)
    capacity.windows([10 * LATE_S] * 3, 64)
    assert capacity.limit == LEAST
    capacity.windows([0.0] * 5, LEAST)
    for _ in range(20):
        capacity.windows([0.0], capacity.limit)
    assert capacity.limit == 1000


def test_a_single_stall_changes_nothing() -> None:
    capacity = Capacity(1000)
    for beat in range(100):
        capacity.observe(beat * BEAT_S, 3.0 if beat == 50 else 0.0, 1000)
    assert capacity.limit == 1000


def test_the_limit_does_not_fall_again_while_more_run_than_it_allows() -> None:
    assert Told(1000).windows([2 * LATE_S] * 10, 1000) == 800


def test_a_limit_that_is_not_used_up_does_not_rise() -> None:
    capacity = Told(1000)
    capacity.windows([2 * LATE_S], 1000)
    assert capacity.windows([0.0] * 10, 100) == 800


def test_a_loop_that_other_processes_hold_up_keeps_the_lowest_limit() -> None:
    capacity = Told(1000)
    for _ in range(50):
        capacity.windows([1.0], capacity.limit)
    assert capacity.limit == LEAST
    assert Told(3).windows([1.0] * 5, 3) == 3


def at(limit: int, late_at: int, maximum: int = 2000) -> Told:
    """A limit with this value, which was last late at that one."""
    capacity = Told(maximum)
    capacity.windows([2 * LATE_S], late_at)
    capacity.limit = limit
    return capacity


def test_lateness_is_judged_once_a_window_whatever_comes_within_it() -> None:
    capacity = Capacity(1000)
    capacity.observe(0.0, 2 * LATE_S, 1000)
    for beat in (0.1, WINDOW_S - 0.01):
        assert not capacity.observe(beat, 2 * LATE_S, 800)
    assert capacity.limit == 800
    capacity.observe(WINDOW_S, 2 * LATE_S, 800)
    assert capacity.limit == 640


def test_it_tells_whether_more_may_run_than_before() -> None:
    capacity = Capacity(1000)
    assert not capacity.observe(0.0, 0.0, 1000), "it is at its maximum"
    assert not capacity.observe(1.0, 2 * LATE_S, 1000), "it falls"
    assert not capacity.observe(2.0, (LATE_S + PROMPT_S) / 2, 800), "it stays"
    assert capacity.observe(3.0, 0.0, 800)


def test_timers_as_late_as_a_bound_are_on_its_good_side() -> None:
    assert Told(1000).windows([LATE_S], 1000) == 1000
    assert at(800, 1500).windows([PROMPT_S], 800) == 825
    assert at(800, 1500).windows([IDLE_S], 800) == 961


def test_it_rises_from_where_it_is_used_up_but_for_one_fast_step() -> None:
    assert at(600, 600).windows([0.0], 500) == 619
    assert at(600, 600).windows([0.0], 499) == 600


@pytest.mark.parametrize(
    ("limit", "late_at", "then"),
    [
        (850, 1000, 876),
        (900, 1000, 928),
        (1000, 1000, 1031),
        (1000, 850, 1031),
        (1001, 850, 1202),
        (840, 1000, 851),
        (800, 1000, 851),
        (600, 1000, 721),
    ],
)
def test_it_rises_slowly_around_where_it_was_last_late_and_fast_elsewhere(
    limit: int, late_at: int, then: int
) -> None:
    assert at(limit, late_at).windows([0.0], limit) == then


@settings(max_examples=12, deadline=None)
@given(st.floats(0.1, 1), st.floats(0.0005, 0.003), st.floats(1.5, 10), st.integers(1000, 5000))
def test_past_saturation_the_limit_settles_near_the_knee(
    waits_s: float, cost_s: float, times: float, dearer: int
) -> None:
    worker = Worker(Capacity(20_000), waits_s, cost_s, dearer)
    users = int(worker.knee * times) + 3 * LEAST
    worker.run(users, 60)
    found = []
    for _ in range(10):
        worker.run(users, 1)
        found.append((worker.throughput, worker.late_s))
    # The rate at which no more work is ready at a time than is served before the loop is late.
    cost_s *= 1 + 0.5 * LATE_S * WAKES / cost_s / dearer
    carried = min(1 / cost_s, worker.capacity.maximum / (waits_s + cost_s))
    assert sum(rate for rate, _ in found) / 10 >= 0.85 * carried
    if LATE_S * WAKES / cost_s > LEAST:
        assert sum(late_s for _, late_s in found) / 10 <= 2 * LATE_S


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 30), st.floats(0.0003, 0.003), st.floats(0.05, 0.95))
def test_below_saturation_every_question_runs(waits_s: float, cost_s: float, share: float) -> None:
    worker = Worker(Capacity(10_000), waits_s, cost_s)
    users = min(10_000, int(worker.knee * share))
    worker.run(users, 30)
    assert worker.running >= users


def test_ten_thousand_questions_that_wait_half_a_minute_for_their_model_all_run() -> None:
    worker = Worker(Capacity(10_000), waits_s=30.0, cost_s=0.001)
    worker.run(10_000, 60)
    assert worker.running == 10_000


def test_the_limit_recovers_when_questions_become_cheap_again() -> None:
    worker = Worker(Capacity(10_000), waits_s=1.0, cost_s=0.003)
    worker.run(3_000, 90)
    assert worker.capacity.limit < 1000
    worker.waits_s, worker.cost_s = 30.0, 0.001
    worker.run(10_000, 90)
    assert worker.running == 10_000
