"""Keeps several worker processes running: starts them, restarts crashed ones, passes signals on to all.

The processes share nothing but the consumer group, which distributes the partitions among them.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable

from streams.consumer.watchdog import StuckError
from streams.process.backoff import Backoff
from streams.process.processes import Child
from streams.process.signals import on_signals
from streams.settings.errors import CannotStartError, OperatorError, SettingsError

log = logging.getLogger(__name__)

RESTART_STEPS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
WELL_S = 60.0
"""A process that ran for this long had recovered from the crash before: the waits start over."""
CLOSE_S = 20.0
"""How long a worker may take after its grace period, or after a second signal, before it is killed."""


class Supervisor:
    """Keeps `count` processes running until it is told to stop.

    Args:
        start: starts the process with that index, counted from 0.
        grace_s: how long a process may drain; one that takes `close_s` longer is killed.
        backoff: makes the waits between the starts of one process.
    """

    def __init__(
        self,
        start: Callable[[int], Child],
        count: int,
        *,
        grace_s: float,
        close_s: float = CLOSE_S,
        backoff: Callable[[], Backoff] = lambda: Backoff(RESTART_STEPS_S, well_s=WELL_S),
    ) -> None:
        self._start = start
        self._count = count
        self._grace_s = grace_s
        self._close_s = close_s
        self._backoff = backoff
        self._children: dict[int, Child] = {}
        self._draining = asyncio.Event()
        self._problem_code: int | None = None
        self._all_drained = True
        self._killing: list[asyncio.TimerHandle] = []

    def stop(self) -> None:
        """Tell every process to drain. A second call makes them leave at once."""
        hurried = self._draining.is_set()
        self._draining.set()
        for child in self._children.values():
            child.signal(signal.SIGTERM)
        limit_s = self._close_s if hurried else self._grace_s + self._close_s
        self._killing.append(asyncio.get_running_loop().call_later(limit_s, self._kill))

    async def run(self) -> int:
        """Work until told to stop. Return the exit code.

        0: all processes drained. 2: a process found its settings wrong, which ends all of them. 1: anything
        else; a process whose very first start fails ends all of them, too.
        """
        with on_signals(self.stop):
            try:
                async with asyncio.TaskGroup() as group:
                    for index in range(self._count):
                        group.create_task(self._keep(index), name=f"worker-{index}")
            finally:
                for handle in self._killing:
                    handle.cancel()
                self._kill()
        if self._problem_code is not None:
            return self._problem_code
        return 0 if self._all_drained else 1

    async def _keep(self, index: int) -> None:
        backoff = self._backoff()
        first = True
        while not self._draining.is_set():
            backoff.began()
            try:
                child = self._start(index)
            except OSError as error:
                how = f"could not be started ({error.strerror})"
            else:
                how = await self._until_it_ends(index, child, first=first)
                first = False
            if self._draining.is_set():
                return
            wait_s = backoff.wait_s()
            log.error("worker %d %s; it is started again in %.1f s", index, how, wait_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._draining.wait()

    async def _until_it_ends(self, index: int, child: Child, *, first: bool) -> str:
        self._children[index] = child
        log.info("worker %d runs as process %d", index, child.pid)
        code = await child.wait()
        del self._children[index]
        if code == SettingsError.exit_code:
            self._give_up(index, "finds its settings wrong, and has said above which", code)
        # A later start may fail only because the broker is unreachable just then.
        elif code == CannotStartError.exit_code and (first or self._draining.is_set()):
            self._give_up(index, "cannot start, and has said above why", OperatorError.exit_code)
        # SIGTERM ends a process directly only before it works, or after it has finished: that is no failure.
        elif self._draining.is_set() and code not in (0, -signal.SIGTERM):
            self._all_drained = False
            log.error("worker %d %s while draining", index, _ending(code))
        return _ending(code)

    def _give_up(self, index: int, why: str, exit_code: int) -> None:
        if self._problem_code is None and not self._draining.is_set():
            self._problem_code = exit_code
            log.error("worker %d %s; the others would fail alike, so all are stopped", index, why)
            self.stop()

    def _kill(self) -> None:
        for index, child in self._children.items():
            log.error("worker %d does not end within its time and is killed", index)
            child.signal(signal.SIGKILL)


def _ending(code: int) -> str:
    if code == StuckError.exit_code:
        return "gave up because its consumer is stuck"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
