"""One question on its way through a graph: its stages' values, degrade reasons and traces."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from agents.components import Call, DeltaSink
from agents.errors import DependencyError, TimedOutError
from agents.resilience.events import GuardObserver
from schemas.answer import AnswerKnowledge, Source, ToolCall
from schemas.event import StageStatus, StageTrace
from schemas.question import Question

T = TypeVar("T")

_NOWHERE = Source("", -1, -1)


def never() -> bool:
    """Return False: nobody can call the question back."""
    return False


class Observer(GuardObserver, Protocol):
    """Observes questions, and calls to dependencies, while they run.

    Its methods are called on the event loop and must not block.
    """

    def stage_finished(self, trace: StageTrace) -> None:
        """Note that a stage, or a tool call within one, has ended."""
        ...


class Output(Generic[T]):
    """The name of a stage's value with its type, so that `run[PASSAGES]` has that type."""

    __slots__ = ("stage",)

    def __init__(self, stage: str) -> None:
        self.stage = stage


@dataclass(slots=True)
class Run:
    """One question on its way through a graph.

    `deadline` is in seconds of the event loop's clock. `degraded` holds the degrade reasons in the order in
    which they arose. `source` is the question's record. `keepable`: the cache may keep the answer, unless
    it is degraded. `id_reused`: another question had its id. `knowledge`: what its passages were found in.
    `clock` is the event loop's; it is looked up once, because a look-up is a system call.
    `cancelled`: whether its asker has called it back; if so, a cancellation of its task is that wish.
    `cut_calls`: how the planned tool calls had ended when it came.
    """

    question: Question
    deadline: float
    observer: Observer
    traceparent: str | None = None
    on_delta: DeltaSink | None = None
    degraded: list[str] = field(default_factory=list)
    traces: list[StageTrace] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    source: Source = _NOWHERE
    attempts: dict[str, int] = field(default_factory=dict)
    keepable: bool = True
    id_reused: bool = False
    knowledge: AnswerKnowledge | None = None
    cancelled: Callable[[], bool] = never
    cut_calls: tuple[ToolCall, ...] = ()
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)

    def __getitem__(self, output: Output[T]) -> T:
        value: T = self.values[output.stage]
        return value

    def call(self, stage: str, deadline: float, attempt: int = 1) -> Call:
        """Return the call that labels one attempt of a stage."""
        return Call(self.question.id, stage, deadline, attempt, self.traceparent, self)

    def degrade(self, *reasons: str) -> None:
        """Note reasons why the answer is less than it could have been; each is kept once."""
        for reason in reasons:
            if reason not in self.degraded:
                self.degraded.append(reason)

    def record(self, stage: str, status: StageStatus, started: float, detail: str = "") -> StageTrace:
        """Trace a stage that began at `started` (event loop time) and ends now."""
        attempt = self.attempts.pop(stage, 0) + 1 if self.attempts else 1
        trace = self._trace(stage, status, started, detail, attempt)
        self.observer.stage_finished(trace)
        return trace

    def failed_attempts(self, stage: str) -> int:
        """See `agents.components.Trail`."""
        return self.attempts.get(stage, 0)

    def found_less(self, *reasons: str) -> None:
        """See `agents.components.Trail`."""
        self.keepable = False
        self.degrade(*reasons)

    def found_in(self, knowledge: AnswerKnowledge) -> None:
        """See `agents.components.Trail`."""
        self.knowledge = knowledge

    def attempt_failed(self, stage: str, attempt: int, started: float, error: DependencyError) -> None:
        """Trace an attempt of a stage that is followed by another (see `agents.components.Trail`)."""
        self.attempts[stage] = attempt
        status: StageStatus = "timeout" if isinstance(error, TimedOutError) else "error"
        self._trace(stage, status, started, str(error), attempt)

    def attempt_beaten(self, stage: str, attempt: int) -> None:
        """See `agents.components.Trail`."""
        self.attempts[stage] = attempt

    def _trace(
        self, stage: str, status: StageStatus, started: float, detail: str, attempt: int
    ) -> StageTrace:
        duration = self.clock() - started
        trace = StageTrace(
            stage=stage,
            status=status,
            attempt=attempt,
            started_at=datetime.fromtimestamp(time.time() - duration, UTC),
            duration_ms=round(duration * 1000, 3),
            detail=detail,
        )
        self.traces.append(trace)
        return trace
