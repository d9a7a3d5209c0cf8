"""One question to one answer: the default stage graph and its degrade steps.

    retrieve ───────────────┐
                            ├─> generate ─> citations checked ─> Answer
    plan ──> tools ─────────┘

The plan is fixed before any untrusted text (passages, tool results) reaches a model, and what the
generating model says cannot add to it.

What fails, what happens then, and the reason code in `degraded`:

* retrieval late or broken: answered from tools and history, and the model is told to say so
  (`retrieval_timeout`, `retrieval_unavailable`);
* plan late or broken: no tools (`plan_timeout`, `plan_unavailable`);
* a tool late, broken or refused, or no time left for tools: answered from the rest, its call carries
  the status (`tools_timeout`, `tools_error`, `tools_rejected`);
* the model late, down or refusing: an extractive answer with citations, and a failed one where
  nothing supports it (`model_timeout`, `model_unavailable`, `model_rejected`).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents.citations import check_citations
from agents.components import (
    Call,
    DeltaSink,
    Generation,
    Generator,
    Grounding,
    Passage,
    Plan,
    Planner,
    Retriever,
    ToolExecutor,
)
from agents.errors import DependencyError, PermanentError, TimedOutError
from agents.graph import Graph, GraphError, Observer, Output, Run, Stage, StageFailed
from agents.models.extractive import MODEL as EXTRACTIVE
from agents.models.extractive import answer_without_model
from agents.tools.journal import Journal, NoJournal
from agents.tools.stage import run_planned
from schemas.answer import Answer, AnswerError, Source, Timings, ToolCall, ToolCallStatus
from schemas.errors import ErrorCode
from schemas.event import StageTrace
from schemas.question import Question

log = logging.getLogger(__name__)

PASSAGES = Output[Sequence[Passage]]("retrieve")
PLAN = Output[Plan]("plan")
TOOL_CALLS = Output[tuple[ToolCall, ...]]("tools")
GENERATION = Output[Generation]("generate")


@dataclass(frozen=True, slots=True)
class Components:
    """The four parts that the default graph is made of."""

    retriever: Retriever
    planner: Planner
    tool_executor: ToolExecutor
    generator: Generator


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds that stages may take within the question's deadline; generation has the rest."""

    retrieve_s: float = 3.0
    plan_s: float = 4.0
    tool_s: float = 8.0
    tool_concurrency: int = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the circumstances of its asking.

    `deadline` is in seconds of the event loop's clock; `queue_ms` is how long it has waited.
    """

    question: Question
    source: Source
    deadline: float
    queue_ms: float = 0.0
    traceparent: str | None = None
    on_delta: DeltaSink | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The terminal outcome of a question, and how it came about."""

    answer: Answer
    stages: tuple[StageTrace, ...] = ()


def default_graph(components: Components, budgets: Budgets, journal: Journal | None = None) -> Graph:
    """Retrieve beside plan, tools after the plan, then generate.

    Without a `journal`, a question that is run again after a crash may call again what it had called.
    """
    journal = journal or NoJournal()
    executor = components.tool_executor

    async def retrieve(run: Run, call: Call) -> Sequence[Passage]:
        return await components.retriever.aretrieve(run.question, call)

    async def plan(run: Run, call: Call) -> Plan:
        recorded = journal.recorded(run.question, run.source)
        if recorded is not None:
            return recorded.plan
        return await components.planner.aplan(run.question, executor.offered(run.question), call)

    async def tools(run: Run, call: Call) -> tuple[ToolCall, ...]:
        concurrency = budgets.tool_concurrency
        return await run_planned(run[PLAN], executor, run, call, concurrency=concurrency, journal=journal)

    async def generate(run: Run, call: Call) -> Generation:
        return await components.generator.agenerate(_grounding(run), call, run.on_delta)

    return Graph(
        [
            Stage(
                output=PLAN,
                run=plan,
                budget_s=budgets.plan_s,
                applies=lambda run: (
                    bool(executor.offered(run.question))
                    or journal.recorded(run.question, run.source) is not None
                ),
                default=Plan,
                degrade=_plan_nothing,
            ),
            Stage(output=PASSAGES, run=retrieve, budget_s=budgets.retrieve_s, degrade=_find_nothing),
            Stage(
                output=TOOL_CALLS,
                run=tools,
                needs=[PLAN],
                budget_s=budgets.tool_s,
                keeps_time=True,
                applies=lambda run: bool(run[PLAN].calls),
                default=tuple,
                # What an earlier run began is told of, and costs little time.
                skippable=lambda run: journal.recorded(run.question, run.source) is None,
                degrade=_skip_tools,
            ),
            Stage(output=GENERATION, run=generate, needs=[PASSAGES, TOOL_CALLS], degrade=_extract),
        ]
    )


def _grounding(run: Run) -> Grounding:
    missing = ["the knowledge base"] if _RETRIEVAL_REASONS.intersection(run.degraded) else []
    passages, tool_calls = run[PASSAGES], run[TOOL_CALLS]
    return Grounding(run.question, passages, tool_calls, missing)


_RETRIEVAL_REASONS = {"retrieval_timeout", "retrieval_unavailable"}


def _find_nothing(run: Run, failure: DependencyError) -> Sequence[Passage]:
    run.degrade("retrieval_timeout" if isinstance(failure, TimedOutError) else "retrieval_unavailable")
    return ()


def _plan_nothing(run: Run, failure: DependencyError) -> Plan:
    run.degrade("plan_timeout" if isinstance(failure, TimedOutError) else "plan_unavailable")
    return Plan()


def _skip_tools(run: Run, failure: DependencyError) -> tuple[ToolCall, ...]:
    late = isinstance(failure, TimedOutError)
    run.degrade("tools_timeout" if late else "tools_error")
    status: ToolCallStatus = "skipped" if late else "error"
    return tuple(
        ToolCall(id=one.id, name=one.name, arguments=one.arguments, status=status, result=failure.message)
        for one in run[PLAN].calls
    )


def _extract(run: Run, failure: DependencyError) -> Generation:
    match failure:
        case TimedOutError():
            reason, code = "model_timeout", ErrorCode.DEADLINE_EXCEEDED
        case PermanentError():
            reason, code = "model_rejected", ErrorCode.MODEL_REJECTED
        case _:
            reason, code = "model_unavailable", ErrorCode.MODEL_UNAVAILABLE
    text = answer_without_model(_grounding(run))
    if not text:
        raise StageFailed(GENERATION.stage, code, failure.message)
    run.degrade(reason)
    return Generation(text, EXTRACTIVE)


class Pipeline:
    """Answers questions with a graph of stages.

    Any graph will do that has a stage with the output `GENERATION`; where it has stages with the
    outputs `PASSAGES`, `PLAN` or `TOOL_CALLS`, citations, usage and tool calls are told too.

    Raises:
        GraphError: the graph has no such stage.
    """

    def __init__(self, graph: Graph, observer: Observer) -> None:
        if GENERATION.stage not in graph.stages:
            raise GraphError(f"the graph has no stage {GENERATION.stage!r}, which makes the answer's text")
        self.graph = graph
        self._observer = observer

    async def aanswer(self, asked: Asked) -> Answered:
        """The outcome of one question, by its deadline. Never raises but for cancellation."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        run = Run(
            asked.question,
            asked.deadline,
            self._observer,
            asked.traceparent,
            asked.on_delta,
            source=asked.source,
        )
        error: AnswerError | None = None
        try:
            await self.graph.arun(run)
        except StageFailed as failure:
            error = AnswerError(failure.code, failure.stage, failure.message)
        except Exception as defect:
            log.exception("question %s met a defect", asked.question.id)
            error = AnswerError(ErrorCode.INTERNAL, "pipeline", type(defect).__name__)
        total_ms = (loop.time() - started) * 1000
        return Answered(_answer(asked, run, error, total_ms), tuple(run.traces))


def _answer(asked: Asked, run: Run, error: AnswerError | None, total_ms: float) -> Answer:
    question = asked.question
    values = run.values
    generation: Generation = values.get(GENERATION.stage) or Generation("", "")
    plan: Plan | None = values.get(PLAN.stage)
    text, citations = check_citations(generation.text, values.get(PASSAGES.stage) or ())
    durations: dict[str, Any] = {
        trace.stage: trace.duration_ms
        for trace in run.traces
        if trace.stage in _TIMED and trace.status != "skipped"
    }
    return Answer(
        id=question.id,
        question_id=question.id,
        conversation_id=question.conversation_id,
        tenant=question.tenant,
        status="failed" if error else "degraded" if run.degraded else "answered",
        source=asked.source,
        created_at=datetime.now(UTC),
        text=text,
        citations=citations,
        tool_calls=values.get(TOOL_CALLS.stage) or (),
        degraded=tuple(run.degraded),
        error=error,
        usage=generation.usage + plan.usage if plan else generation.usage,
        model=generation.model,
        timings_ms=Timings(queue=round(asked.queue_ms, 3), total=round(total_ms, 3), **durations),
        metadata=question.metadata,
    )


_TIMED = frozenset(Timings.__struct_fields__) - {"queue", "total"}
