"""How long the machine stood still: a limit in seconds is held to what is left without that."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

STEP_S = 0.02
LATE_S = 0.05
"""Waking up later than this is a stall; less is any busy machine."""


@dataclass
class Stalls:
    """What was seen so far; in seconds."""

    longest_s: float = 0.0
    lost_s: float = 0.0


@contextmanager
def watch_stalls() -> Iterator[Stalls]:
    """Look, in a thread, at how much later than asked it wakes up."""
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
