"""Splits long work on the event loop into short steps.

Indexing runs on the loop, not in a thread: qdrant-edge and the tokenizer hold the GIL in every call
(measured: an `optimize` of two seconds stops all threads for two seconds). A thread would only add the
switches. Steps that end after `STEP_S` leave the loop free for answers.
"""

import asyncio
import threading
import time

STEP_S = 0.002
"""Seconds on the loop before other tasks get their turn. A step ends at most one call later."""


PAUSE_S = 0.0002
"""Seconds that a thread sleeps between two steps: with none it would mostly go on itself."""


class Pacer:
    """Lets the loop run whenever a step is over: call `abreathe` between small pieces of work."""

    def __init__(self, step_s: float = STEP_S) -> None:
        self._step_s = step_s
        self._until = time.perf_counter() + step_s

    async def abreathe(self) -> None:
        """Give way to other tasks if the step is over; else return at once."""
        if time.perf_counter() >= self._until:
            await self.agive_way()

    async def agive_way(self) -> None:
        """Let every other ready task run, then begin a new step."""
        await asyncio.sleep(0)
        self._until = time.perf_counter() + self._step_s


class ThreadPacer:
    """Lets the event loop run beside a thread of Python code: call it between small pieces of work.

    Else the loop would wait for the interpreter's switch interval (5 ms) at every turn.
    """

    def __init__(self, step_s: float = STEP_S) -> None:
        self._step_s = step_s
        self._until = time.perf_counter() + step_s
        self._never = threading.Event()

    def __call__(self) -> None:
        """Let other threads run if the step is over; else return at once."""
        if time.perf_counter() >= self._until:
            self._never.wait(PAUSE_S)
            self._until = time.perf_counter() + self._step_s
