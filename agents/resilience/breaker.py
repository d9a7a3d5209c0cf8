"""A circuit breaker: it stops calls to a dependency that fails, and probes it now and then. Pure.

A closed breaker watches a window of the last calls, and opens if too many of them failed. An open one lets
no call pass for a while. Then it is half-open: a few probes pass, and it closes if all of them succeed. A
probe that fails opens it for twice as long, up to a limit.

Overload is no failure, because the dependency serves others meanwhile. If it serves nobody for `OPEN_S`,
that counts as an outage.
"""

from collections import deque
from enum import StrEnum

WINDOW = 20
"""Calls in the window."""
CALLS_MIN = 10
"""Calls that the window must hold before the breaker may open."""
FAILURES_MIN = 0.5
"""Share of failures in the window that opens it."""
OPEN_S = 10.0
"""Seconds that it stays open at first."""
OPEN_MAX_S = 60.0
"""Seconds that it stays open at most: a dependency that works again is noticed no later."""
PROBES = 2
"""Calls that may run at once while it is half-open, and the number of successes that closes it."""


class BreakerState(StrEnum):
    """The state of a breaker, which decides whether calls pass."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Breaker:
    """The breaker of one dependency. `now` is in seconds of a clock that never goes back.

    After each `enter` that returns a ticket, the caller calls exactly one of `succeeded`, `failed`,
    `turned_away` and `left` with it. The end of a call that began before the last change of state is ignored.
    """

    __slots__ = (
        "_failures",
        "_futile",
        "_futile_since",
        "_generation",
        "_open_s",
        "_opened_until",
        "_proven",
        "_running",
        "_window",
        "state",
    )

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self._window: deque[bool] = deque(maxlen=WINDOW)
        self._failures = 0
        self._generation = 0
        self._open_s = OPEN_S
        self._opened_until = 0.0
        self._running = 0
        self._proven = 0
        self._futile = 0
        self._futile_since = 0.0

    def __repr__(self) -> str:
        return f"<Breaker {self.state} {self._failures}/{len(self._window)} failed>"

    def refuses(self, now: float) -> bool:
        """Whether `enter` would return None now."""
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN:
            return now < self._opened_until
        return self._running + self._proven >= PROBES

    def enter(self, now: float) -> int | None:
        """Return a ticket for one call, or None if the call must not be made."""
        if self.state is not BreakerState.CLOSED:
            if self.refuses(now):
                return None
            if self.state is BreakerState.OPEN:
                self._become(BreakerState.HALF_OPEN)
            self._running += 1
        return self._generation

    def succeeded(self, ticket: int) -> None:
        """Note that the call's dependency works."""
        if ticket != self._generation:
            return
        if self.state is BreakerState.CLOSED:
            self._futile = 0
            self._count(failed=False)
            return
        self._running -= 1
        self._proven += 1
        if self._proven >= PROBES:
            self._open_s = OPEN_S
            self._become(BreakerState.CLOSED)

    def failed(self, ticket: int, now: float) -> None:
        """Note that the call's dependency failed."""
        if ticket != self._generation:
            return
        if self.state is BreakerState.CLOSED:
            self._count(failed=True)
            if len(self._window) >= CALLS_MIN and self._failures >= FAILURES_MIN * len(self._window):
                self._open(now)
            return
        self._open_s = min(OPEN_MAX_S, self._open_s * 2)
        self._open(now)

    def turned_away(self, ticket: int, now: float) -> None:
        """Note that the call's dependency was busy and did not say until when.

        That is overload as long as some call succeeds. It counts as a failure for a probe, and if no call
        has succeeded for `OPEN_S` and `CALLS_MIN` calls.
        """
        if ticket != self._generation:
            return
        if self.state is not BreakerState.CLOSED:
            self.failed(ticket, now)
            return
        if not self._futile:
            self._futile_since = now
        self._futile += 1
        if self._futile >= CALLS_MIN and now - self._futile_since >= OPEN_S:
            self._open(now)

    def left(self, ticket: int) -> None:
        """Note that the call showed nothing about its dependency: it was given up, or never sent."""
        if ticket == self._generation and self.state is BreakerState.HALF_OPEN:
            self._running -= 1

    def _count(self, *, failed: bool) -> None:
        if len(self._window) == WINDOW:
            self._failures -= self._window[0]
        self._window.append(failed)
        self._failures += failed

    def _open(self, now: float) -> None:
        self._opened_until = now + self._open_s
        self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._generation += 1
        self._window.clear()
        self._failures = self._running = self._proven = self._futile = 0
