"""The cache's level in this process: bounded in bytes; the least recently used entry goes first."""

import time
from collections.abc import Callable

from cachetools import TLRUCache

from agents.cache.store import VALUE_BYTES_MAX

ENTRY_BYTES = 400
"""The cost of an entry besides its value: key, links, expiry."""

_Entry = tuple[bytes, float]


class MemoryStore:
    """See `agents.cache.store.Store`.

    Args:
        max_bytes: limits the values, each counted with `ENTRY_BYTES` more; so their number is limited too.
        clock: returns seconds and never goes back.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.errors = self.dropped = 0  # it is always there
        self._longest = min(VALUE_BYTES_MAX, max_bytes - ENTRY_BYTES)
        self._entries: TLRUCache[bytes, _Entry] = TLRUCache(
            max_bytes, ttu=_expires_at, timer=clock, getsizeof=_size
        )

    def __repr__(self) -> str:
        return f"<MemoryStore {self.entries} entries, {self.used_bytes} bytes>"

    @property
    def used_bytes(self) -> int:
        """The bytes in use, with `ENTRY_BYTES` for each value."""
        return int(self._entries.currsize)

    @property
    def entries(self) -> int:
        """The number of values."""
        return len(self._entries)

    def get(self, key: bytes) -> bytes | None:
        """Return the same as `aget`, without a wait."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    async def aget(self, key: bytes) -> bytes | None:
        """See `Store`."""
        return self.get(key)

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """See `Store`."""
        if len(value) > self._longest:
            self._entries.pop(key, None)
        else:
            self._entries[key] = value, ttl_s

    async def aclose(self) -> None:
        """See `Store`."""
        self._entries.clear()


def _expires_at(key: bytes, entry: _Entry, now: float) -> float:  # noqa: ARG001 - cachetools' signature
    return now + entry[1]


def _size(entry: _Entry) -> int:
    return len(entry[0]) + ENTRY_BYTES
