"""The tenants whose changes of documents took longest lately, in bounded memory."""

import heapq
import time
from collections.abc import Callable
from typing import Any

from streams.telemetry.hook import Hook

TENANTS_MAX = 20
"""Tenants that are listed."""

WINDOW_S = 300.0
"""A delay is listed for one to two of these."""


class SlowestTenants(Hook):
    """The slowest delay of each of the `TENANTS_MAX` slowest tenants, over the last five to ten minutes.

    A window holds no more tenants than are listed. That is exact: a tenant that is left out of one has no
    slower delay in it than those that are kept, and comes back with its first slower one.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._now: dict[str, float] = {}
        self._before: dict[str, float] = {}

    def knowledge_delayed(self, tenant: str, delay_s: float) -> None:
        """See the hook."""
        self._turn()
        window = self._now
        if delay_s <= window.get(tenant, -1.0):
            return
        window[tenant] = delay_s
        if len(window) > TENANTS_MAX:
            del window[min(window, key=window.__getitem__)]

    def state(self) -> list[dict[str, Any]]:
        """Return tenants and delays, the slowest first."""
        self._turn()
        slowest = dict(self._before)
        for tenant, delay_s in self._now.items():
            slowest[tenant] = max(delay_s, slowest.get(tenant, 0.0))
        listed = heapq.nlargest(TENANTS_MAX, slowest.items(), key=lambda each: each[1])
        return [{"tenant": tenant, "delay_s": round(delay_s, 3)} for tenant, delay_s in listed]

    def _turn(self) -> None:
        passed = self._clock() - self._since
        if passed >= WINDOW_S:
            self._before, self._now = (self._now if passed < 2 * WINDOW_S else {}), {}
            self._since = self._clock()
