"""The interface of a level of the cache, and what can be said of one."""

from typing import Protocol

VALUE_BYTES_MAX = 256 * 1024
"""Longest value that is kept; an answer has 1-20 KB."""


class Store(Protocol):
    """Keeps values for a while. It may lose any of them at any time, and never raises.

    A value is what was put under that very key, as far as the store can tell: whoever reads one checks
    it. Keys are hashes.

    Attributes:
        errors: how often it could not be reached, or did not do its work.
        dropped: how many values were not kept because too many waited to be written.
    """

    errors: int
    dropped: int

    async def aget(self, key: bytes) -> bytes | None:
        """The value, if there is one that is not too old; soon, whatever it takes to get one."""
        ...

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Keep a value for at most `ttl_s` seconds, in place of an earlier one; returns at once."""
        ...

    async def aclose(self) -> None:
        """Let go of what it holds."""
        ...
