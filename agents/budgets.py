"""One deadline, split into what each stage may take: pure, in seconds of whatever clock it is given.

What a stage needs is known from what it took lately. A stage that cannot be expected to end in time is
not started, because its call would be paid for and thrown away; and one that could use up everything
leaves what the stages after it usually take.
"""

import statistics
from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

WINDOW = 128
"""Durations that a median is taken over."""
AT_LEAST = 10
"""Fewer say nothing yet, and no stage is skipped for them."""
MAX_AGE_S = 30.0
"""Older ones are forgotten: a stage that was skipped for having been slow is tried again after that."""
REFRESH_S = 0.5
UNKNOWN_SHARE = 0.25
"""Of what is left, kept for the stages that follow while it is not known what they take."""
MARGIN = 1.5
"""How many times their median is kept for the stages that follow, but at most half of what is left."""
ROOM = 2.0
"""How many times its own median a stage has at least, whatever follows: else it would fail half the time."""


class Allotment(Struct, frozen=True):
    """What a stage gets: it has to end at `limit`; where not `fits`, it should not begin.

    `median_s` is what it usually takes; None: not known.
    """

    limit: float
    fits: bool
    median_s: float | None


class Paces:
    """What the stages of a graph took lately, and what each may take now.

    Args:
        followers: of each stage, those that wait for it; the graph has no circles.
    """

    def __init__(self, followers: Mapping[str, Sequence[str]]) -> None:
        self._followers = followers
        self._took: dict[str, deque[tuple[float, float]]] = {name: deque(maxlen=WINDOW) for name in followers}
        self._medians: dict[str, float | None] = dict.fromkeys(followers)
        self._after: dict[str, float | None] = dict.fromkeys(followers)
        self._refreshed = float("-inf")

    def took(self, stage: str, now: float, seconds: float) -> None:
        """The stage succeeded. Failures do not count: they say nothing of what it needs."""
        self._took[stage].append((now, seconds))

    def allot(self, stage: str, now: float, deadline: float, budget_s: float | None) -> Allotment:
        """What a stage that would begin `now` gets of a question with this deadline.

        `budget_s` is the most that it may take; None: whatever the question has left.
        """
        if now >= self._refreshed + REFRESH_S:
            self._refresh(now)
        limit = deadline if budget_s is None else min(deadline, now + budget_s)
        median = self._medians[stage]
        # Not of the stage's own budget: one that keeps its time itself may always end there.
        fits = median is None or deadline - now >= median
        if self._followers[stage]:
            after = self._after[stage]
            left = deadline - now
            kept = UNKNOWN_SHARE * left if after is None else min(MARGIN * after, left / 2)
            least = now if median is None else now + ROOM * median
            limit = min(limit, max(deadline - kept, least))
        return Allotment(max(limit, now), fits, median)

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        for stage, took in self._took.items():
            while took and took[0][0] < now - MAX_AGE_S:
                took.popleft()
            known = len(took) >= AT_LEAST
            self._medians[stage] = statistics.median(seconds for _, seconds in took) if known else None
        done: dict[str, float | None] = {}
        for stage in self._followers:
            self._after[stage] = self._longest_after(stage, done)

    def _longest_after(self, stage: str, done: dict[str, float | None]) -> float | None:
        """Seconds on the longest way from the stage's end; None: of no stage on any way it is known."""
        if stage not in done:
            ways = []
            for follower in self._followers[stage]:
                own, after = self._medians[follower], self._longest_after(follower, done)
                if own is not None or after is not None:
                    ways.append((own or 0.0) + (after or 0.0))
            done[stage] = max(ways, default=None)
        return done[stage]
