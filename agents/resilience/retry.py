"""Retries: an error's class, the deadline and a budget decide whether and when a call is repeated. Pure."""

from agents.errors import BadOutputError, DependencyError

ATTEMPTS_MAX = 3
"""Attempts of a call whose error is transient."""
BAD_OUTPUT_ATTEMPTS_MAX = 2
"""Attempts of a call whose output is wrong: a model that wrote it twice will write it again."""
WAIT_S = 0.5
"""Longest wait before the second attempt, in seconds. It doubles from there, up to `WAIT_MAX_S`."""
WAIT_MAX_S = 8.0

BUDGET_SHARE = 0.1
"""Repeats (and hedges) that each call earns."""
BUDGET_PER_S = 1.0
"""Repeats that each second earns, so that calls of a quiet dependency are repeated too."""
BUDGET_MAX = 10.0
"""Repeats that can be saved up."""


class RetryBudget:
    """A token bucket of one dependency: repeats are at most 10 % of its calls, and one a second.

    Retries and hedges share it, because both add load that nobody asked for.
    """

    __slots__ = ("_filled_at", "_tokens")

    def __init__(self) -> None:
        self._tokens = BUDGET_PER_S
        # No time before the first call earns a repeat.
        self._filled_at = float("inf")

    def __repr__(self) -> str:
        return f"<RetryBudget {self._tokens:.1f}>"

    def earn(self, now: float) -> None:
        """Note a new call, which earns its share of a repeat."""
        self._fill(now)
        self._tokens = min(BUDGET_MAX, self._tokens + BUDGET_SHARE)

    def spend(self, now: float) -> bool:
        """Pay for one repeat; return False if the budget is too small for it."""
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
    """Return the seconds to wait after the `attempts`-th attempt before the next; None: no next attempt.

    The wait is the dependency's Retry-After plus a random share, `jitter` (0 to 1, evenly drawn), of a time
    that doubles with every attempt ("full jitter"). It must end before the deadline.
    """
    most = BAD_OUTPUT_ATTEMPTS_MAX if isinstance(error, BadOutputError) else ATTEMPTS_MAX
    if error.settled or not error.retriable or attempts >= most:
        return None
    wait = jitter * min(WAIT_MAX_S, WAIT_S * 2 ** (attempts - 1)) + (error.retry_after_s or 0.0)
    return wait if now + wait < deadline else None
