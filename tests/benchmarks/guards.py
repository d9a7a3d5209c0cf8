"""The cost of the guards: `python -m tests.benchmarks.guards [--questions N]`.

A pipeline of instant parts, all in this process, answers questions (retrieve, plan, two tools, generate: five
guarded calls, as with servers for everything) without guards, with all, and with all but one. Variants take
turns in short rounds and the medians are compared, because a busy machine drifts: read the differences.
"""

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agents.components import (
    Call,
    DeltaSink,
    Generation,
    Grounding,
    Passage,
    Plan,
    PlannedCall,
    ToolSpec,
)
from agents.pipeline import Asked, Budgets, Components, Pipeline, default_graph
from agents.resilience.guarded import GuardedGenerator, GuardedPlanner, GuardedRetriever
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from schemas.answer import Source
from schemas.question import Question
from streams.assembly.guards import Guards
from streams.settings.model import Resilience
from streams.telemetry.hook import Hook, Hooks
from streams.telemetry.logs import LogSink
from streams.telemetry.metrics import Metrics

ROUND = 500
PASSAGE = Passage("handbook#0", "handbook", "Handbook", "handbook.md", "The warranty lasts three years.", 1.0)
SOURCE = Source("questions", 0, 7)
PLAN = Plan((PlannedCall("c1", "tool1", {"city": "Oslo"}), PlannedCall("c2", "tool2", {"city": "Oslo"})))


class Instant:
    """All components; they answer at once."""

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        return (PASSAGE,)

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        return PLAN

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        return Generation("It lasts three years [1].", "instant")


@dataclass
class InstantTool:
    spec: ToolSpec
    tenants: frozenset[str] | None = None
    reconcile_url: str = ""

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        return {"sky": "clear"}

    async def aclose(self) -> None:
        """Close nothing, because nothing is open."""


def pipeline(resilience: Resilience | None) -> Pipeline:
    """The default graph of instant parts; `resilience` None: without any guard."""
    hook: Hook = Hooks([Metrics(), LogSink()])
    tools = [
        InstantTool(ToolSpec(name, "The weather.", {"type": "object"}, 5.0, idempotent=True))
        for name in ("tool1", "tool2")
    ]
    registry = ToolRegistry(tools)
    parts = Instant()
    if resilience is None:
        components = Components(parts, parts, RegistryExecutor(registry), parts)
    else:
        guards = Guards(resilience, hook)
        model = guards.model("model", 1000)
        components = Components(
            GuardedRetriever(parts, guards.search("knowledge")),
            GuardedPlanner(parts, model),
            RegistryExecutor(registry, guards={tool.spec.name: guards.tool(tool) for tool in tools}),
            GuardedGenerator(parts, model),
        )
    return Pipeline(default_graph(components, Budgets()), hook)


VARIANTS: dict[str, Callable[[], Pipeline]] = {
    "without guards": lambda: pipeline(None),
    "all guards": lambda: pipeline(Resilience()),
    "all but breakers": lambda: pipeline(Resilience(breakers=False)),
    "all but retries and hedging": lambda: pipeline(Resilience(retries=False)),
    "all but hedging": lambda: pipeline(Resilience(hedging=False)),
    "all but adaptive concurrency": lambda: pipeline(Resilience(adaptive_concurrency=False)),
    "guards with nothing in them": lambda: pipeline(
        Resilience(breakers=False, retries=False, hedging=False, adaptive_concurrency=False)
    ),
}


async def ameasure(subject: Pipeline, questions: int) -> float:
    """CPU microseconds a question."""
    loop = asyncio.get_running_loop()
    question = Question(id="q", text="How long is the warranty?")
    gc.collect()
    began = time.process_time()
    for _ in range(questions):
        answered = await subject.aanswer(Asked(question, SOURCE, loop.time() + 30))
        if answered.answer.status != "answered":
            raise RuntimeError(answered.answer)
    return (time.process_time() - began) / questions * 1e6


async def amain(questions: int) -> None:
    """Measure and print."""
    subjects = {name: make() for name, make in VARIANTS.items()}
    took: dict[str, list[float]] = {name: [] for name in subjects}
    for subject in subjects.values():
        await ameasure(subject, ROUND)
    for _ in range(max(3, questions // ROUND)):
        for name, subject in subjects.items():
            took[name].append(await ameasure(subject, ROUND))
    bare = took["without guards"]
    whole = took["all guards"]
    print(f"{'':32}{'us a question':>14}{'guards':>10}{'saves':>10}{'ratio':>8}")
    for name, times in took.items():
        # Differences within a round, because a slow moment of the machine slows both.
        guards = statistics.median(time - base for time, base in zip(times, bare, strict=True))
        saves = statistics.median(full - time for full, time in zip(whole, times, strict=True))
        ratio = statistics.median(time / base for time, base in zip(times, bare, strict=True))
        print(f"{name:32}{statistics.median(times):14.1f}{guards:10.1f}{saves:10.1f}{ratio:8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=10_000)
    asyncio.run(amain(parser.parse_args().questions))
