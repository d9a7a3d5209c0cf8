"""Single flight: of all callers that need the same value at once, one makes it and the others wait.

The first caller leads. A leader that has a value lands it for all. A leader that fails or is cancelled
hands over, and the caller that has waited longest leads next. A leader whose value cannot be shared lets
the others go. Each caller chooses how long it waits.
"""

import asyncio
from collections import deque
from enum import Enum
from typing import Final


class Role(Enum):
    """The duty of a caller without a value: to make it for all who wait, or for itself alone."""

    LEADER = "leader"
    ALONE = "alone"


_Waiting = deque["asyncio.Future[bytes | Role]"]


class SingleFlight:
    """The callers that make or await values, by key, on one event loop.

    A caller that is made `Role.LEADER` calls exactly one of `land`, `hand_over` and `let_go`.
    """

    def __init__(self) -> None:
        self._waiting: Final[dict[bytes, _Waiting]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def ajoin(self, key: bytes, until: float) -> bytes | Role:
        """Lead at once if nobody makes the value; else wait for it or a role, until `until` (loop time)."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return Role.LEADER
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes | Role] = loop.create_future()
        waiting.append(future)
        try:
            await asyncio.wait([future], timeout=max(0.0, until - loop.time()))
        except asyncio.CancelledError:
            # The caller may have been made the leader just before it was cancelled.
            if future.done() and future.result() is Role.LEADER:
                self.hand_over(key)
            future.cancel()
            raise
        if future.done():
            return future.result()
        future.cancel()
        return Role.ALONE

    def land(self, key: bytes, value: bytes) -> None:
        """Give the value to all who wait."""
        self._release(key, value)

    def let_go(self, key: bytes) -> None:
        """Let all who wait make their own value: this one cannot be shared."""
        self._release(key, Role.ALONE)

    def hand_over(self, key: bytes) -> None:
        """Make the caller that has waited longest the leader: there is no value."""
        waiting = self._waiting[key]
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(Role.LEADER)
                return
        del self._waiting[key]

    def _release(self, key: bytes, result: bytes | Role) -> None:
        for future in self._waiting.pop(key):
            if not future.done():
                future.set_result(result)
