"""A bulkhead: it bounds the calls to one dependency, so that a slow dependency cannot take up everything.

Further calls wait in the order in which they came, each until its own deadline.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from agents.errors import DependencyError, TimedOutError


class Bulkhead:
    """A bulkhead with `limit` slots. A lower limit takes effect as calls end.

    The caller gives a slot back with `release`, once. The call that waits longest gets the next slot, and no
    slot is free while a call waits.
    """

    __slots__ = ("_dependency", "_limit", "_waiting", "in_use")

    def __init__(self, dependency: str, limit: int) -> None:
        self.in_use = 0
        self._dependency = dependency
        self._limit = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Bulkhead {self._dependency} {self.in_use}/{self._limit}, {self.waiting} waiting>"

    @property
    def limit(self) -> int:
        """The number of slots, at least 1."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._hand_on()

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a slot."""
        return sum(not future.done() for future in self._waiting)

    def take(self) -> bool:
        """Take a slot if one is free; return whether one was."""
        if self.in_use >= self._limit:
            return False
        self.in_use += 1
        return True

    async def atake(self, deadline: float) -> None:
        """Take a slot, waiting for it until `deadline` (event loop time).

        Raises:
            TimedOutError: no slot was free in time.
            DependencyError: `refuse` was called meanwhile.
        """
        if self.take():
            return
        loop = asyncio.get_running_loop()
        slot = loop.create_future()
        self._waiting.append(slot)
        timer = loop.call_at(deadline, self._too_late, slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled() and slot.exception() is None:
                # The slot was handed over just as the call was cancelled.
                self.release()
            raise
        finally:
            timer.cancel()
            # Futures that are done must not stay at the head: `release` looks there first.
            while self._waiting and self._waiting[0].done():
                self._waiting.popleft()

    def release(self) -> None:
        """Give a slot back."""
        self.in_use -= 1
        if self._waiting:
            self._hand_on()

    def refuse(self, error: Callable[[], DependencyError]) -> None:
        """End all waiting: each waiting call raises an `error` of its own."""
        waiting, self._waiting = self._waiting, deque()
        for slot in waiting:
            if not slot.done():
                slot.set_exception(error())

    def _hand_on(self) -> None:
        while self._waiting and self.in_use < self._limit:
            slot = self._waiting.popleft()
            if not slot.done():
                self.in_use += 1
                slot.set_result(None)

    def _too_late(self, slot: "asyncio.Future[None]") -> None:
        if not slot.done():
            slot.set_exception(TimedOutError(self._dependency, "no call slot was free in time"))
