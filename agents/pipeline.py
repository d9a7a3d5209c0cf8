"""One question to one answer: the default stage graph and its degrade steps.

    rewrite ──> retrieve ───┐
                            ├─> generate ─> citations checked ─> Answer
    plan ──> tools ─────────┘

Only a question that leans on its history is rewritten, so that it can be searched for.

The plan is fixed before any untrusted text (passages, tool results) reaches a model, and the generating
model cannot add to it.

The degrade steps, with the reason that each adds to `degraded`:

* rewriting late or failed: the question is searched for with names of its history, found without a model
  (`rewrite_timeout`, `rewrite_unavailable`);
* retrieval late or failed: the answer rests on tools and history, and the model is told to say so
  (`retrieval_timeout`, `retrieval_unavailable`);
* the embeddings away: the search uses words alone (`meaning_unavailable`);
* plan late or failed: no tool is called (`plan_timeout`, `plan_unavailable`);
* a tool late, failed or refused, or no time left for tools: the answer rests on the rest, and the tool call
  has the status (`tools_timeout`, `tools_error`, `tools_rejected`);
* model late, down, refusing or silent: the fallback model answers, if there is one (`model_fallback`). Else
  the answer is made of sentences from the passages, with citations (`model_timeout`, `model_unavailable`,
  `model_rejected`), and the question fails if no passage supports one.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from agents.cache.answers import AnswerCache
from agents.citing.across import aread_across
from agents.citing.marks import says_nothing
from agents.components import (
    Call,
    Generation,
    Generator,
    Passage,
    Plan,
    Planner,
    Retriever,
    Rewriter,
    Rewriting,
    ToolExecutor,
)
from agents.degrade import Extract, find_nothing, grounding_of, plan_nothing, rewrite_by_rules, skip_tools
from agents.embeddings.comparing import Comparer
from agents.embeddings.likeness import Likeness
from agents.errors import UnfitOutputError
from agents.graph import Graph, GraphError, Stage, StageFailed
from agents.journal import Journal, NoJournal
from agents.language.follow_ups import leans, standing_alone
from agents.models.extractive import Extractor
from agents.outcome import (
    GENERATION,
    PASSAGES,
    PLAN,
    REWRITING,
    TOOL_CALLS,
    Answered,
    Asked,
    answer_again,
    answer_cancelled,
    make_answer,
    run_of,
)
from agents.run import Observer, Run
from agents.tools.stage import run_planned
from schemas.answer import Answer, AnswerError, ToolCall
from schemas.errors import ErrorCode
from schemas.question import Question

__all__ = [
    "GENERATION",
    "PASSAGES",
    "PLAN",
    "REWRITING",
    "TOOL_CALLS",
    "Answered",
    "Asked",
    "Budgets",
    "Components",
    "Pipeline",
    "default_graph",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Components:
    """The parts that the default graph is made of; without a `rewriter`, rules rewrite questions.

    The `extractor` answers where the generator fails.
    """

    retriever: Retriever
    planner: Planner
    tool_executor: ToolExecutor
    generator: Generator
    rewriter: Rewriter | None = None
    extractor: Extractor = field(default_factory=Extractor)


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds that stages may take within the question's deadline; generation gets the rest."""

    retrieve_s: float = 3.0
    plan_s: float = 4.0
    tool_s: float = 8.0
    tool_concurrency: int = 10
    rewrite_s: float = 2.0


def default_graph(components: Components, budgets: Budgets, journal: Journal | None = None) -> Graph:
    """Retrieve beside plan, after a rewriting if the question needs it; tools after the plan; then generate.

    Without a `journal`, a question that is run again after a crash may repeat its tool calls.
    """
    journal = journal or NoJournal()
    executor = components.tool_executor
    rewriter = components.rewriter

    async def rewrite(run: Run, call: Call) -> Rewriting:
        if rewriter is None:
            return Rewriting(standing_alone(run.question))
        return await rewriter.arewrite(run.question, call)

    async def retrieve(run: Run, call: Call) -> Sequence[Passage]:
        return await components.retriever.aretrieve(_standing(run), call)

    async def plan(run: Run, call: Call) -> Plan:
        recorded = journal.recorded(run.question, run.source)
        if recorded is not None:
            return recorded.plan
        planned = await components.planner.aplan(run.question, executor.offered(run.question), call)
        run.degrade(*planned.degraded)
        return planned

    async def tools(run: Run, call: Call) -> tuple[ToolCall, ...]:
        concurrency = budgets.tool_concurrency
        return await run_planned(run[PLAN], executor, run, call, concurrency=concurrency, journal=journal)

    async def generate(run: Run, call: Call) -> Generation:
        generation = await components.generator.agenerate(grounding_of(run), call, run.on_delta)
        if says_nothing(generation.text):
            raise UnfitOutputError("model", "wrote no text")
        run.degrade(*generation.degraded)
        return generation

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
                # A recorded plan takes no time, and names the calls that may have started.
                skippable=lambda run: journal.recorded(run.question, run.source) is None,
                degrade=plan_nothing,
            ),
            Stage(
                output=REWRITING,
                run=rewrite,
                budget_s=budgets.rewrite_s,
                immediate=rewriter is None,
                applies=lambda run: bool(run.question.history) and leans(run.question),
                default=_as_asked,
                degrade=rewrite_by_rules,
                detail=lambda rewriting: rewriting.text,
            ),
            Stage(
                output=PASSAGES,
                run=retrieve,
                needs=[REWRITING],
                budget_s=budgets.retrieve_s,
                immediate=getattr(components.retriever, "immediate", False),
                degrade=find_nothing,
            ),
            Stage(
                output=TOOL_CALLS,
                run=tools,
                needs=[PLAN],
                budget_s=budgets.tool_s,
                keeps_time=True,
                applies=lambda run: bool(run[PLAN].calls),
                default=tuple,
                # The answer must tell of calls that an earlier run began, and that takes little time.
                skippable=lambda run: journal.recorded(run.question, run.source) is None,
                degrade=skip_tools,
            ),
            Stage(
                output=GENERATION,
                run=generate,
                needs=[PASSAGES, TOOL_CALLS],
                degrade=Extract(components.extractor),
            ),
        ]
    )


_AS_ASKED = Rewriting("")


def _as_asked() -> Rewriting:
    return _AS_ASKED


def _standing(run: Run) -> Question:
    text = run[REWRITING].text
    return replace(run.question, text=text) if text else run.question


class Pipeline:
    """Answers questions with a graph of stages.

    The graph must have a stage with the output `GENERATION`. If it has stages with the outputs `PASSAGES`,
    `PLAN` or `TOOL_CALLS`, the answer has citations, usage and tool calls too. With a `cache`, the graph runs
    only for questions that the cache cannot answer. A `comparer` helps to check answers whose sources are in
    another language.

    Raises:
        GraphError: the graph has no such stage.
    """

    def __init__(
        self,
        graph: Graph,
        observer: Observer,
        cache: AnswerCache | None = None,
        comparer: Comparer | None = None,
    ) -> None:
        if GENERATION.stage not in graph.stages:
            raise GraphError(
                f"the graph has no stage {GENERATION.stage!r}, which must make the answer's text"
            )
        self.graph = graph
        self._observer = observer
        self._cache = cache
        self._comparer = comparer

    async def aanswer(self, asked: Asked) -> Answered:
        """Return the outcome of one question, by its deadline. Raises nothing but CancelledError.

        A cancellation that its asker wished ends it as failed, once begun tools that run once have ended.
        """
        run = run_of(asked, self._observer)
        started = run.clock()
        try:
            return await self._aanswer(asked, run, started)
        except asyncio.CancelledError:
            if not asked.cancelled():
                raise
            return answer_cancelled(asked, run, (run.clock() - started) * 1000)

    async def _aanswer(self, asked: Asked, run: Run, started: float) -> Answered:
        if self._cache is None:
            return await self._arun(asked, run, started)
        lookup = await self._cache.alook_up(run)
        if lookup is None:
            return await self._arun(asked, run, started)
        if lookup.kept is not None:
            if asked.on_delta is not None:
                asked.on_delta(lookup.kept.text)
            total_ms = (run.clock() - started) * 1000
            return Answered(answer_again(asked, lookup.kept, total_ms), tuple(run.traces))
        answer: Answer | None = None
        try:
            answered = await self._arun(asked, run, started)
            answer = answered.answer if run.keepable else None
        finally:
            self._cache.finish(lookup, answer)
        return answered

    async def _arun(self, asked: Asked, run: Run, started: float) -> Answered:
        error: AnswerError | None = None
        try:
            await self.graph.arun(run)
        except StageFailed as failure:
            error = AnswerError(failure.code, failure.stage, failure.message)
        except Exception as defect:
            log.exception("question %s met a defect", asked.question.id)
            error = AnswerError(ErrorCode.INTERNAL, "pipeline", type(defect).__name__)
        likeness = await self._alikeness(run) if error is None else None
        total_ms = (run.clock() - started) * 1000
        return Answered(make_answer(asked, run, error, total_ms, likeness), tuple(run.traces))

    async def _alikeness(self, run: Run) -> Likeness | None:
        passages = run.values.get(PASSAGES.stage)
        if not passages or self._comparer is None:
            return None
        return await aread_across(run[GENERATION].text, passages, self._comparer, run.deadline)
