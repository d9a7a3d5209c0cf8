"""The degrade steps of the default graph: the values that stand in for those of a stage that failed.

Each adds its reason to the answer's `degraded`.
"""

from collections.abc import Sequence

from agents.components import Generation, Grounding, Passage, Plan, Rewriting
from agents.errors import DependencyError, PermanentError, TimedOutError, UnusableServerError
from agents.graph import StageFailed
from agents.language.follow_ups import standing_alone
from agents.models.extractive import MODEL as EXTRACTIVE
from agents.models.extractive import Extractor
from agents.outcome import GENERATION, PASSAGES, PLAN, REWRITING, TOOL_CALLS
from agents.run import Run
from schemas.answer import ToolCall, ToolCallStatus
from schemas.errors import DegradeReason, ErrorCode


def grounding_of(run: Run) -> Grounding:
    """Return all that the answer of a run may rest on."""
    missing = ["the knowledge base"] if _RETRIEVAL_REASONS.intersection(run.degraded) else []
    passages, tool_calls = run[PASSAGES], run[TOOL_CALLS]
    return Grounding(run.question, passages, tool_calls, missing, run[REWRITING].text)


def rewrite_by_rules(run: Run, failure: DependencyError) -> Rewriting:
    """Rewrite a follow-up in place of the model."""
    late = isinstance(failure, TimedOutError)
    run.degrade(DegradeReason.REWRITE_TIMEOUT if late else DegradeReason.REWRITE_UNAVAILABLE)
    return Rewriting(standing_alone(run.question))


_RETRIEVAL_REASONS = {DegradeReason.RETRIEVAL_TIMEOUT, DegradeReason.RETRIEVAL_UNAVAILABLE}


def find_nothing(run: Run, failure: DependencyError) -> Sequence[Passage]:
    """Stand in for a retrieval that failed or was late."""
    late = isinstance(failure, TimedOutError)
    run.degrade(DegradeReason.RETRIEVAL_TIMEOUT if late else DegradeReason.RETRIEVAL_UNAVAILABLE)
    return ()


def plan_nothing(run: Run, failure: DependencyError) -> Plan:
    """Stand in for a plan that failed or was late."""
    late = isinstance(failure, TimedOutError)
    run.degrade(DegradeReason.PLAN_TIMEOUT if late else DegradeReason.PLAN_UNAVAILABLE)
    return Plan()


def skip_tools(run: Run, failure: DependencyError) -> tuple[ToolCall, ...]:
    """Stand in for tools that no time was left for, or that failed together."""
    late = isinstance(failure, TimedOutError)
    run.degrade(DegradeReason.TOOLS_TIMEOUT if late else DegradeReason.TOOLS_ERROR)
    status: ToolCallStatus = "skipped" if late else "error"
    return tuple(planned.ended(status, failure.message) for planned in run[PLAN].calls)


class Extract:
    """Answers with sentences of the passages in place of the model."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor

    async def __call__(self, run: Run, failure: DependencyError) -> Generation:
        """Return the answer.

        Raises:
            StageFailed: no passage supports an answer.
        """
        match failure:
            case TimedOutError():
                reason, code = DegradeReason.MODEL_TIMEOUT, ErrorCode.DEADLINE_EXCEEDED
            case PermanentError() if not isinstance(failure, UnusableServerError):
                reason, code = DegradeReason.MODEL_REJECTED, ErrorCode.MODEL_REJECTED
            case _:
                reason, code = DegradeReason.MODEL_UNAVAILABLE, ErrorCode.MODEL_UNAVAILABLE
        text = await self._extractor.aanswer(grounding_of(run), run.deadline)
        if not text:
            raise StageFailed(GENERATION.stage, code, failure.message)
        run.degrade(reason)
        return Generation(text, EXTRACTIVE)
