"""Whether a question is worth starting, by its deadline and by how long questions have been waiting. Pure.

A queue that is longer than can be worked off serves everyone too late. So when even the question that
waited least, for a while, had waited for a good part of its time, those that have waited longest are
answered at once that there is no time for them, and the others have theirs: CoDel's rule, on shares of
each question's own deadline. A question without a deadline is never refused.
"""

import math
from typing import Literal

Verdict = Literal["run", "expired", "overloaded"]

WINDOW_S = 5.0
"""How long the shortest wait has to be too long."""
ENTER = 0.2
"""Share of its time that a question may have waited: beyond it, too long."""
LEAVE = 0.1


class Admission:
    """Judges questions in the order of their starts; times are unix seconds.

    Attributes:
        overloaded: whether questions are being refused.
    """

    def __init__(self) -> None:
        self.overloaded = False
        self._since = -math.inf
        self._least = math.inf

    def judge(self, now: float, asked_at: float, expires_at: float) -> Verdict:
        """What to do with a question that would start now."""
        waited = 1.0 if expires_at <= now else max(0.0, now - asked_at) / max(expires_at - asked_at, 1e-3)
        self._observe(now, waited)
        if expires_at <= now:
            return "expired"
        return "overloaded" if self.overloaded and waited > ENTER else "run"

    def _observe(self, now: float, waited: float) -> None:
        if now >= self._since + WINDOW_S or now < self._since:
            self.overloaded = self._least > (LEAVE if self.overloaded else ENTER) and self._least < math.inf
            if now > self._since + 2 * WINDOW_S:
                self.overloaded = False  # nothing came meanwhile: there is no queue
            self._since, self._least = now, math.inf
        self._least = min(self._least, waited)
