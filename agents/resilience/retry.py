"""Whether a failed call is repeated, and when: by its error's class, its deadline and a budget. Pure."""

from agents.errors import BadOutputError, DependencyError

ATTEMPTS_MAX = 3
"""Attempts of a call whose errors may pass."""
BAD_OUTPUT_ATTEMPTS_MAX = 2
"""Attempts of a call whose output is wrong: a model that writes it twice will write it again."""
WAIT_S = 0.5
"""Longest wait before the second attempt; it doubles from there, up to `WAIT_MAX_S`."""
WAIT_MAX_S = 8.0

BUDGET_SHARE = 0.1
"""Repeats (and hedges) that each call allows for."""
BUDGET_PER_S = 1.0
"""And that each second allows for, so that a quiet dependency is repeated too."""
BUDGET_MAX = 10.0
"""Repeats that can be saved up."""


class RetryBudget:
    """A token bucket of one dependency: repeats are at most 10 % of its calls, and one a second.

    Retries share it with hedging: either is load that nobody asked for.
    """

    __slots__ = ("_filled_at", "_tokens")

    def __init__(self) -> None:
        self._tokens = BUDGET_PER_S
        # Nothing is earned before it is first asked.
        self._filled_at = float("inf")

    def __repr__(self) -> str:
        return f"<RetryBudget {self._tokens:.1f}>"

    def earn(self, now: float) -> None:
        """A call was asked for."""
        self._fill(now)
        self._tokens = min(BUDGET_MAX, self._tokens + BUDGET_SHARE)

    def spend(self, now: float) -> bool:
        """Take what one repeat costs; False: there is not enough, do not repeat."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self._filled_at)
        self._filled_at = now
        self._tokens = min(BUDGET_MAX, self._tokens + passed * BUDGET_PER_S)


def wait_before_retry(
    error: DependencyError, attempts: int, now: float, deadline: float, jitter: float
) -> float | None:
    """Seconds until the call may be repeated after its `attempts`-th attempt; None: it may not be.

    The wait is `jitter` (0 to 1, evenly drawn) of what doubles with every attempt ("full jitter"), on top
    of what the dependency asked for. A wait that would not end before the deadline is none.
    """
    most = BAD_OUTPUT_ATTEMPTS_MAX if isinstance(error, BadOutputError) else ATTEMPTS_MAX
    if error.settled or not error.retriable or attempts >= most:
        return None
    wait = jitter * min(WAIT_MAX_S, WAIT_S * 2 ** (attempts - 1)) + (error.retry_after_s or 0.0)
    return wait if now + wait < deadline else None
