"""Runs planned tool calls: it checks the arguments, keeps the time and never raises."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson
from msgspec.structs import replace

from agents.components import Call, PlannedCall, ToolSpec, idempotency_key
from agents.errors import BadOutputError, DependencyError, TimedOutError
from agents.json_values import SHALLOW, nests_too_deeply
from agents.resilience.guard import Guard
from agents.tools.registry import ToolRegistry
from agents.tools.tool import DidNotRunError, Reconcilable, RejectedCallError, Tool
from schemas.answer import ToolCall, ToolCallStatus
from schemas.question import Question

log = logging.getLogger(__name__)

RESULT_MAX = 12_000
"""Characters of a result, about 3,000 tokens, as in comparable systems."""


class RegistryExecutor:
    """The `ToolExecutor` of a registry.

    A result longer than `result_max` characters (as JSON, unless it is text) becomes text that is cut there
    and says so. `guards` may hold a guard for each tool's name. A tool that is not idempotent is called
    once, even if its guard allows retries.
    """

    def __init__(
        self,
        registry: ToolRegistry,
        *,
        guards: Mapping[str, Guard] = MappingProxyType({}),
        result_max: int = RESULT_MAX,
    ) -> None:
        self._registry = registry
        self._guards = guards
        self._result_max = result_max

    def offered(self, question: Question) -> Sequence[ToolSpec]:
        """Return the tools that the question's tenant has and its `tools` field allows."""
        return self._registry.offered(question)

    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        """Run one call until the tool's own time-out or `call.deadline`, the sooner of the two."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        status: ToolCallStatus = "ok"
        result: Any
        try:
            result = await self._run(self._checked(planned, question), planned, question, call, started)
        except RejectedCallError as error:
            status, result = "rejected", error.message
        except TimedOutError as error:
            status, result = "timeout", error.message
        except DependencyError as error:
            status, result = "error", error.message
        except (Exception, asyncio.CancelledError) as error:
            if _cancelled(error):
                raise
            log.exception("tool %s has a defect (question %s)", planned.name, question.id)
            status, result = "error", f"the tool failed ({type(error).__name__})"
        return planned.ended(status, result, loop.time() - started)

    async def areconcile(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall | None:
        """Return how a call ended that an earlier run may have started; None: it never ran.

        The status is `unknown` if the tool has no `reconcile_url`, or if that gives no answer in time.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        entry = self._registry.find(planned.name, question)
        tool = None if entry is None else entry.tool
        if tool is None or not tool.reconcile_url or not isinstance(tool, Reconcilable):
            return planned.ended(
                "unknown", "it may have run before a crash, and its tool has no reconcile_url to ask"
            )
        limit = min(started + tool.spec.timeout_s, call.deadline)
        status: ToolCallStatus = "ok"
        result: Any
        try:
            async with asyncio.timeout_at(limit):
                result = self._bounded(planned.name, await tool.areconcile(_headers(planned, question, call)))
        except DidNotRunError:
            return None
        except TimeoutError:
            status, result = "unknown", "it may have run before a crash, and its server did not say in time"
        except DependencyError as error:
            status, result = "unknown", f"it may have run before a crash: {error.message}"
        except (Exception, asyncio.CancelledError) as error:
            if _cancelled(error):
                raise
            log.exception("tool %s cannot be reconciled (question %s)", planned.name, question.id)
            status, result = "unknown", f"it may have run before a crash ({type(error).__name__})"
        return planned.ended(status, result, loop.time() - started)

    def _checked(self, planned: PlannedCall, question: Question) -> Tool:
        entry = self._registry.find(planned.name, question)
        if entry is None:
            raise RejectedCallError("tools", planned.problem or "no such tool is offered to this question")
        problem = planned.problem or entry.problem(planned.arguments)
        if problem:
            raise RejectedCallError(f"tools/{planned.name}", problem)
        return entry.tool

    async def _run(
        self, tool: Tool, planned: PlannedCall, question: Question, call: Call, started: float
    ) -> Any:
        limit = min(started + tool.spec.timeout_s, call.deadline)
        if limit <= started:
            raise TimedOutError(f"tools/{planned.name}", "no time was left to call it")
        guard = self._guards.get(tool.spec.name)
        # Traces name a call by its tool, requests by its id: a plan may call one tool twice.
        traced = replace(call, stage=f"tools/{planned.name}", deadline=limit)

        async def attempt(numbered: Call) -> Any:
            if call.permit is not None:
                await call.permit()
            headers = _headers(planned, question, call.numbered(numbered.attempt))
            return await tool.arun(planned.arguments, headers)

        try:
            async with asyncio.timeout_at(limit):
                if guard is None:
                    result = await attempt(traced)
                else:
                    result = await guard.acall(attempt, traced, may_repeat=lambda: tool.spec.idempotent)
        except TimeoutError as error:
            late = f"no result within {limit - started:.3g} s"
            raise TimedOutError(f"tools/{planned.name}", late) from error
        return self._bounded(planned.name, result)

    def _bounded(self, name: str, result: Any) -> Any:
        try:
            encoded = orjson.dumps(result)
        except TypeError as error:
            raise BadOutputError(f"tools/{name}", f"the result cannot be written as JSON: {error}") from error
        # Bytes are at least as many as characters, so this settles nearly every result.
        if len(encoded) > self._result_max:
            text = result if isinstance(result, str) else encoded.decode()
            if len(text) > self._result_max:
                return f"{text[: self._result_max]} … [cut: the result has {len(text):,} characters]"
        # Last, because it takes seconds for millions of lists, which the cut above turns into text.
        if len(encoded) > SHALLOW and nests_too_deeply(result):
            raise BadOutputError(f"tools/{name}", "the result is nested too deeply")
        return result


def _headers(planned: PlannedCall, question: Question, call: Call) -> dict[str, str]:
    headers = call.headers
    # The key holds nothing of the attempt or the run, so that the same call always has the same key.
    headers["Idempotency-Key"] = call.idempotency_key or idempotency_key(question, planned.id)
    return headers


def _cancelled(error: BaseException) -> bool:
    """Whether this task was cancelled. A tool can also raise CancelledError, or await a cancelled task."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)
