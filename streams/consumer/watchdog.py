"""Notices a consumer that has stopped for no reason: judges observations, and acts on nothing itself.

aiokafka can lose a rejoin, stop fetching or end its coordination, and gives no signal of it; and nobody
notices a poll that never returns. A slow consumer is not stuck: a partition is only looked at while its
records are wanted, so a slow model or a full worker is no symptom. While the broker does not answer another
connection either, or this process itself stood still, nothing counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


class StuckError(Exception):
    """The consumer is stuck, and new ones in its place did not help: the process has to be restarted."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """The seconds that each state may last before it is a symptom.

    Attributes:
        polls_s: in the group without a poll.
        rejoin_s: out of the group; more than its rebalance time-out.
        stall_s: without a record of a partition, though some are wanted and there are some.
        gap_s: between two observations; a longer gap means that this process stood still.
        rebuilds: how many new consumers in a row may have no effect before the watchdog gives up.
    """

    polls_s: float = 150.0
    rejoin_s: float = 150.0
    stall_s: float = 60.0
    gap_s: float = 20.0
    rebuilds: int = 2


@dataclass(frozen=True, slots=True)
class Observation:
    """The state of a consumer at one moment.

    Attributes:
        now: seconds on a clock that only grows.
        polled_at: when the last poll returned, on that clock; 0 before the first.
        ended: why it has ended by itself; empty while it has not.
        joined: whether the group has given us partitions, if only none, and not taken them since.
        epoch: grows each time that the group gives us partitions.
        positions: the offset that is read next of each partition whose records are wanted; -1: not known.
        ends: the ends of our partitions, asked over another connection; None: the broker did not answer.
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
class Diagnosis:
    """The action to take on a consumer, with its symptom and the details for people.

    Attributes:
        action: "rebuild" replaces the consumer by a new one, "dead" gives up.
    """

    action: Literal["ok", "rebuild", "dead"]
    symptom: Symptom | None = None
    detail: str = ""


OK = Diagnosis("ok")


class Watchdog:
    """Judges a consumer by observations of it, one every few seconds."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._last: Observation | None = None
        self._polled_at = 0.0
        self._joined_at = 0.0
        self._waiting: dict[int, tuple[int, float]] = {}
        """The position of each partition whose records are wanted, and the time since when it has it."""
        self._moves = False
        """Whether each of these positions has moved since the last observation."""
        self._rebuilds = 0

    def observe(self, seen: Observation) -> Diagnosis:
        """Judge an observation. After "rebuild" all limits begin anew."""
        last, self._last = self._last, seen
        if last is None or seen.ends is None or seen.now - last.now > self._patience.gap_s:
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
        patience, now = self._patience, seen.now
        if seen.ended:
            return "ended", seen.ended
        if (silent_s := now - self._polled_at) > patience.polls_s:
            return "polls", f"no poll has returned for {silent_s:.0f} s"
        if (out_s := now - self._joined_at) > patience.rejoin_s:
            return "group", f"the consumer has been out of its group for {out_s:.0f} s"
        stalled = sorted(n for n, (_, since) in self._waiting.items() if now - since > patience.stall_s)
        if stalled:
            return "records", f"no record of the partitions {stalled} has come for {patience.stall_s:.0f} s"
        return None

    def _act(self, seen: Observation, symptom: Symptom, detail: str) -> Diagnosis:
        self._begin_anew(seen)
        if self._rebuilds < self._patience.rebuilds:
            self._rebuilds += 1
            return Diagnosis("rebuild", symptom, detail)
        return Diagnosis("dead", symptom, f"{detail}; {self._rebuilds} new consumers did not help")
