"""Notices a consumer that has stopped for no reason: decides from what is observed, does nothing itself.

aiokafka can lose a rejoin, stop fetching or end its coordination, and has no signal of it; and a poll that
never returns is noticed by nobody. What is slow is not stuck: a partition is only looked at while its
records are wanted, so a model that takes long or a worker that is full is no symptom; and while the broker
does not answer somebody else either, or this process itself stood still, nothing counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


class StuckError(Exception):
    """The consumer is stuck, and new ones in its place have not helped: the process has to begin anew."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each thing may last, in seconds, before it is a symptom.

    Attributes:
        polls_s: in the group without a poll.
        rejoin_s: out of the group; more than its rebalance time-out.
        stall_s: without a record of a partition, though some are wanted and there are some.
        gap_s: between two observations; after a longer one it was this process that stood still.
        rebuilds: consumers made anew in a row, without effect, before it is given up.
    """

    polls_s: float = 150.0
    rejoin_s: float = 150.0
    stall_s: float = 60.0
    gap_s: float = 20.0
    rebuilds: int = 2


@dataclass(frozen=True, slots=True)
class Observation:
    """What can be seen of a consumer at one moment.

    Attributes:
        now: seconds on a clock that only grows.
        polled_at: when the last poll returned, on that clock; 0 before the first.
        ended: why it has ended by itself; empty while it has not.
        joined: whether the group has given us partitions, were they none, and not taken them since.
        epoch: grows each time that it does.
        positions: of each partition whose records are wanted, the offset that is read next; -1: not known.
        ends: of our partitions on the broker, asked over another connection; None: it did not tell.
    """

    now: float
    polled_at: float
    ended: str
    joined: bool
    epoch: int
    positions: Mapping[int, int]
    ends: Mapping[int, int] | None


Symptom = Literal["ended", "polls", "group", "records"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: nothing, make the consumer anew, or give up; and why: in one word, and for people."""

    action: Literal["ok", "rebuild", "dead"]
    symptom: Symptom | None = None
    detail: str = ""


OK = Verdict("ok")


class Watchdog:
    """Judges a consumer by what is observed of it every few seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last: Observation | None = None
        self._polled_at = 0.0
        self._joined_at = 0.0
        self._waiting: dict[int, tuple[int, float]] = {}
        """Of each partition with records that are wanted: where it stands, and since when."""
        self._moves = False
        """Whether each of those has moved since the last observation."""
        self._rebuilds = 0

    def observe(self, seen: Observation) -> Verdict:
        """Judge. After "rebuild" all limits begin anew."""
        last, self._last = self._last, seen
        if last is None or seen.ends is None or seen.now - last.now > self._limits.gap_s:
            self._begin_anew(seen)
            return OK
        self._update(seen, last, seen.ends)
        if (found := self._symptom(seen)) is not None:
            return self._act(seen, *found)
        if seen.joined and seen.polled_at > last.polled_at and self._moves:
            self._rebuilds = 0
        return OK

    def _begin_anew(self, seen: Observation) -> None:
        self._polled_at = self._joined_at = seen.now
        self._waiting = {}

    def _update(self, seen: Observation, last: Observation, ends: Mapping[int, int]) -> None:
        # Out of the group, aiokafka lets no poll return: that is no symptom of its own.
        self._polled_at = max(self._polled_at, seen.polled_at) if seen.joined else seen.now
        if seen.joined or seen.epoch != last.epoch:
            self._joined_at = seen.now
        before, self._waiting = self._waiting, {}
        self._moves = True
        if seen.epoch != last.epoch:
            before = {}
        for number, position in seen.positions.items():
            if ends.get(number, position) > position:
                stood, since = before.get(number, (position, seen.now))
                moved = stood != position
                self._waiting[number] = (position, seen.now if moved else since)
                self._moves = self._moves and moved

    def _symptom(self, seen: Observation) -> tuple[Symptom, str] | None:
        limits, now = self._limits, seen.now
        if seen.ended:
            return "ended", seen.ended
        if (silent_s := now - self._polled_at) > limits.polls_s:
            return "polls", f"no poll has returned for {silent_s:.0f} s"
        if (out_s := now - self._joined_at) > limits.rejoin_s:
            return "group", f"it has been out of its group for {out_s:.0f} s"
        stalled = sorted(n for n, (_, since) in self._waiting.items() if now - since > limits.stall_s)
        if stalled:
            return "records", f"nothing came of the partitions {stalled} for {limits.stall_s:.0f} s"
        return None

    def _act(self, seen: Observation, symptom: Symptom, detail: str) -> Verdict:
        self._begin_anew(seen)
        if self._rebuilds < self._limits.rebuilds:
            self._rebuilds += 1
            return Verdict("rebuild", symptom, detail)
        return Verdict("dead", symptom, f"{detail}; {self._rebuilds} new consumers did not help")
