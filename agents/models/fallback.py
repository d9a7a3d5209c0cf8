"""The fallback: a second model is asked if the first one fails, with the time that is left.

The first model has two thirds of the time, so that some is left if it hangs. Once a piece of its answer
has been sent on, the answer is its own, and it has all of the time.
"""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from agents.components import (
    Call,
    DeltaSink,
    Generation,
    Generator,
    Grounding,
    Plan,
    Planner,
    ToolSpec,
)
from agents.errors import DependencyError, TimedOutError
from schemas.errors import DegradeReason
from schemas.question import Question

FIRST_SHARE = 2 / 3


class FallbackPlanner:
    """Plans with `first`; if it fails, with `second`, and the answer is degraded."""

    def __init__(self, first: Planner, second: Planner) -> None:
        self._first = first
        self._second = second

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:
        """See `Planner`."""
        started = asyncio.get_running_loop().time()
        limit = _first_limit(call, started)
        try:
            async with asyncio.timeout_at(limit):
                return await self._first.aplan(question, tools, replace(call, deadline=limit))
        except (DependencyError, TimeoutError) as error:
            call = _next(call, started, error)
        plan = await self._second.aplan(question, tools, call)
        return replace(plan, degraded=(DegradeReason.MODEL_FALLBACK, *plan.degraded))


class FallbackGenerator:
    """Answers with `first`; if it fails, with `second`, and the answer is degraded."""

    def __init__(self, first: Generator, second: Generator) -> None:
        self._first = first
        self._second = second

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        """See `Generator`."""
        started = asyncio.get_running_loop().time()
        limit = _first_limit(call, started)
        scope = asyncio.timeout_at(limit)
        sent = False
        sink = on_delta
        if on_delta is not None:

            def tell(text: str) -> None:
                nonlocal sent
                if not sent:
                    sent = True
                    scope.reschedule(None)
                on_delta(text)

            sink = tell
        try:
            async with scope:
                return await self._first.agenerate(grounding, replace(call, deadline=limit), sink)
        except (DependencyError, TimeoutError) as error:
            if sent:
                raise
            call = _next(call, started, error)
        generation = await self._second.agenerate(grounding, call, on_delta)
        return replace(generation, degraded=(DegradeReason.MODEL_FALLBACK, *generation.degraded))


def _first_limit(call: Call, now: float) -> float:
    return now + (call.deadline - now) * FIRST_SHARE


def _next(call: Call, started: float, error: Exception) -> Call:
    """Return the call for the second model: it continues the attempt numbers of the first."""
    if call.trail is None:
        return call
    attempt = max(call.attempt, call.trail.failed_attempts(call.stage) + 1)
    failure = error if isinstance(error, DependencyError) else TimedOutError("model", "not in its time")
    call.trail.attempt_failed(call.stage, attempt, started, failure)
    return call.numbered(attempt + 1)
