"""Watches a worker's consumer every few seconds: how far behind it is, and whether it is stuck.

A stuck consumer is replaced in the running worker. If that does not help, the worker has to end.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiokafka.errors import KafkaError

from streams.consumer.watchdog import Diagnosis, Observation, StuckError, Watchdog
from streams.telemetry.hook import Hook
from streams.worker.backlog import Backlog, DrainEstimate, lag_of

log = logging.getLogger(__name__)

INTERVAL_S = 5.0
ASK_S = 4.0
"""How long the broker may take to say where partitions end; one that takes longer counts as unreachable."""


class Consumer(Protocol):
    """The watched consumer (`streams.consumer.loop.ConsumerLoop`)."""

    def observe(self, ends: Mapping[int, int] | None) -> Observation:
        """Return its present state; `ends` of its partitions, if they are known."""
        ...

    async def rebuild(self) -> None:
        """Replace its connection. Raises KafkaError or TimeoutError if that fails."""
        ...


class Monitor:
    """Watches a consumer until it is cancelled.

    Args:
        consumer: replaced when `watchdog` says so.
        positions: returns for each of our partitions the offset below which every record has its outcome;
            None: not known.
        completed: returns how many questions got their outcome since the start.
    """

    def __init__(
        self,
        *,
        consumer: Consumer,
        watchdog: Watchdog,
        backlog: Backlog,
        positions: Callable[[], Mapping[int, int | None]],
        completed: Callable[[], float],
        hook: Hook,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._consumer = consumer
        self._watchdog = watchdog
        self._backlog = backlog
        self._positions = positions
        self._completed = completed
        self._hook = hook
        self._interval_s = interval_s
        self._estimate = DrainEstimate()
        self._rebuilds = 0
        self._last = ""
        self._refused = False

    @property
    def drain_s(self) -> float:
        """Estimated seconds until the backlog is empty; see `DrainEstimate`."""
        return self._estimate.seconds

    def state(self) -> dict[str, Any]:
        """Return its part of `/state`."""
        return {"rebuilds": self._rebuilds, "last_rebuild": self._last}

    async def run(self) -> None:
        """Watch; never return.

        Raises:
            StuckError: the consumer is stuck, and new ones have not helped.
        """
        try:
            while True:
                positions = self._positions()
                ends = await self._backlog.aends(positions, ASK_S)
                lag = None if ends is None else lag_of(ends, positions)
                self._estimate.observe(time.monotonic(), lag, self._completed())
                await self._act(self._watchdog.observe(self._consumer.observe(ends)))
                await asyncio.sleep(self._interval_s)
        finally:
            await self._backlog.aclose()

    async def _act(self, diagnosis: Diagnosis) -> None:
        if diagnosis.action == "dead":
            raise StuckError(diagnosis.detail)
        if diagnosis.action == "rebuild":
            self._rebuilds += 1
            self._last = diagnosis.detail
            self._hook.consumer_rebuilt(str(diagnosis.symptom), diagnosis.detail)
        elif not self._refused:
            return
        # A failed replacement is repeated without a new verdict, until it connects or the watchdog gives up.
        self._refused = True
        try:
            await self._consumer.rebuild()
        except (KafkaError, TimeoutError) as error:
            log.warning("the new consumer cannot connect; another attempt follows: %r", error)
        else:
            self._refused = False
