"""Waiting for troubles that may pass: the pauses between attempts, and one log line a minute."""

import asyncio
import logging
import math
import time
from collections.abc import Callable

from streams.process.backoff import Backoff

log = logging.getLogger(__name__)

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""The pause after each failure in a row."""

PAUSE_MAX_S = 60.0
"""The longest pause that a server may ask for."""

LINE_S = 60.0
"""The time between two log lines."""


class Waiting:
    """One piece of work that is repeated until it succeeds.

    Args:
        subject: the part that waits, for the log.
        clock: seconds that only grow.
    """

    def __init__(self, subject: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._subject = subject
        self._clock = clock
        self._backoff = Backoff(PAUSES_S)
        self._told_at = -math.inf
        self._told = False
        self.problem = ""
        """Why the work waits; empty: it does not."""

    async def apause(self, problem: str, at_least_s: float | None = None) -> None:
        """Wait after a failure."""
        self.problem = problem
        now = self._clock()
        if now - self._told_at >= LINE_S:
            self._told_at, self._told = now, True
            log.warning("%s: %s", self._subject, problem)
        await asyncio.sleep(max(self._backoff.wait_s(), min(at_least_s or 0.0, PAUSE_MAX_S)))

    def over(self) -> None:
        """Note that the work goes on."""
        if self._told:
            log.info("%s no longer", self._subject)
        self.problem, self._told = "", False
        self._backoff.reset()
