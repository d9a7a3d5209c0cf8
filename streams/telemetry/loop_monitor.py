"""Measures how promptly the event loop serves its timers, and records the code that holds it up.

A timer on the loop measures how late it is called. A thread notices a late call while the loop is still
held, and takes the loop's stack: afterwards the cause could not be found.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from types import FrameType, TracebackType
from typing import Any, Self

from streams.telemetry.hook import Hook

BEAT_S = 0.025
"""Time between two calls of the timer; a stall longer than `HELD_S` plus this is never missed."""
HELD_S = 0.1
"""A loop that serves a timer later than this was held: every answer in the process waited for it."""
REPORT_EVERY_S = 10.0
"""The shortest time between two reports in the log; `/state` and the metrics have the others."""
LOOK_S = 0.025
"""How late the timer is when the thread begins to look, and how often it looks then."""
STUCK_S = 5.0
"""A stall that lasts this long is logged before it ends, because it may never end."""
KEPT = 10
"""How many stalls `/state` shows."""
FRAMES_MAX = 30

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stall:
    """One period in which the event loop was held.

    Attributes:
        at: when it was noticed, RFC 3339.
        duration_s: how late the timer was; None: the loop is still held.
        cpu_s: processor time that the loop's thread used meanwhile. Much: it computed. Little: it waited in a
            call that blocks, or the process did not get to run. None: not known yet.
        alone: whether one callback held the loop; else many held it in turn, and `stack` shows one of them.
        stack: the frames that held the loop, outermost first, `file:line function`; empty if the loop itself
            was waiting (the process was stopped, or the machine was busy) or no stack could be taken.
    """

    at: str
    duration_s: float | None
    cpu_s: float | None
    alone: bool
    stack: tuple[str, ...]


class LoopMonitor:
    """Watches the running event loop while its `with` block lasts.

    Args:
        hook: receives how late each call of the timer was, and each stall when it has ended.
        lagged: called with the lateness too, in seconds.
    """

    def __init__(self, hook: Hook, lagged: Callable[[float], None] = lambda _: None) -> None:
        self._hook = hook
        self._lagged = lagged
        self._stalls: deque[Stall] = deque(maxlen=KEPT)
        self._ended = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread_id = 0
        self._due = 0.0
        self._cpu = self._process_cpu = 0.0
        # The stall that the thread saw, with the due time of the call that it delayed.
        self._caught: tuple[float, Stall] | None = None
        # By whether the stall was ours: the others hide none of ours.
        self._reported = {True: -REPORT_EVERY_S, False: -REPORT_EVERY_S}
        self._unreported = {True: 0, False: 0}

    def __enter__(self) -> Self:
        self._thread_id = threading.get_ident()
        self._cpu, self._process_cpu = time.thread_time(), time.process_time()
        self._wait_for_next()
        # A daemon, and never joined: it may wait for the interpreter's lock while the process ends.
        threading.Thread(target=self._watch, name="loop-monitor", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def stalls(self) -> list[Stall]:
        """The last `KEPT` stalls, oldest first, and one that is still going on."""
        current = self._held()
        return [*self._stalls, *([current] if current is not None else [])]

    def state(self) -> dict[str, Any]:
        """The stalls for `/state`."""
        return {"held_over_s": HELD_S, "stalls": [asdict(stall) for stall in self.stalls]}

    def _held(self) -> Stall | None:
        """The stall that is still going on, if the thread has seen it."""
        caught = self._caught
        return caught[1] if caught is not None and caught[0] == self._due else None

    def _wait_for_next(self) -> None:
        self._due = time.monotonic() + BEAT_S
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        lag = max(0.0, time.monotonic() - self._due)
        cpu, process_cpu = time.thread_time(), time.process_time()
        self._hook.loop_lagged(lag)
        self._lagged(lag)
        if lag > HELD_S:
            self._keep(lag, cpu - self._cpu, ours=process_cpu - self._process_cpu >= HELD_S)
        self._cpu, self._process_cpu = cpu, process_cpu
        self._wait_for_next()

    def _keep(self, lag: float, cpu: float, *, ours: bool) -> None:
        """Keep a stall and tell of it: as a warning where our own computing alone would have been one.

        Otherwise a call blocked, or the machine was busy with others, which is nobody's fault here.
        """
        caught = self._held()
        if caught is None:
            caught = Stall(_now(), None, None, False, ())
        stall = replace(caught, duration_s=round(lag, 3), cpu_s=round(cpu, 3))
        self._stalls.append(stall)
        self._hook.loop_stalled(lag)
        now = time.monotonic()
        if now - self._reported[ours] < REPORT_EVERY_S:
            self._unreported[ours] += 1
            return
        unreported = self._unreported[ours]
        more = f"; {unreported} more stalls since the last report" if unreported else ""
        self._reported[ours], self._unreported[ours] = now, 0
        log.log(
            logging.WARNING if ours else logging.INFO,
            "the event loop was held for %.0f ms (%.0f ms of processor time%s) by %s",
            lag * 1000,
            cpu * 1000,
            more,
            _described(stall),
        )

    def _watch(self) -> None:
        told = 0.0
        seen: FrameType | None = None
        since = 0.0
        while not self._ended.wait(max(LOOK_S, self._due + LOOK_S - time.monotonic())):
            due, now = self._due, time.monotonic()
            if now - due < LOOK_S:
                seen = None
                continue
            frames = _callback(sys._current_frames().get(self._thread_id))
            # The frame is kept alive: a new frame at the same address could pass for it.
            running = frames[0] if frames else None
            if running is not seen:
                seen, since = running, now
            caught = self._held()
            alone = seen is not None and now - since >= HELD_S / 2
            if now - due >= HELD_S and (caught is None or (alone and not caught.alone)):
                self._caught = due, Stall(_now(), None, None, alone, _stack(frames))
            elif caught is not None and now - due > STUCK_S and told != due:
                told = due
                log.error("the event loop has been held for %.0f s by %s", now - due, _described(caught))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _callback(frame: FrameType | None) -> list[FrameType]:
    """The frames from the loop's call of a callback inwards; none while the loop waits for events."""
    frames = [inner for inner, _ in traceback.walk_stack(frame)][::-1] if frame is not None else []
    calls = [n for n, inner in enumerate(frames) if inner.f_code is asyncio.Handle._run.__code__]
    return frames[calls[-1] :] if calls else []


def _stack(frames: list[FrameType]) -> tuple[str, ...]:
    return tuple(
        f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        for frame in frames[1:][-FRAMES_MAX:]
    )


def _described(stall: Stall) -> str:
    if not stall.stack:
        return "an unknown cause: the process was stopped, or the machine was busy"
    return "\n  ".join(["" if stall.alone else "many callbacks in turn, among them", *stall.stack])
