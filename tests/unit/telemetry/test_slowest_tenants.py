"""The slowest tenants are exact, and cost no more memory for more tenants."""

from hypothesis import given
from hypothesis import strategies as st

from streams.telemetry.slowest_tenants import TENANTS_MAX, WINDOW_S, SlowestTenants

DELAYS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 1000), st.integers(0, 60)), max_size=300)


@given(DELAYS)
def test_it_lists_the_slowest_delays_of_the_last_windows(told: list[tuple[int, int, int]]) -> None:
    now = [0.0]
    slowest = SlowestTenants(lambda: now[0])
    all_told: list[tuple[float, str, float]] = []
    for tenant, milliseconds, later in told:
        now[0] += later
        slowest.knowledge_delayed(f"t{tenant}", milliseconds / 1000)
        all_told.append((now[0], f"t{tenant}", milliseconds / 1000))
    listed = {each["tenant"]: each["delay_s"] for each in slowest.state()}
    assert len(listed) <= TENANTS_MAX
    recent: dict[str, float] = {}
    kept: dict[str, float] = {}
    for at, tenant, delay_s in all_told:
        if at >= now[0] - WINDOW_S:
            recent[tenant] = max(delay_s, recent.get(tenant, 0.0))
        if at > now[0] - 2 * WINDOW_S - 60:
            kept[tenant] = max(delay_s, kept.get(tenant, 0.0))
    # Whatever was told in the last window is listed, or slower ones are; nothing is listed for ever.
    least = min(listed.values(), default=0.0)
    for tenant, delay_s in recent.items():
        assert listed.get(tenant, -1.0) >= delay_s or (len(listed) == TENANTS_MAX and delay_s <= least)
    assert all(delay_s <= kept.get(tenant, -1.0) for tenant, delay_s in listed.items())


def test_a_delay_is_gone_after_two_windows() -> None:
    now = [0.0]
    slowest = SlowestTenants(lambda: now[0])
    slowest.knowledge_delayed("slow", 9.0)
    now[0] += WINDOW_S
    slowest.knowledge_delayed("fast", 0.1)
    assert slowest.state() == [{"tenant": "slow", "delay_s": 9.0}, {"tenant": "fast", "delay_s": 0.1}]
    now[0] += WINDOW_S
    assert slowest.state() == [{"tenant": "fast", "delay_s": 0.1}]
    now[0] += 2 * WINDOW_S
    assert slowest.state() == []
