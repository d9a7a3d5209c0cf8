"""Fakes of the four components, each with a latency or a failure, in the event loop's time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.components import (
    Call,
    DeltaSink,
    Generation,
    Grounding,
    Passage,
    Plan,
    PlannedCall,
    Rewriting,
    ToolSpec,
)
from schemas.answer import Source, ToolCall, Usage
from schemas.event import StageTrace
from schemas.question import Question
from tests.support.guards import GuardEvents

PASSAGE = Passage(
    chunk_id="handbook#0",
    document_id="handbook",
    title="Handbook",
    source="handbook.md",
    text="The warranty lasts three years. It starts on the day of delivery.",
    score=1.0,
)
SOURCE = Source("questions", 0, 7)


def tool_spec(name: str, timeout_s: float = 5.0) -> ToolSpec:
    return ToolSpec(name, f"The {name}.", {"type": "object"}, timeout_s, idempotent=True)


@dataclass
class Behaviour:
    """The behaviour of a fake: it waits `delay_s`, then raises `error` if it is set."""

    delay_s: float = 0.0
    error: Exception | None = None
    calls: list[Call] = field(default_factory=list)
    cancelled: int = 0

    async def act(self, call: Call) -> None:
        self.calls.append(call)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error


@dataclass
class FakeRetriever(Behaviour):
    passages: Sequence[Passage] = (PASSAGE,)
    asked: list[Question] = field(default_factory=list)

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        self.asked.append(question)
        await self.act(call)
        return self.passages


@dataclass
class FakeRewriter(Behaviour):
    text: str = "How heavy is the lamp?"

    async def arewrite(self, question: Question, call: Call) -> Rewriting:
        await self.act(call)
        return Rewriting(self.text, Usage(3, 2))


@dataclass
class FakePlanner(Behaviour):
    plan: Plan = field(default_factory=Plan)
    offered: list[Sequence[ToolSpec]] = field(default_factory=list)

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        self.offered.append(tools)
        await self.act(call)
        return self.plan


@dataclass
class FakeToolExecutor:
    """Runs tools by name; a tool that is not in `behaviours` answers at once."""

    specs: Sequence[ToolSpec] = ()
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    def offered(self, question: Question) -> Sequence[ToolSpec]:
        return self.specs

    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        self.calls.append(call)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.behaviours.get(planned.name, Behaviour()).act(call)
        finally:
            self.running -= 1
        return ToolCall(
            id=planned.id, name=planned.name, arguments=planned.arguments, status="ok", result="fine"
        )


@dataclass
class FakeGenerator(Behaviour):
    text: str = "It lasts three years [1]."
    groundings: list[Grounding] = field(default_factory=list)
    degraded: tuple[str, ...] = ()

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        self.groundings.append(grounding)
        await self.act(call)
        if on_delta:
            for word in self.text.split(" "):
                on_delta(word)
        return Generation(self.text, "fake", Usage(10, 5), self.degraded)


@dataclass
class RecordingObserver(GuardEvents):
    """An observer that keeps its events."""

    traces: list[StageTrace] = field(default_factory=list)

    def stage_finished(self, trace: StageTrace) -> None:
        self.traces.append(trace)
