"""Which questions are refused when more arrive than can be answered, in virtual time."""

import heapq
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.admission import ENTER, FORGET_AT, WINDOW_S, Admission, refusal

START = 1_700_000_000.0
TENANT = "default"


def test_an_expired_question_is_shed() -> None:
    assert Admission().judge(TENANT, START + 3, START, START + 2) == "expired"


def test_late_questions_among_prompt_ones_are_no_overload() -> None:
    admission = Admission()
    for n in range(200):
        now = START + n * 0.1
        waited = 9.0 if n % 2 else 0.0
        assert admission.judge(TENANT, now, now - waited, now - waited + 10) == "run"


def test_when_all_questions_waited_too_long_late_ones_are_refused_and_fresh_ones_run() -> None:
    admission = Admission()
    for n in range(60):
        now = START + n * 0.1
        admission.judge(TENANT, now, now - 5, now + 5)
    now = START + 6.0
    assert admission.judge(TENANT, now, now - 5, now + 5) == "overloaded"
    assert admission.judge(TENANT, now, now - 1, now + 9) == "run"


def test_refusing_ends_when_the_queue_is_gone() -> None:
    admission = Admission()
    for n in range(60):
        admission.judge(TENANT, START + n * 0.1, START + n * 0.1 - 5, START + n * 0.1 + 5)
    assert admission.judge(TENANT, START + 6, START + 1, START + 11) == "overloaded"
    for n in range(60, 200):
        admission.judge(TENANT, START + n * 0.1, START + n * 0.1, START + n * 0.1 + 10)
    assert admission.judge(TENANT, START + 20, START + 15, START + 25) == "run"


def test_refusing_ends_after_a_pause_without_questions() -> None:
    admission = Admission()
    for n in range(60):
        admission.judge(TENANT, START + n * 0.1, START + n * 0.1 - 5, START + n * 0.1 + 5)
    later = START + 60
    assert admission.judge(TENANT, later, later - 5, later + 5) == "run"


@pytest.mark.parametrize("overload", [1.5, 3.0, 10.0])
@pytest.mark.parametrize(("took", "deadline"), [(1.0, 10.0), (0.25, 2.0)])
def test_under_overload_the_slots_are_used_for_questions_that_still_have_time(
    took: float, deadline: float, overload: float
) -> None:
    """Simulate a queue in front of 20 slots."""
    slots = 20
    gap = took / slots / overload
    admission, queue, free = Admission(), deque[float](), [START] * slots
    outcomes: Counter[str] = Counter()
    worst = 0.0
    now, asked, good = START, START, START
    while now < START + 120:
        now = heapq.heappop(free)
        while asked <= now:
            queue.append(asked)
            asked += gap
        until = now + gap
        while queue:
            at = queue.popleft()
            verdict = admission.judge(TENANT, now, at, at + deadline)
            if verdict == "run":
                until = now + took
                outcomes["good" if until <= at + deadline - took else "late"] += 1
                if until <= at + deadline - took:
                    worst, good = max(worst, now - good), now
                break
            outcomes[verdict] += 1
        heapq.heappush(free, until)
    assert outcomes["good"] >= 0.85 * 120 * slots / took
    assert outcomes["overloaded"] > 0
    assert worst <= deadline  # questions succeed all the time, not in waves


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 100), st.floats(0.1, 100)), max_size=100))
def test_no_question_runs_after_its_deadline(history: list[tuple[float, float, float]]) -> None:
    admission, now = Admission(), START
    for passed, waited, total in history:
        now += passed
        verdict = admission.judge(TENANT, now, now - waited, now - waited + total)
        assert (verdict == "expired") == (now - waited + total <= now)
        if verdict == "overloaded":
            assert waited / total > ENTER * 0.99


def test_the_window_is_long_enough_to_tell_a_burst_from_a_queue() -> None:
    admission = Admission()
    for n in range(int(WINDOW_S * 10) - 1):
        assert admission.judge(TENANT, START + n * 0.1, START - 5, START + 20) == "run"


def test_a_tenant_whose_questions_all_waited_is_refused_while_others_are_served_at_once() -> None:
    admission = Admission()
    verdicts = Counter[str]()
    for n in range(100):
        now = START + n * 0.1
        assert admission.judge("other", now, now, now + 10) == "run"
        verdicts[admission.judge("flood", now, now - 5, now + 5)] += 1
    assert verdicts == {"run": 50, "overloaded": 50}
    assert admission.overloaded("flood", START + 10)
    assert not admission.overloaded("other", START + 10)
    assert admission.judge("other", START + 10, START + 5, START + 15) == "run"


def test_a_flood_of_questions_with_little_time_causes_no_refusals_for_others() -> None:
    admission = Admission()
    verdicts = Counter[str]()
    for n in range(400):
        now = START + n * 0.05
        if n % 20 == 0:
            # Every other one of these has waited for more than a fifth of its time: not all, so no queue.
            waited = 13.0 if n % 40 == 0 else 5.0
            assert admission.judge("patient", now, now - waited, now - waited + 60) == "run"
        verdicts[admission.judge("flood", now, now - 0.09, now + 0.01)] += 1
    assert verdicts["overloaded"] > 390


def test_when_all_tenants_are_late_a_tenant_with_one_question_is_refused_too() -> None:
    admission = Admission()
    verdicts = [
        admission.judge(f"tenant{n}", START + n * 0.1, START + n * 0.1 - 5, START + n * 0.1 + 5)
        for n in range(60)
    ]
    assert verdicts[-1] == "overloaded"
    assert admission.overloaded("another", START + 6)
    assert not admission.overloaded("another", START + 6 + 2 * WINDOW_S)


def test_tenants_that_stop_asking_are_forgotten() -> None:
    admission = Admission()
    for n in range(5 * FORGET_AT):
        now = START + n * 0.1
        admission.judge(f"tenant{n}", now, now, now + 10)
    assert len(admission._tenants) <= FORGET_AT


def meet(admission: Admission, now: float, first: int, count: int) -> int:
    """Judge a question of each of so many tenants; returns how many are known then."""
    for n in range(first, first + count):
        admission.judge(f"tenant{n}", now, now, now + 10)
    return len(admission._tenants)


def test_tenants_are_forgotten_at_the_limit_and_then_at_twice_those_that_stay() -> None:
    admission = Admission()
    assert meet(admission, START, 0, FORGET_AT) == FORGET_AT
    assert meet(admission, START + 100, FORGET_AT, 1) == 1
    assert meet(admission, START + 100, 0, FORGET_AT) == FORGET_AT + 1, "all that are known still ask"
    later = START + 200
    assert meet(admission, later, 2 * FORGET_AT, FORGET_AT - 1) == 2 * FORGET_AT
    assert meet(admission, later, 4 * FORGET_AT, 1) == FORGET_AT


def overloaded_at(now: float) -> Admission:
    """One that refused a late question then, after five seconds of late ones."""
    admission = Admission()
    for n in range(11):
        at = now - 5 + n * 0.5
        verdict = admission.judge(TENANT, at, at - 5, at + 5)
    assert verdict == "overloaded"
    return admission


def test_a_question_that_has_waited_just_its_share_is_in_time() -> None:
    admission = Admission()
    for n in range(60):
        now = START + n * 0.5
        assert admission.judge(TENANT, now, now - ENTER * 10, now + 8) == "run"


def test_an_overload_lasts_until_a_window_has_passed_without_a_question() -> None:
    assert overloaded_at(START).overloaded(TENANT, START + WINDOW_S)
    assert not overloaded_at(START).overloaded(TENANT, START + WINDOW_S + 0.5)


@pytest.mark.parametrize(("pause_s", "then"), [(0.5, "overloaded"), (4.5, "overloaded"), (5.0, "run")])
def test_an_overload_ends_when_a_window_after_the_last_refusal_a_question_is_in_time(
    pause_s: float, then: str
) -> None:
    admission = overloaded_at(START)
    now = START + pause_s
    assert admission.judge(TENANT, now, now, now + 10) == "run"
    assert admission.judge(TENANT, now, now - 5, now + 5) == then


def test_questions_that_expire_while_all_slots_hang_cause_no_refusals_for_others() -> None:
    admission = Admission()
    for n in range(100):
        now = START + n * 0.1
        # No question starts, so only expired ones are judged.
        assert admission.judge(f"tenant{n}", now, now - 5, now) == "expired"
        assert not admission.overloaded("patient", now)
    assert admission.judge("patient", START + 10, START - 5, START + 55) == "run"


@pytest.mark.parametrize(
    ("now", "expires_at", "message"),
    [
        (1_577_836_800.25, 1_577_836_800, "the question expired at 2020-01-01T00:00:00Z, 250 ms before"),
        (1_577_836_812, 1_577_836_800, "the question expired at 2020-01-01T00:00:00Z, 12.0 seconds before"),
        (1_577_837_400, 1_577_836_800, "the question expired at 2020-01-01T00:00:00Z, 10 minutes before"),
        (1_577_847_600, 1_577_836_800, "the question expired at 2020-01-01T00:00:00Z, 3 hours before"),
        (1_796_033_063, 1_577_836_800, "the question expired at 2020-01-01T00:00:00Z, 2525 days before"),
    ],
)
def test_an_expired_question_is_told_when_it_expired_and_how_late_it_was(
    now: float, expires_at: float, message: str
) -> None:
    code, said = refusal("expired", now, expires_at)
    assert (code, said) == ("expired_before_start", message + " work on it began")


def test_a_question_refused_for_overload_is_told_how_much_time_was_left() -> None:
    code, said = refusal("overloaded", START, START + 1.25)
    assert code == "overloaded"
    assert (
        said == "too many questions wait: the 1.2 seconds left for this one are too short for a good answer"
    )


@pytest.mark.parametrize(
    ("left_s", "words"),
    [
        (0.9, "900 ms"),
        (1.0, "1.0 seconds"),
        (119.5, "119.5 seconds"),
        (120.0, "2 minutes"),
        (5_400.0, "90 minutes"),
        (7_200.0, "2 hours"),
        (172_799.0, "48 hours"),
        (172_800.0, "2 days"),
    ],
)
def test_a_time_is_told_in_the_largest_unit_of_which_there_are_two(left_s: float, words: str) -> None:
    assert f"the {words} left for this one" in refusal("overloaded", 0.0, left_s)[1]


@given(st.floats(-1e11, START))
def test_an_expiry_long_before_our_era_is_told_as_well(expires_at: float) -> None:
    assert refusal("expired", START, expires_at)[1].startswith("the question expired at ")
