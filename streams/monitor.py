"""Looks at a worker's consumer every few seconds: how far behind it is, and how long it would take."""

import asyncio
import time
from collections.abc import Callable, Mapping

from streams.backlog import Backlog, DrainEstimate

INTERVAL_S = 5.0
ASK_S = 4.0
"""A broker that takes longer to tell is away."""


class Monitor:
    """Observes until it is cancelled.

    Args:
        positions: of each of our partitions, where everything below has its outcome; None: not known.
        completed: how many questions got their outcome since the start.
    """

    def __init__(
        self,
        *,
        backlog: Backlog,
        positions: Callable[[], Mapping[int, int | None]],
        completed: Callable[[], float],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._backlog = backlog
        self._positions = positions
        self._completed = completed
        self._interval_s = interval_s
        self._estimate = DrainEstimate()

    @property
    def drain_s(self) -> float:
        """Estimated seconds until nothing would be left; see `DrainEstimate`."""
        return self._estimate.seconds

    async def run(self) -> None:
        """Returns never."""
        try:
            while True:
                lag = await self._backlog.alag(self._positions(), ASK_S)
                self._estimate.observe(time.monotonic(), lag, self._completed())
                await asyncio.sleep(self._interval_s)
        finally:
            await self._backlog.aclose()
