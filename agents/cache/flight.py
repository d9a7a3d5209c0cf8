"""One at a time: of those who need the same value at once, one makes it and the others wait for it.

Whoever comes first leads. A leader that has a value lands it for all; one that is cancelled or fails
hands over, and one of those who wait leads next; one whose value is nobody else's lets them all go.
Nobody waits longer than it chose to.
"""

import asyncio
from collections import deque
from enum import Enum
from typing import Final


class Role(Enum):
    """What somebody who joined is to do: make the value for all who wait, or for itself alone."""

    LEADER = "leader"
    ALONE = "alone"


_Waiting = deque["asyncio.Future[bytes | Role]"]


class SingleFlight:
    """Who is at which key now, on one event loop.

    Every `Role.LEADER` is followed by exactly one of `land`, `hand_over` and `let_go`.
    """

    def __init__(self) -> None:
        self._waiting: Final[dict[bytes, _Waiting]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def ajoin(self, key: bytes, until: float) -> bytes | Role:
        """Lead at once if nobody is at it; else wait for the value, or a role, until then (loop time)."""
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
            # It may have been made the leader before it could notice.
            if future.done() and future.result() is Role.LEADER:
                self.hand_over(key)
            future.cancel()
            raise
        if future.done():
            return future.result()
        future.cancel()
        return Role.ALONE

    def land(self, key: bytes, value: bytes) -> None:
        """Here is the value, for all who wait."""
        self._release(key, value)

    def let_go(self, key: bytes) -> None:
        """There is none that could be shared: all who wait make their own."""
        self._release(key, Role.ALONE)

    def hand_over(self, key: bytes) -> None:
        """There is none this time: the one that has waited longest leads."""
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
