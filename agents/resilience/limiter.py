"""An adaptive limit on the calls that a dependency has at once: additive increase, multiplicative decrease.

Overload (429, 503, a time-out) halves the limit, once for all the calls that were under way together.
While the limit is used up and calls succeed, it grows by a fixed step in the time of one call. It starts
at its maximum, so that a dependency that bears as much is never slowed down. Pure.

The limit follows 429 and time-outs, not latencies, because a model's latency depends on the answer's length
first. The time to the first token depends on the prompt's length, and is known only for streamed answers: it
would need a bound for each model, and long prompts or short deadlines would slow down all other questions.
"""

LIMIT_MIN = 1
DECREASE = 0.5
STEPS = 100
"""Steps from nothing to the maximum: with calls of a second, 60 % are back within a minute."""


class AdaptiveLimit:
    """The limit of one dependency; `current` calls may run at once now.

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
        """Note a success while `in_use` calls ran, itself included. Return whether `current` changed."""
        # Success below the limit does not show that the dependency bears more.
        if self.current >= self.maximum or in_use < self.current:
            return False
        self._limit = min(float(self.maximum), self._limit + self._step / self._limit)
        return self._apply()

    def overloaded(self, started: float, now: float) -> bool:
        """Note overload of a call that began at `started`. Return whether `current` changed."""
        if started < self._decreased_at:
            return False
        self._decreased_at = now
        self._limit = max(float(LIMIT_MIN), self._limit * DECREASE)
        return self._apply()

    def _apply(self) -> bool:
        before, self.current = self.current, int(self._limit)
        return self.current != before
