"""Hedged requests: a call that is slower than nearly all before it gets a second request beside it.

The first success wins, and the other request is cancelled. See Dean and Barroso, "The Tail at Scale"
(2013). Only calls that may be repeated are hedged, and only within the retry budget.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agents.errors import DependencyError

T = TypeVar("T")

SAMPLES = 100
"""Latencies in the window."""
SAMPLES_MIN = 20
"""Latencies that a 95th percentile needs."""
AGE_MAX_S = 600.0
"""Seconds after which a latency is dropped: load, version or caches of the dependency may have changed."""
PERCENTILE = 0.95
REFRESH = 20
"""Latencies between two calculations of the percentile, because sorting for each one would cost too much."""


class LatencyWindow:
    """The 95th percentile of the last latencies, in seconds. Pure.

    `p95_s` calculates it anew after `REFRESH` latencies or `AGE_MAX_S`, from latencies no older than
    `AGE_MAX_S`. `now` is in seconds of a clock that never goes back.
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
        """Return the percentile; None if too few calls have succeeded of late."""
        old = self._p95_s is not None and now - self._found_at > AGE_MAX_S
        if old or self._since >= REFRESH:
            self._find(now)
        return self._p95_s

    def add(self, latency_s: float, now: float) -> None:
        """Add the latency of a call that succeeded now."""
        self._latencies.append((now, latency_s))
        self._since += 1

    def _find(self, now: float) -> None:
        while self._latencies and now - self._latencies[0][0] > AGE_MAX_S:
            self._latencies.popleft()
        in_order = sorted(latency_s for _, latency_s in self._latencies)
        enough = len(in_order) >= SAMPLES_MIN
        self._p95_s = in_order[int(PERCENTILE * (len(in_order) - 1))] if enough else None
        self._since = 0
        # As old as its latest latency.
        self._found_at = self._latencies[-1][0] if self._latencies else now


async def ahedged(
    first: Awaitable[T],
    after_s: float,
    second: Callable[[], Awaitable[T]],
    may_start: Callable[[], bool],
    beaten: Callable[[], None] = lambda: None,
) -> T:
    """Return the result of `first`, or of `second` if that succeeds earlier.

    `second` is called after `after_s` seconds, unless `may_start` then returns False. `beaten` is called if
    its result is used. If both fail, the error of `first` is raised.
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
        # `_succeeded` comes first: it marks an error as seen, even one that nobody needs any more.
        if _succeeded(task) and racing:
            scope.reschedule(loop.time())

    # `first` runs in this task, so that only a hedged call costs a task.
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
    # Called here: a task that is cancelled before it runs would leave a coroutine unawaited.
    return await call()


def _succeeded(task: "asyncio.Task[T]") -> bool:
    # Reading the exception marks it as seen, so that asyncio does not log it.
    return not task.cancelled() and task.exception() is None
