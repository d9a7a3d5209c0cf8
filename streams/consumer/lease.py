"""The time until which the group surely counts us as a member.

A process that was stopped, or cut off from its coordinator, for longer than a session wakes up with
partitions that other workers have by now, and learns of it only by its next heartbeat. Until then its
deadlines fire, its replies arrive, and it would write outcomes that differ from those of the other workers.
So it writes only under a lease: a session long, from the sending of the last heartbeat that was answered.
"""

import math
import time
from collections.abc import Callable


class Lease:
    """The lease of one member; it begins with the first renewal.

    Args:
        session_s: how long the group waits for a member's heartbeat.
        clock: seconds; one that goes on while the process is stopped.
    """

    def __init__(self, session_s: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._session_s = session_s
        self._until = 0.0

    def valid(self) -> bool:
        """Return whether we cannot have been expelled."""
        return self.clock() < self._until

    def renew(self, at: float) -> None:
        """Renew it, because the group has answered a request that was sent at that time."""
        self._until = max(self._until, at + self._session_s)
