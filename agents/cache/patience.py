"""How long an entry is kept, and how long another's is waited for: the same for answers and for passages."""

import random

NEGATIVE_TTL_S = 60.0
"""How long it is believed, at most, that nothing is known."""
JITTER = 0.1
"""The share of its time that an entry may lose: what was kept together does not all end together."""
WAIT_SHARE = 0.5
"""What a question gives, of the time it has left, to the hope that another's result comes."""


def lifetime_s(ttl_s: float, *, found: bool) -> float:
    """How long to keep what rests on something (`found`), or on nothing."""
    return (ttl_s if found else min(ttl_s, NEGATIVE_TTL_S)) * (1.0 - JITTER * random.random())


def wait_until(now: float, deadline: float) -> float:
    """Until when another is waited for; all are of one clock, in seconds."""
    return now + WAIT_SHARE * (deadline - now)
