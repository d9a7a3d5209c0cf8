"""Whether a question is worth starting, by its deadline and by how long questions have been waiting. Pure.

A queue that is longer than can be worked off serves everyone too late. So when for a while every question
had waited for a good part of its time, those that have are answered at once that there is no time for
them, and the others have theirs: CoDel's rule, on shares of each question's own deadline. It holds until
for a while nobody had to be refused: those that run meanwhile have waited little because others were. A
question without a deadline is never refused.

Each tenant's questions are such a queue of their own, and what these let pass is one: tenants take turns, so
those of a flooding one wait long where the others' do not, and what waits of it fills the buffer for all.
"""

import math
from typing import Literal

Verdict = Literal["run", "expired", "overloaded"]

WINDOW_S = 5.0
"""How long all have to wait for too long, at most."""
WINDOW_SHARE = 0.5
"""The same as a share of a question's time: where that is short, so is what may be lost of it."""
ENTER = 0.2
"""Share of its time that a question may have waited: beyond it, too long."""
FORGET_AT = 1024
"""So many tenants are known before those that had nothing for `WINDOW_S` are looked for."""


class Admission:
    """Judges questions in the order of their starts; times are unix seconds."""

    __slots__ = ("_all", "_forget_at", "_tenants")

    def __init__(self) -> None:
        self._all = _Queue()
        self._tenants: dict[str, _Queue] = {}
        self._forget_at = FORGET_AT

    def judge(self, tenant: str, now: float, asked_at: float, expires_at: float) -> Verdict:
        """What to do with a question that would start now."""
        if expires_at <= now:
            # It tells nothing of how long others wait: while all slots hang, such are all that is judged.
            return "expired"
        late = now > late_at(asked_at, expires_at)
        window = min(WINDOW_S, WINDOW_SHARE * _total_s(asked_at, expires_at))
        queue = self._tenants.get(tenant) or self._meet(tenant, now)
        # What a tenant's own queue refuses tells nothing of the others.
        refused = queue.refuses(now, late, window) or self._all.refuses(now, late, window)
        return "overloaded" if refused else "run"

    def overloaded(self, tenant: str, now: float) -> bool:
        """Whether a question of this tenant that is late would be refused now; nothing is learned from it."""
        queue = self._tenants.get(tenant)
        return self._all.overloaded(now) or (queue is not None and queue.overloaded(now))

    def _meet(self, tenant: str, now: float) -> "_Queue":
        if len(self._tenants) >= self._forget_at:
            self._tenants = {name: queue for name, queue in self._tenants.items() if not queue.idle(now)}
            self._forget_at = max(FORGET_AT, 2 * len(self._tenants))
        queue = self._tenants[tenant] = _Queue()
        return queue


def _total_s(asked_at: float, expires_at: float) -> float:
    return max(expires_at - asked_at, 1e-3)


def late_at(asked_at: float, expires_at: float) -> float:
    """After this, a question has waited for too long."""
    return asked_at + ENTER * _total_s(asked_at, expires_at)


class _Queue:
    """Whether the late ones among these questions are refused."""

    __slots__ = ("_judged", "_late_since", "_overloaded", "_refused")

    def __init__(self) -> None:
        self._overloaded = False
        self._judged = math.inf
        self._late_since = math.inf
        self._refused = -math.inf

    def idle(self, now: float) -> bool:
        """Nothing came for so long that there is no queue, or the clock was set."""
        return not 0 <= now - self._judged <= WINDOW_S

    def overloaded(self, now: float) -> bool:
        """Whether those that are late are refused."""
        return self._overloaded and not self.idle(now)

    def refuses(self, now: float, late: bool, window: float) -> bool:
        """Take in the next question, and say whether it is one to refuse."""
        if self.idle(now):
            self._overloaded = False
            self._late_since = now
        self._judged = now
        if not self._overloaded:
            if not late:
                self._late_since = now
            elif now - self._late_since >= window:
                self._overloaded = True
        elif not late and now - self._refused >= window:
            self._overloaded = False
            self._late_since = now
        if late and self._overloaded:
            self._refused = now
            return True
        return False
