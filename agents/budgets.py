"""Split one deadline into a limit for each stage. Pure; all times are seconds of the caller's clock.

The time that a stage needs is the median of its last durations. A stage that probably cannot end in time
is not started, because its call would be paid for and thrown away. A stage that could use up all the time
leaves the usual durations of the stages after it.
"""

import statistics
from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

WINDOW = 128
"""Durations over which a median is taken."""
AT_LEAST = 10
"""Durations that a median needs; no stage is skipped before there are as many."""
MAX_AGE_S = 30.0
"""Age at which a duration is forgotten, so that a stage that was skipped for being slow is tried again."""
REFRESH_S = 0.5
"""Seconds between two calculations of the medians."""
UNKNOWN_SHARE = 0.25
"""Share of the time left that is kept for the following stages while their durations are unknown."""
MARGIN = 1.5
"""Medians of the following stages that are kept for them, but at most half of the time left."""
ROOM = 2.0
"""Medians of its own that a stage always gets: with one alone it would fail half the time."""


class Allotment(Struct, frozen=True):
    """The time of a stage: it must end at `limit`, and should not begin unless it `fits`.

    `median_s` is its usual duration; None: not known.
    """

    limit: float
    fits: bool
    median_s: float | None


class Paces:
    """The last durations of a graph's stages, and from them the limit of each.

    Args:
        followers: the stages that wait for each stage; the graph must not hold a circle.
    """

    def __init__(self, followers: Mapping[str, Sequence[str]]) -> None:
        self._followers = followers
        self._took: dict[str, deque[tuple[float, float]]] = {name: deque(maxlen=WINDOW) for name in followers}
        self._medians: dict[str, float | None] = dict.fromkeys(followers)
        self._after: dict[str, float | None] = dict.fromkeys(followers)
        self._refreshed = float("-inf")

    def took(self, stage: str, now: float, seconds: float) -> None:
        """Note that the stage succeeded. Failures do not count: they do not show how long the work takes."""
        self._took[stage].append((now, seconds))

    def allot(self, stage: str, now: float, deadline: float, budget_s: float | None) -> Allotment:
        """Return the time of a stage that would begin `now`, for a question with this deadline.

        `budget_s` is the most that the stage may take; None: all the time that the question has left.
        """
        if now >= self._refreshed + REFRESH_S:
            self._refresh(now)
        limit = deadline if budget_s is None else min(deadline, now + budget_s)
        median = self._medians[stage]
        # By the deadline, not the stage's budget: a stage that keeps time itself may always use that up.
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
        """Seconds on the longest way from the stage's end; None: no duration on it is known."""
        if stage not in done:
            ways = []
            for follower in self._followers[stage]:
                own, after = self._medians[follower], self._longest_after(follower, done)
                if own is not None or after is not None:
                    ways.append((own or 0.0) + (after or 0.0))
            done[stage] = max(ways, default=None)
        return done[stage]
