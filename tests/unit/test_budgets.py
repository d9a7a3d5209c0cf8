"""The limit of each stage within a question's time, by the stages' last durations."""

import math

from hypothesis import given
from hypothesis import strategies as st

from agents.budgets import AT_LEAST, MARGIN, MAX_AGE_S, REFRESH_S, ROOM, UNKNOWN_SHARE, Paces

FOLLOWERS = {"plan": ["tools"], "retrieve": ["generate"], "tools": ["generate"], "generate": []}


def paces(now: float = 0.0, **took: float) -> Paces:
    known = Paces(FOLLOWERS)
    for stage, seconds in took.items():
        for _ in range(AT_LEAST):
            known.took(stage, now, seconds)
    return known


def test_a_share_is_kept_for_following_stages_while_their_durations_are_unknown() -> None:
    allotted = paces().allot("plan", 0.0, 4.0, 4.0)
    assert allotted.fits
    assert allotted.limit == 4.0 * (1 - UNKNOWN_SHARE)
    assert paces().allot("plan", 0.0, 100.0, 4.0).limit == 4.0
    assert paces().allot("generate", 0.0, 4.0, None).limit == 4.0


def test_the_duration_of_the_longest_way_after_a_stage_is_kept() -> None:
    known = paces(tools=1.0, generate=2.0)
    assert known.allot("plan", 0.0, 10.0, 30.0).limit == 10.0 - MARGIN * 3.0
    assert known.allot("retrieve", 0.0, 10.0, 30.0).limit == 10.0 - MARGIN * 2.0


def test_a_stage_always_gets_twice_its_usual_duration() -> None:
    known = paces(plan=2.5, tools=5.0, generate=5.0)
    assert known.allot("plan", 0.0, 6.0, 6.0).limit == ROOM * 2.5
    assert known.allot("retrieve", 0.0, 6.0, 6.0).limit == 3.0


def test_a_stage_that_cannot_end_in_time_does_not_fit() -> None:
    known = paces(generate=2.0)
    assert not known.allot("generate", 0.0, 1.9, None).fits
    assert known.allot("generate", 0.0, 2.1, None).fits


def test_a_stage_that_used_up_its_own_budget_is_begun_again() -> None:
    # One tool hangs: the stage ends a moment after its budget, with the results of the others.
    known = paces(tools=1.01)
    assert known.allot("tools", 0.0, 8.0, 1.0).fits
    assert not known.allot("tools", 0.0, 1.0, 1.0).fits


def test_a_few_slow_runs_skip_no_stage() -> None:
    known = Paces(FOLLOWERS)
    for _ in range(AT_LEAST - 1):
        known.took("generate", 0.0, 9.0)
    assert known.allot("generate", 0.0, 1.0, None).fits


def test_a_slow_stage_is_tried_again_once_its_durations_are_old() -> None:
    known = paces(generate=9.0)
    assert not known.allot("generate", 1.0, 2.0, None).fits
    later = MAX_AGE_S + 1.0
    assert known.allot("generate", later, later + 1.0, None).fits


@given(
    st.lists(st.tuples(st.sampled_from(sorted(FOLLOWERS)), st.floats(0, 10), st.floats(0, 20)), max_size=200),
    st.sampled_from(sorted(FOLLOWERS)),
    st.floats(0, 60),
    st.one_of(st.none(), st.floats(0.01, 30)),
)
def test_no_limit_is_beyond_the_deadline_or_the_budget(
    history: list[tuple[str, float, float]], stage: str, left: float, budget: float | None
) -> None:
    known = Paces(FOLLOWERS)
    now = 0.0
    for name, passed, seconds in history:
        now += passed
        known.took(name, now, seconds)
    now += REFRESH_S
    allotted = known.allot(stage, now, now + left, budget)
    assert now <= allotted.limit <= now + min(left, budget or math.inf) + 1e-9
    if allotted.fits and allotted.median_s is not None:
        # A stage that fits has its usual time, with any stages after it.
        assert allotted.limit - now >= min(allotted.median_s, left, budget or math.inf) - 1e-6
