"""Whether a question is worth starting, by its deadline and by how long questions have been waiting. Pure.

A queue that is longer than can be worked off serves everyone too late. So when for a while every question
had waited for a good part of its time, those that have are answered at once that there is no time for
them, and the others have theirs: CoDel's rule, on shares of each question's own deadline. It holds until
for a while nobody had to be refused: those that run meanwhile have waited little because others were. A
question without a deadline is never refused.
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


class Admission:
    """Judges questions in the order of their starts; times are unix seconds.

    Attributes:
        overloaded: whether questions are being refused.
    """

    def __init__(self) -> None:
        self.overloaded = False
        self._judged = math.inf
        self._late_since = math.inf
        self._refused = -math.inf

    def judge(self, now: float, asked_at: float, expires_at: float) -> Verdict:
        """What to do with a question that would start now."""
        total = max(expires_at - asked_at, 1e-3)
        late = expires_at <= now or now - asked_at > ENTER * total
        window = min(WINDOW_S, WINDOW_SHARE * total)
        if not 0 <= now - self._judged <= WINDOW_S:
            # Nothing came meanwhile, so there is no queue; or the clock was set.
            self.overloaded = False
            self._late_since = now
        self._judged = now
        if not self.overloaded:
            if not late:
                self._late_since = now
            elif now - self._late_since >= window:
                self.overloaded = True
        elif not late and now - self._refused >= window:
            self.overloaded = False
            self._late_since = now
        if late and self.overloaded:
            self._refused = now
        if expires_at <= now:
            return "expired"
        return "overloaded" if late and self.overloaded else "run"
