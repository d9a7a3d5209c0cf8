"""The interface of one level of the cache."""

from typing import Protocol

VALUE_BYTES_MAX = 256 * 1024
"""The longest value that is kept; an answer has 1-20 KB."""


class Store(Protocol):
    """Keeps values for a while. It may lose any of them at any time, and never raises.

    Keys are hashes. A reader checks each value: a store cannot promise that it was put under that key.

    Attributes:
        errors: the number of times that the store could not be reached or failed.
        dropped: the number of values that were not kept because too many waited to be written.
    """

    errors: int
    dropped: int

    async def aget(self, key: bytes) -> bytes | None:
        """Return the value, if there is one that is not too old. A slow store returns None soon."""
        ...

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """Keep a value for at most `ttl_s` seconds, in place of an earlier one. Returns at once."""
        ...

    async def aclose(self) -> None:
        """Release everything that the store holds."""
        ...
