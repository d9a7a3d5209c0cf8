"""The values that a pipeline takes and returns: the answers made from a run or the cache, and their text."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from agents.cache.answers import Kept
from agents.citing.checking import Given, check_answer
from agents.citing.streaming import MarkFilter
from agents.components import DeltaSink, Generation, Passage, Plan, Rewriting
from agents.embeddings.likeness import Likeness
from agents.run import Observer, Output, Run, never
from schemas.answer import Answer, AnswerError, Source, Timings, ToolCall
from schemas.errors import ErrorCode
from schemas.event import StageTrace
from schemas.question import Question

REWRITING = Output[Rewriting]("rewrite")
PASSAGES = Output[Sequence[Passage]]("retrieve")
PLAN = Output[Plan]("plan")
TOOL_CALLS = Output[tuple[ToolCall, ...]]("tools")
GENERATION = Output[Generation]("generate")


class Asked(Struct, frozen=True):
    """A question with its record, deadline and listeners.

    `deadline` is in seconds of the event loop's clock; `queue_ms` is the time that it waited for its start.
    `id_reused`: another question had its id. `cancelled` returns whether the asker has called it back: its
    task is cancelled then, and the outcome is a failed one.
    """

    question: Question
    source: Source
    deadline: float
    queue_ms: float = 0.0
    traceparent: str | None = None
    on_delta: DeltaSink | None = None
    id_reused: bool = False
    cancelled: Callable[[], bool] = never


class Answered(Struct, frozen=True):
    """The terminal outcome of a question, and its traces."""

    answer: Answer
    stages: tuple[StageTrace, ...] = ()


def _checked_sink(run: Run, sink: DeltaSink) -> DeltaSink:
    """Return a sink for the run's raw text that gives `sink` the answer's: its marks checked as they pass."""
    marks: MarkFilter | None = None

    def take(text: str) -> None:
        nonlocal marks
        if marks is None:
            marks = MarkFilter([passage.text for passage in run.values.get(PASSAGES.stage) or ()])
        if told := marks.feed(text):
            sink(told)

    return take


def run_of(asked: Asked, observer: Observer) -> Run:
    """Begin the run of a question."""
    run = Run(
        asked.question,
        asked.deadline,
        observer,
        asked.traceparent,
        source=asked.source,
        id_reused=asked.id_reused,
        cancelled=asked.cancelled,
    )
    if asked.on_delta is not None:
        run.on_delta = _checked_sink(run, asked.on_delta)
    return run


def make_answer(
    asked: Asked, run: Run, error: AnswerError | None, total_ms: float, likeness: Likeness | None = None
) -> Answer:
    """Make the answer of a run, its citations checked; `likeness`: see `agents.citing.checking.Given`."""
    question = asked.question
    values = run.values
    generation: Generation = values.get(GENERATION.stage) or Generation("", "")
    plan: Plan | None = values.get(PLAN.stage)
    tool_calls: tuple[ToolCall, ...] = values.get(TOOL_CALLS.stage) or run.cut_calls
    asked_texts = (question.text, *(turn.content for turn in question.history))
    checked = check_answer(
        generation.text, Given(values.get(PASSAGES.stage) or (), tool_calls, asked_texts, likeness)
    )
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
        text=checked.text,
        citations=checked.citations,
        tool_calls=tool_calls,
        degraded=tuple(run.degraded),
        error=error,
        usage=sum((part.usage for part in (plan, values.get(REWRITING.stage)) if part), generation.usage),
        model=generation.model,
        timings_ms=Timings(queue=round(asked.queue_ms, 3), total=round(total_ms, 3), **durations),
        metadata=question.metadata,
        warnings=() if error else checked.warnings,
        grounding=None if error else checked.grounding,
        knowledge=run.knowledge,
    )


def answer_again(asked: Asked, kept: Kept, total_ms: float) -> Answer:
    """Make the answer to this question from a cached one. It costs no tokens and no stage."""
    question = asked.question
    return Answer(
        id=question.id,
        question_id=question.id,
        conversation_id=question.conversation_id,
        tenant=question.tenant,
        status="answered",
        source=asked.source,
        created_at=datetime.now(UTC),
        text=kept.text,
        citations=kept.citations,
        tool_calls=kept.tool_calls,
        model=kept.model,
        timings_ms=Timings(queue=round(asked.queue_ms, 3), total=round(total_ms, 3)),
        metadata=question.metadata,
        warnings=kept.warnings,
        grounding=kept.grounding,
        knowledge=kept.knowledge,
    )


CANCELLED = "the asker called the question back"
"""The message of a cancelled question's error."""


def answer_cancelled(asked: Asked, run: Run, total_ms: float) -> Answered:
    """Make the outcome of a question that was called back while it ran."""
    generation: Generation | None = run.values.get(GENERATION.stage)
    if generation is not None:
        # Its tokens were used, and nobody wants its text.
        run.values[GENERATION.stage] = replace(generation, text="")
    error = AnswerError(ErrorCode.CANCELLED, "cancel", CANCELLED)
    return Answered(make_answer(asked, run, error, total_ms), tuple(run.traces))


_TIMED = frozenset(Timings.__struct_fields__) - {"queue", "total"}
