"""Ledgers: everything seen of a run from outside the worker. Times are unix seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Place = tuple[int, int]
"""(partition, offset) on `questions`, which identifies an outcome."""


SIGNAL_S = 0.1
"""How long a signal may take from being sent to taking effect."""
SENT_S = 0.5
"""How long after a kill an outcome may still have been its victim's."""


@dataclass(frozen=True)
class Produced:
    """One question as its producer saw it.

    Attributes:
        result: the broker's reply; "unknown" if the producer never received it.
        place: where the record is; also for an unknown one that was found on the topic.
    """

    id: str
    key: bytes | None
    sequence: int
    result: Literal["ok", "failed", "unknown"]
    place: Place | None = None


@dataclass(frozen=True)
class ModelCall:
    """One request that reached the model's server."""

    question_id: str
    stage: str
    at: float


@dataclass(frozen=True)
class ToolCall:
    """One request that reached the server of a tool that is not idempotent."""

    question_id: str
    tool: str
    idempotency_key: str
    at: float


@dataclass(frozen=True)
class Outcome:
    """One record of `answers`; `position` is its offset there, and its partition that of `source`.

    Attributes:
        digest: of everything that the asker receives, without times.
        code: of its error; "": it has none.
    """

    source: Place
    position: int
    id: str
    status: str
    digest: str
    at: float
    code: str = ""


@dataclass(frozen=True)
class Cancel:
    """One record of `questions.control`; `at`: when the broker had acknowledged it."""

    source: Place
    id: str
    at: float


@dataclass(frozen=True)
class DeadLetter:
    """One record of the dead-letter topic."""

    source: Place
    at: float


@dataclass(frozen=True)
class Commit:
    """One commit of the group, in the order of `__consumer_offsets`.

    Attributes:
        answers_end: the end of the same partition of `answers`, looked up after the commit was read.
    """

    partition: int
    offset: int
    answers_end: int
    at: float


@dataclass(frozen=True)
class Fault:
    """Something that was done to the system.

    Attributes:
        in_flight: questions started (a call reached the model) and not yet answered at that time.
        uncommitted: questions answered and not yet below a commit at that time.
    """

    kind: str
    at: float
    in_flight: int = 0
    uncommitted: int = 0


@dataclass(frozen=True)
class Bounds:
    """The limits of a run.

    Attributes:
        duplicates: the most second outcomes of one source.
        retry_budget: the share of model calls beyond one for each question and stage.
        drain_s: the most time from `healed_at` until nothing is left to do.
    """

    duplicates: int = 0
    retry_budget: float = 0.1
    drain_s: float = 60.0


@dataclass
class Ledgers:
    """Everything known of one run; `drained_at` is None if the backlog never reached zero."""

    produced: list[Produced] = field(default_factory=list)
    model_calls: list[ModelCall] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    bounds: Bounds = field(default_factory=Bounds)
    healed_at: float = 0.0
    drained_at: float | None = None

    def fault(self, kind: str, at: float) -> Fault:
        """The fault of that moment, with the questions that it can have caused to be read again."""
        started = {call.question_id for call in self.model_calls if call.at <= at}
        answered = {outcome.source for outcome in self.outcomes if outcome.at <= at}
        committed: dict[int, int] = {}
        for commit in self.commits:
            if commit.at <= at:
                committed[commit.partition] = commit.offset
        in_flight = uncommitted = 0
        for question in self.produced:
            if question.place not in answered:
                in_flight += question.id in started
            elif question.place[1] >= committed.get(question.place[0], 0):
                uncommitted += 1
        return Fault(kind, at, in_flight, uncommitted)

    def takeover_s(self, moment: float, asked_at: Mapping[str, float]) -> float:
        """The longest that a partition with something to answer waited for its first outcome after a kill.

        It waits from the kill on, or, if all earlier questions were answered, from its first later one. The
        time includes the model's latency and the delay that the joining replacement causes.

        Args:
            asked_at: the time at which each question was sent.
        """
        waited: dict[int, float] = {}
        for one in sorted(self.outcomes, key=lambda one: one.at):
            # A record that the dead worker had sent may carry a time just after the signal.
            if one.at > moment + SENT_S:
                waited.setdefault(one.source[0], one.at - max(moment, asked_at.get(one.id, 0.0)))
        return round(max(waited.values(), default=0.0), 1)

    @property
    def explained_duplicates(self) -> int:
        """Second outcomes that the faults explain.

        The next owner of a partition knows every outcome from before a kill or a rebalance: by the offset
        map, by its recovery scan, or because it adopts its own partition. Only records on their way to the
        broker when their worker was stopped may still arrive: one between its gate and the socket, or several
        with a time before the signal.
        """
        stops = [fault.at for fault in self.faults if fault.kind == "SIGSTOP"]
        first = {one.source: one for one in sorted(self.outcomes, key=lambda one: -one.position)}
        on_their_way = sum(
            one is not first[one.source]
            and any(one.at < stop + SIGNAL_S < first[one.source].at for stop in stops)
            for one in self.outcomes
        )
        return max(len(stops), on_their_way)

    @property
    def redelivered(self) -> int:
        """The most questions that the faults can have had read again."""
        return sum(fault.in_flight + fault.uncommitted for fault in self.faults)
