"""The waits between attempts: longer after each failure, up to a longest one. Pure."""

import math
import time
from collections.abc import Callable, Sequence

STEPS_S = (0.1, 0.5, 2.0, 5.0)
"""The waits of work that goes to a broker: short at first, because a leader election is soon over."""


class Backoff:
    """Decides how long one piece of work waits after each of its failures.

    Args:
        steps_s: the wait after the first failure, the second and so on; the last step repeats.
        well_s: an attempt that lasted this long is a success: the next failure waits for the first step.
        clock: seconds that only grow; read only where `well_s` is finite.
    """

    __slots__ = ("_began_at", "_clock", "_failures", "_steps_s", "_well_s")

    def __init__(
        self,
        steps_s: Sequence[float] = STEPS_S,
        *,
        well_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps_s = steps_s
        self._well_s = well_s
        self._clock = clock
        self._failures = 0
        self._began_at = math.inf

    def began(self) -> None:
        """Note that an attempt begins now. Only needed with `well_s`."""
        self._began_at = self._clock()

    def wait_s(self) -> float:
        """Note that an attempt has failed, and return the seconds to wait before the next one."""
        if self._well_s < math.inf and self._clock() - self._began_at >= self._well_s:
            self.reset()
        wait_s = self._steps_s[min(self._failures, len(self._steps_s) - 1)]
        self._failures += 1
        return wait_s

    def reset(self) -> None:
        """Note that there was progress: the next failure waits for the first step."""
        self._failures = 0
