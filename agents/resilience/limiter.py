"""An adaptive limit on the calls that a dependency has at once: additive increase, multiplicative decrease.

Overload (429, 503, a time-out) halves the limit, once for all the calls that were under way together.
While the limit is used up and calls succeed, it grows by a fixed step in the time of one call. It starts
at its maximum: a dependency that bears that is never slowed down. Pure.

Rates of 429 and time-outs are looked at rather than latencies, because a model's latency tells of the
answer's length first. The time to the first token tells of the prompt's, and is known only where answers
are streamed: a bound on it would have to be set for each model, and whoever sends long prompts, or asks
with little time, would slow down all others.
"""

LIMIT_MIN = 1
DECREASE = 0.5
STEPS = 100
"""From nothing to the maximum in so many steps: at a second a call, 60 % are back within a minute."""


class AdaptiveLimit:
    """The limit of one dependency; `current` is what may run now.

    `now` and `started` are in seconds of a clock that never goes back.
    """

    __slots__ = ("_decreased_at", "_limit", "_step", "current", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.current = maximum
        self._limit = float(maximum)
        self._step = max(1.0, maximum / STEPS)
        self._decreased_at = float("-inf")

    def __repr__(self) -> str:
        return f"<AdaptiveLimit {self.current} of {self.maximum}>"

    def succeeded(self, in_use: int) -> bool:
        """A call succeeded while `in_use` ran, itself included. Returns whether `current` changed."""
        # A limit that is not used up was not tried: that calls succeed under it says nothing.
        if self.current >= self.maximum or in_use < self.current:
            return False
        self._limit = min(float(self.maximum), self._limit + self._step / self._limit)
        return self._apply()

    def overloaded(self, started: float, now: float) -> bool:
        """A call that began at `started` met overload. Returns whether `current` changed."""
        if started < self._decreased_at:
            return False
        self._decreased_at = now
        self._limit = max(float(LIMIT_MIN), self._limit * DECREASE)
        return self._apply()

    def _apply(self) -> bool:
        before, self.current = self.current, int(self._limit)
        return self.current != before
