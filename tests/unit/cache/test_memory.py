"""The level in memory stays within its bytes."""

from hypothesis import given
from hypothesis import strategies as st

from agents.cache.memory import ENTRY_BYTES, MemoryStore

MAX = 10_000


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12_000), st.integers(1, 9)), max_size=80))
def test_the_memory_never_holds_more_bytes_than_allowed(puts: list[tuple[int, int, int]]) -> None:
    now = 0.0
    store = MemoryStore(MAX, clock=lambda: now)
    last: dict[bytes, bytes] = {}
    for number, size, ttl in puts:
        now += 1
        key = bytes([number])
        store.put(key, bytes([size % 256]) * size, ttl)
        last[key] = bytes([size % 256]) * size
        assert store.used_bytes <= MAX
        assert store.entries * ENTRY_BYTES <= MAX
        for each, value in last.items():
            assert store.get(each) in {None, value}


def test_the_least_recently_used_entry_goes_first() -> None:
    store = MemoryStore(3 * (ENTRY_BYTES + 1))
    for key in (b"a", b"b", b"c"):
        store.put(key, key, 60)
    store.get(b"a")
    store.put(b"d", b"d", 60)
    assert [store.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"a", None, b"c", b"d"]
