"""Limits how many questions run at once to as many as the event loop carries. Pure.

Past saturation each further question makes all of them dearer: more wakes in each turn of the loop, more
connections, more memory that no cache holds. The sign of it is how late the loop serves its timers, which
is how much work is ready at a time. So the limit falls while timers are late, and rises while they are not
and it is used up. A worker that waits for its model is never late, and so has its maximum.
"""

import statistics

WINDOW_S = 0.5
"""Lateness is judged by its median over this long: a single stall is not load."""
LATE_S = 0.030
"""If timers are later than this, too much work is ready at a time."""
PROMPT_S = 0.015
"""If timers are no later than this, there may be room for a few more. Between the two, the limit stays."""
IDLE_S = 0.005
"""If timers are no later than this, there is room."""
DECREASE, DECREASE_MAX = 0.1, 0.3
"""The share that the limit loses in half a second: for each `LATE_S` of lateness, and at most."""
INCREASE, INCREASE_FAST = 1.03, 1.2
"""The factors of growth in half a second: slow near the limit at which the loop was last late, else fast."""
NEAR = 0.85
LEAST = 400
"""The lowest limit. Below it, fewer questions would not be cheaper: a turn of the loop that serves few of
them costs as much as one that serves many. A loop that is late all the same is held up by something else,
such as other processes."""


class Capacity:
    """The limit of one worker.

    Args:
        maximum: never more than this.

    Attributes:
        limit: how many may run now.
    """

    __slots__ = ("_lags", "_late_at", "_least", "_since", "limit", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.limit = maximum
        self._least = min(LEAST, maximum)
        self._late_at = float("inf")
        self._lags: list[float] = []
        self._since = float("-inf")

    def __repr__(self) -> str:
        return f"<Capacity {self.limit} of {self.maximum}>"

    def observe(self, now: float, lag_s: float, running: int) -> bool:
        """Take in that a timer was served `lag_s` late while so many questions ran.

        Args:
            now: seconds of a clock that never goes back.

        Returns:
            Whether more may run than before.
        """
        self._lags.append(lag_s)
        if now < self._since + WINDOW_S:
            return False
        lag, self._lags, self._since = statistics.median(self._lags), [], now
        before = self.limit
        if lag > LATE_S:
            # While more run than may, the last decision has not taken effect yet.
            if running <= before:
                self._late_at = max(self._least, running)
                kept = 1 - min(DECREASE_MAX, DECREASE * lag / LATE_S)
                self.limit = max(self._least, int(running * kept))
        elif lag <= PROMPT_S and running * INCREASE_FAST >= before:
            # A limit that is not used up was not tried.
            fast = lag <= IDLE_S and not NEAR <= before / self._late_at <= 1 / NEAR
            grown = before * (INCREASE_FAST if fast else INCREASE)
            if before < NEAR * self._late_at:
                grown = min(grown, NEAR * self._late_at)
            self.limit = min(self.maximum, int(grown) + 1)
        return self.limit > before
