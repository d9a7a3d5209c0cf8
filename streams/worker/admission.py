"""Judges whether a question is worth starting: by its deadline, and by how long questions wait. Pure.

A queue that cannot be worked off serves every question too late. The rule is CoDel's, on shares of each
question's own deadline: when for a while every question had waited for a good part of its time, those that
have are refused at once, so that the others have time left. It holds until, for a while, no question had to
be refused: questions that run meanwhile have waited little only because others were refused. A question
without a deadline is never refused.

Each tenant's questions are one such queue, and the questions that these queues let pass are another. Tenants
take turns: questions of a flooding tenant wait long while the others' do not, but together they fill the
buffer for all.
"""

import math
from datetime import UTC, datetime
from typing import Literal

from schemas.errors import ErrorCode

Decision = Literal["run", "expired", "overloaded"]

WINDOW_S = 5.0
"""How long every question has to wait for too long before some are refused, at most."""
WINDOW_SHARE = 0.5
"""The same as a share of a question's time: a question with little time cannot lose all of it."""
ENTER = 0.2
"""The share of its time that a question may have waited; beyond it, it has waited for too long."""
FORGET_AT = 1024
"""The number of known tenants from which on those without a question for `WINDOW_S` are forgotten."""
_FIRST_MOMENT = datetime(1, 1, 1, tzinfo=UTC).timestamp()


class Admission:
    """Judges questions in the order of their starts; times are unix seconds."""

    __slots__ = ("_all", "_forget_at", "_tenants")

    def __init__(self) -> None:
        self._all = _Queue()
        self._tenants: dict[str, _Queue] = {}
        self._forget_at = FORGET_AT

    def judge(self, tenant: str, now: float, asked_at: float, expires_at: float) -> Decision:
        """Decide about a question that would start now, and learn from it."""
        if expires_at <= now:
            # It says nothing about how long others wait: while all slots hang, only such ones are judged.
            return "expired"
        late = now > late_at(asked_at, expires_at)
        window = min(WINDOW_S, WINDOW_SHARE * _total_s(asked_at, expires_at))
        queue = self._tenants.get(tenant) or self._meet(tenant, now)
        # A question that its tenant's own queue refuses says nothing about the others.
        refused = queue.refuses(now, late, window) or self._all.refuses(now, late, window)
        return "overloaded" if refused else "run"

    def overloaded(self, tenant: str, now: float) -> bool:
        """Whether a late question of this tenant would be refused now. Nothing is learned."""
        queue = self._tenants.get(tenant)
        return self._all.overloaded(now) or (queue is not None and queue.overloaded(now))

    def _meet(self, tenant: str, now: float) -> "_Queue":
        if len(self._tenants) >= self._forget_at:
            self._tenants = {name: queue for name, queue in self._tenants.items() if not queue.idle(now)}
            self._forget_at = max(FORGET_AT, 2 * len(self._tenants))
        queue = self._tenants[tenant] = _Queue()
        return queue


def late_at(asked_at: float, expires_at: float) -> float:
    """Return the time after which a question has waited for too long."""
    return asked_at + ENTER * _total_s(asked_at, expires_at)


def refusal(decision: Decision, now: float, expires_at: float) -> tuple[ErrorCode, str]:
    """Return the error code of a refused question, and the message that says why in a reader's units."""
    if decision == "expired":
        moment = datetime.fromtimestamp(max(expires_at, _FIRST_MOMENT), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        late = _in_words(now - expires_at)
        return (
            ErrorCode.EXPIRED_BEFORE_START,
            f"the question expired at {moment}, {late} before work on it began",
        )
    left = _in_words(expires_at - now)
    return (
        ErrorCode.OVERLOADED,
        f"too many questions wait: the {left} left for this one are too short for a good answer",
    )


def _in_words(seconds: float) -> str:
    for unit, length_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.1f} seconds" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _total_s(asked_at: float, expires_at: float) -> float:
    return max(expires_at - asked_at, 1e-3)


class _Queue:
    """The questions of one tenant, or of all: decides whether late ones are refused."""

    __slots__ = ("_judged", "_late_since", "_overloaded", "_refused")

    def __init__(self) -> None:
        self._overloaded = False
        self._judged = math.inf
        self._late_since = math.inf
        self._refused = -math.inf

    def idle(self, now: float) -> bool:
        """Whether no question came for so long that there is no queue. True also if the clock was set."""
        return not 0 <= now - self._judged <= WINDOW_S

    def overloaded(self, now: float) -> bool:
        """Whether late questions are refused."""
        return self._overloaded and not self.idle(now)

    def refuses(self, now: float, late: bool, window: float) -> bool:
        """Take in the next question. Return whether to refuse it."""
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
