"""Measures how long the machine stood still, so that limits in seconds do not count that time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

STEP_S = 0.02
LATE_S = 0.05
"""Waking up later than this is a stall; smaller delays are normal on a busy machine."""


@dataclass
class Stalls:
    """The stalls seen so far, in seconds."""

    longest_s: float = 0.0
    lost_s: float = 0.0


@contextmanager
def watch_stalls() -> Iterator[Stalls]:
    """Measure, in a thread, how much later than asked the thread wakes up."""
    stalls, over = Stalls(), threading.Event()

    def watch() -> None:
        began = time.monotonic()
        while not over.wait(STEP_S):
            woke = time.monotonic()
            if (late_s := woke - began - STEP_S) > LATE_S:
                stalls.longest_s = max(stalls.longest_s, late_s)
                stalls.lost_s += late_s
            began = woke

    thread = threading.Thread(target=watch, name="stalls", daemon=True)
    thread.start()
    try:
        yield stalls
    finally:
        over.set()
        thread.join()
