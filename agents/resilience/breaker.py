"""A circuit breaker: stops calling a dependency that fails, and tries it again now and then. Pure.

Closed, it watches a window of the last calls; too many failures among them open it, and nothing is
called for a while. Then it is half-open: a few probes may go, and if all of them succeed it closes. One
that fails opens it for twice as long, up to a limit.

Overload is no failure: others are served meanwhile. Where for `OPEN_S` nobody is, it is an outage.
"""

from collections import deque
from enum import StrEnum

WINDOW = 20
"""The calls that are looked at: the last so many."""
CALLS_MIN = 10
"""Fewer calls than this say nothing yet."""
FAILURES_MIN = 0.5
"""The share of failures that opens it."""
OPEN_S = 10.0
"""How long it stays open at first."""
OPEN_MAX_S = 60.0
"""How long at most: that bounds how late a dependency's return is noticed."""
PROBES = 2
"""Calls that may run at once while it is half-open, and successes that close it."""


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Breaker:
    """The breaker of one dependency. `now` is in seconds of a clock that never goes back.

    Every `enter` that gives a ticket is followed by exactly one of `succeeded`, `failed`, `turned_away` and
    `left` with that ticket. Outcomes of calls that began before the last change of state change nothing.
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
        """Whether `enter` would give no ticket now."""
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN:
            return now < self._opened_until
        return self._running + self._proven >= PROBES

    def enter(self, now: float) -> int | None:
        """A ticket for one call, or None: do not call."""
        if self.state is not BreakerState.CLOSED:
            if self.refuses(now):
                return None
            if self.state is BreakerState.OPEN:
                self._become(BreakerState.HALF_OPEN)
            self._running += 1
        return self._generation

    def succeeded(self, ticket: int) -> None:
        """The call's dependency is well."""
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
        """The call's dependency did not do its work."""
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
        """The call's dependency had no time for it, and did not say when it would.

        That is overload as long as some call succeeds. Where none did for `OPEN_S` and `CALLS_MIN` calls,
        and for a probe, it is a failure.
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
        """The call says nothing of its dependency: it was given up, or never sent."""
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
