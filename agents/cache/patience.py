"""An entry's lifetime, and the wait for another's result: the same for answers and for passages."""

import random

NEGATIVE_TTL_S = 60.0
"""The longest lifetime of an entry that says that nothing is known."""
JITTER = 0.1
"""The share of its lifetime that an entry may lose, at random, so that not all end together."""
WAIT_SHARE = 0.5
"""The share of its remaining time that a question waits for another's result."""


def lifetime_s(ttl_s: float, *, found: bool) -> float:
    """Return an entry's lifetime in seconds; `found`: it rests on something."""
    return (ttl_s if found else min(ttl_s, NEGATIVE_TTL_S)) * (1.0 - JITTER * random.random())


def wait_until(now: float, deadline: float) -> float:
    """Return when the wait for another's result ends; all times are of one clock, in seconds."""
    return now + WAIT_SHARE * (deadline - now)
