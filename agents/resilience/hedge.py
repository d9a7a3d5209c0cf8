"""Hedged requests: a second one after a call has taken longer than nearly all before it.

The first good answer wins and the other request is cancelled. See Dean and Barroso, "The Tail at Scale"
(2013). Only for calls that may be repeated, and within the retry budget.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agents.errors import DependencyError

T = TypeVar("T")

SAMPLES = 100
"""Latencies that are looked at: the last so many."""
SAMPLES_MIN = 20
"""Fewer have no 95th percentile to speak of."""
AGE_MAX_S = 600.0
"""An older one tells of a dependency as it was: with another load, another version, another cache."""
PERCENTILE = 0.95
REFRESH = 20
"""Latencies after which the percentile is found anew: sorting at each one would cost more than it tells."""


class LatencyWindow:
    """The 95th percentile of the last latencies, in seconds. Pure.

    Where it is asked for it is found anew from time to time, of what is no older than `AGE_MAX_S` then, and
    good for as long.
    `now` is in seconds of a clock that never goes back.
    """

    __slots__ = ("_found_at", "_latencies", "_p95_s", "_since")

    def __init__(self) -> None:
        self._p95_s: float | None = None
        self._found_at = 0.0
        self._latencies: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._since = 0

    def __repr__(self) -> str:
        return f"<LatencyWindow p95 {self._p95_s}>"

    def p95_s(self, now: float) -> float | None:
        """None: too few calls succeeded of late to speak of one."""
        old = self._p95_s is not None and now - self._found_at > AGE_MAX_S
        if old or self._since >= REFRESH:
            self._find(now)
        return self._p95_s

    def add(self, latency_s: float, now: float) -> None:
        """Take in the latency of a call that succeeded now."""
        self._latencies.append((now, latency_s))
        self._since += 1

    def _find(self, now: float) -> None:
        while self._latencies and now - self._latencies[0][0] > AGE_MAX_S:
            self._latencies.popleft()
        in_order = sorted(latency_s for _, latency_s in self._latencies)
        enough = len(in_order) >= SAMPLES_MIN
        self._p95_s = in_order[int(PERCENTILE * (len(in_order) - 1))] if enough else None
        self._since = 0
        # As old as what it tells of.
        self._found_at = self._latencies[-1][0] if self._latencies else now


async def ahedged(
    first: Awaitable[T],
    after_s: float,
    second: Callable[[], Awaitable[T]],
    may_start: Callable[[], bool],
    beaten: Callable[[], None] = lambda: None,
) -> T:
    """The result of `first`, or of `second` if that succeeds earlier; where both fail, the first's error.

    `second` is called `after_s` later, unless `may_start` says no then; `beaten`, where its result is used.
    """
    loop = asyncio.get_running_loop()
    hedge: asyncio.Task[T] | None = None
    scope = asyncio.timeout(None)
    racing = True

    def start() -> None:
        nonlocal hedge
        if may_start():
            hedge = loop.create_task(_of(second))
            hedge.add_done_callback(ended)

    def ended(task: "asyncio.Task[T]") -> None:
        # In this order: an error that nobody asks for any more has to be seen, too.
        if _succeeded(task) and racing:
            scope.reschedule(loop.time())

    # The first runs in this task: only a call that is hedged costs a task.
    timer = loop.call_later(after_s, start)
    try:
        async with scope:
            try:
                return await first
            finally:
                racing = False
    except TimeoutError:
        if hedge is None or not scope.expired():
            raise
    except DependencyError:
        if hedge is None:
            raise
        await asyncio.wait([hedge])
        if not _succeeded(hedge):
            raise
    finally:
        timer.cancel()
        if hedge is not None:
            hedge.cancel()
    beaten()
    return hedge.result()


async def _of(call: Callable[[], Awaitable[T]]) -> T:
    # Called here, because a task that is cancelled before it runs would leave a coroutine unawaited.
    return await call()


def _succeeded(task: "asyncio.Task[T]") -> bool:
    # Asking for the exception marks it as seen, which it is.
    return not task.cancelled() and task.exception() is None
