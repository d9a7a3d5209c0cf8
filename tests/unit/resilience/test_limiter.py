"""The adaptive limit: halved once a wave of overload, back by steps, never beyond its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from agents.resilience.limiter import LIMIT_MIN, AdaptiveLimit


def test_it_starts_at_the_maximum_and_a_wave_of_overload_halves_it_once() -> None:
    limit = AdaptiveLimit(100)
    assert limit.current == 100
    assert limit.overloaded(started=0.0, now=1.0)
    for _ in range(50):
        assert not limit.overloaded(started=0.5, now=1.1), "it began before the limit was lowered"
    assert limit.current == 50
    assert limit.overloaded(started=1.0, now=2.0)
    assert limit.current == 25


def test_it_grows_only_while_it_is_used_up() -> None:
    limit = AdaptiveLimit(100)
    limit.overloaded(0.0, 1.0)
    for _ in range(1000):
        limit.succeeded(in_use=limit.current - 1)
    assert limit.current == 50
    for _ in range(50):
        limit.succeeded(in_use=limit.current)
    assert limit.current in {50, 51}
    for _ in range(100):
        limit.succeeded(in_use=limit.current)
    assert 51 < limit.current < 54


def test_half_of_the_maximum_is_back_within_a_minute_of_one_second_calls() -> None:
    limit = AdaptiveLimit(1000)
    for second in range(20):
        limit.overloaded(second, second)
    assert limit.current == LIMIT_MIN
    for _ in range(60):
        for _ in range(limit.current):
            limit.succeeded(in_use=limit.current)
    assert limit.current > 500


@given(
    st.integers(1, 500),
    st.lists(st.one_of(st.just(None), st.tuples(st.floats(0, 5), st.floats(0, 5))), max_size=200),
)
def test_it_never_leaves_its_bounds(maximum: int, events: list[tuple[float, float] | None]) -> None:
    limit, now = AdaptiveLimit(maximum), 0.0
    for event in events:
        before = limit.current
        if event is None:
            assert limit.succeeded(before) == (limit.current != before)
            assert limit.current >= before
        else:
            now += event[0]
            assert limit.overloaded(now - event[1], now) == (limit.current != before)
            assert before / 2 - 1 < limit.current <= before
        assert LIMIT_MIN <= limit.current <= maximum
