"""The breaker: when it opens, how it closes, and which calls never move it."""

from hypothesis import given
from hypothesis import strategies as st

from agents.resilience.breaker import (
    CALLS_MIN,
    OPEN_MAX_S,
    OPEN_S,
    PROBES,
    WINDOW,
    Breaker,
    BreakerState,
)


def call(breaker: Breaker, now: float, *, fails: bool) -> bool:
    """One call from beginning to end; whether it was made."""
    ticket = breaker.enter(now)
    if ticket is None:
        return False
    if fails:
        breaker.failed(ticket, now)
    else:
        breaker.succeeded(ticket)
    return True


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    while breaker.state is BreakerState.CLOSED:
        call(breaker, now, fails=True)
    return breaker


def test_it_opens_at_half_of_the_window_and_not_before_ten_calls() -> None:
    breaker = Breaker()
    for _ in range(CALLS_MIN - 1):
        call(breaker, 0.0, fails=True)
    assert breaker.state is BreakerState.CLOSED
    call(breaker, 0.0, fails=True)
    assert breaker.state is BreakerState.OPEN
    assert not call(breaker, OPEN_S - 0.1, fails=False)


def test_failures_that_left_the_window_do_not_count() -> None:
    breaker = Breaker()
    for _ in range(CALLS_MIN - 1):
        call(breaker, 0.0, fails=True)
    for _ in range(WINDOW):
        call(breaker, 0.0, fails=False)
    for _ in range(WINDOW // 2 - 1):
        call(breaker, 0.0, fails=True)
    assert breaker.state is BreakerState.CLOSED
    call(breaker, 0.0, fails=True)
    assert breaker.state is BreakerState.OPEN


def test_half_open_it_lets_two_probes_through_and_closes_when_both_succeed() -> None:
    breaker = opened()
    first, second = breaker.enter(OPEN_S), breaker.enter(OPEN_S)
    assert first is not None
    assert second is not None
    assert breaker.enter(OPEN_S) is None
    breaker.succeeded(first)
    assert breaker.enter(OPEN_S) is None, "one success and one probe under way are enough"
    breaker.succeeded(second)
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_a_minute() -> None:
    breaker, now, expected = opened(), 0.0, OPEN_S
    for _ in range(5):
        assert breaker.refuses(now + expected - 0.1)
        now += expected
        assert call(breaker, now, fails=True)
        expected = min(OPEN_MAX_S, expected * 2)
    assert expected == OPEN_MAX_S


def test_a_probe_that_is_given_up_makes_room_for_another() -> None:
    breaker = opened()
    for _ in range(3 * PROBES):
        ticket = breaker.enter(OPEN_S)
        assert ticket is not None
        breaker.left(ticket)
    assert breaker.state is BreakerState.HALF_OPEN


def test_the_end_of_a_call_that_began_before_it_opened_is_ignored() -> None:
    breaker = Breaker()
    late = [breaker.enter(0.0) for _ in range(40)]
    for ticket in late[:CALLS_MIN]:
        breaker.failed(ticket or 0, 0.0)
    probe = breaker.enter(OPEN_S)
    for ticket in late[CALLS_MIN:]:
        breaker.succeeded(ticket or 0)
        breaker.failed(ticket or 0, OPEN_S)
    assert breaker.state is BreakerState.HALF_OPEN
    assert probe is not None


def test_probes_that_are_given_up_free_one_place_each() -> None:
    breaker = opened()
    first, second = breaker.enter(OPEN_S), breaker.enter(OPEN_S)
    breaker.left(first or 0)
    third = breaker.enter(OPEN_S)
    assert third is not None
    assert breaker.enter(OPEN_S) is None
    breaker.left(second or 0)
    breaker.left(third)
    assert [breaker.enter(OPEN_S) is not None for _ in range(PROBES + 1)] == [True] * PROBES + [False]


def test_a_call_from_before_that_is_given_up_frees_no_place_of_a_probe() -> None:
    breaker = Breaker()
    early = [breaker.enter(0.0) for _ in range(PROBES)]
    while breaker.state is BreakerState.CLOSED:
        call(breaker, 0.0, fails=True)
    for _ in range(PROBES):
        assert breaker.enter(OPEN_S) is not None
    for ticket in early:
        breaker.left(ticket or 0)
    assert breaker.enter(OPEN_S) is None


def test_a_call_that_is_given_up_while_it_is_closed_makes_no_room_for_later_probes() -> None:
    breaker = Breaker()
    for _ in range(PROBES):
        ticket = breaker.enter(0.0)
        assert ticket is not None
        breaker.left(ticket)
    while breaker.state is BreakerState.CLOSED:
        call(breaker, 0.0, fails=True)
    assert [breaker.enter(OPEN_S) is not None for _ in range(PROBES + 1)] == [True] * PROBES + [False]


def test_the_success_of_a_probe_does_not_count_after_another_failed() -> None:
    breaker = opened()
    slow, quick = breaker.enter(OPEN_S), breaker.enter(OPEN_S)
    breaker.failed(quick or 0, OPEN_S)
    now = 3 * OPEN_S
    assert call(breaker, now, fails=False)
    breaker.succeeded(slow or 0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert call(breaker, now, fails=False)
    assert breaker.state is BreakerState.CLOSED


def test_once_it_has_closed_it_opens_for_the_first_length_again() -> None:
    breaker = opened()
    call(breaker, OPEN_S, fails=True)
    now = 3 * OPEN_S
    for _ in range(PROBES):
        assert call(breaker, now, fails=False)
    while breaker.state is BreakerState.CLOSED:
        call(breaker, now, fails=True)
    assert breaker.refuses(now + OPEN_S - 0.1)
    assert not breaker.refuses(now + OPEN_S)


def turn_away(breaker: Breaker, now: float) -> None:
    ticket = breaker.enter(now)
    assert ticket is not None
    breaker.turned_away(ticket, now)


def test_overload_is_no_failure_while_some_call_succeeds() -> None:
    breaker, now = Breaker(), 0.0
    for _ in range(100):
        for _ in range(50):
            turn_away(breaker, now)
        now += OPEN_S - 0.1
        turn_away(breaker, now)
        call(breaker, now, fails=False)
    assert breaker.state is BreakerState.CLOSED


def test_it_opens_if_no_call_succeeds_for_ten_seconds_and_again_if_a_probe_is_turned_away() -> None:
    breaker = Breaker()
    for _ in range(100):
        turn_away(breaker, 0.0)
    turn_away(breaker, OPEN_S - 0.1)
    assert breaker.state is BreakerState.CLOSED, "a moment of overload"
    turn_away(breaker, OPEN_S)
    assert breaker.refuses(2 * OPEN_S - 0.1)
    turn_away(breaker, 2 * OPEN_S)
    assert breaker.refuses(4 * OPEN_S - 0.1)
    for _ in range(PROBES):
        assert call(breaker, 4 * OPEN_S, fails=False)
    assert breaker.state is BreakerState.CLOSED


def test_a_few_calls_that_are_turned_away_never_open_it() -> None:
    breaker = Breaker()
    for hour in range(CALLS_MIN - 1):
        turn_away(breaker, hour * 3600.0)
    assert breaker.state is BreakerState.CLOSED
    turn_away(breaker, CALLS_MIN * 3600.0)
    assert breaker.state is BreakerState.OPEN


@given(st.lists(st.tuples(st.booleans(), st.floats(0, OPEN_S)), max_size=200))
def test_it_opens_by_overload_exactly_after_ten_calls_and_ten_seconds_without_a_success(
    calls: list[tuple[bool, float]],
) -> None:
    breaker, now, turned_away = Breaker(), 0.0, list[float]()
    for served, pause in calls:
        now += pause
        if served:
            call(breaker, now, fails=False)
            turned_away = []
        else:
            turn_away(breaker, now)
            turned_away.append(now)
        opens = len(turned_away) >= CALLS_MIN and now - turned_away[0] >= OPEN_S
        assert (breaker.state is BreakerState.OPEN) == opens
        if opens:
            return


@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "fail", "leave", "away", "begin"]), st.floats(0, 30)), max_size=300
    )
)
def test_probes_are_always_bounded_and_a_minute_later_a_call_passes(
    events: list[tuple[str, float]],
) -> None:
    breaker, now = Breaker(), 0.0
    running: list[int] = []
    for event, pause in events:
        now += pause
        before = breaker.state
        if event == "begin":
            ticket = breaker.enter(now)
            assert (ticket is None) <= (before is not BreakerState.CLOSED)
            if ticket is not None:
                running.append(ticket)
        elif running:
            ticket = running.pop(0)
            match event:
                case "ok":
                    breaker.succeeded(ticket)
                case "fail":
                    breaker.failed(ticket, now)
                case "away":
                    breaker.turned_away(ticket, now)
                case _:
                    breaker.left(ticket)
        if breaker.state is BreakerState.HALF_OPEN:
            assert running.count(max(running, default=0)) <= PROBES or running[-1] != max(running)
    for ticket in running:
        breaker.left(ticket)
    assert call(breaker, now + OPEN_MAX_S, fails=False), "recovery needs no restart"
    call(breaker, now + OPEN_MAX_S, fails=False)
    assert breaker.state is BreakerState.CLOSED
