"""Runs planned tool calls: checked before, timed, and never raising."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson
from msgspec.structs import replace

from agents.components import Call, PlannedCall, ToolSpec, percent_encoded
from agents.errors import BadOutputError, DependencyError, TimedOutError
from agents.json_values import nests_too_deeply
from agents.resilience.guard import Guard
from agents.tools.registry import ToolRegistry
from agents.tools.tool import DidNotRunError, Reconcilable, RejectedCallError, Tool
from schemas.answer import ToolCall, ToolCallStatus
from schemas.question import Question

log = logging.getLogger(__name__)

RESULT_MAX = 12_000
"""Characters of a result, about 3,000 tokens: the room that other systems leave for one, too."""


class RegistryExecutor:
    """The `ToolExecutor` of a registry.

    Of each result at most `result_max` characters (as JSON, where it is not text) are kept; what is
    longer becomes text that ends by saying that it was cut. `guards` has a guard for each tool's name, or
    none; a tool that is not idempotent is called once, whatever its guard would do.
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
        """The tools that this question's tenant has and that its `tools` field allows."""
        return self._registry.offered(question)

    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        """Run one call until the tool's own time-out or `call.deadline`, whichever is sooner."""
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
        """What became of a call that an earlier run may have started; None: it never ran.

        `unknown` where its tool has no `reconcile_url`, or where that does not tell in time.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        entry = self._registry.find(planned.name, question)
        tool = None if entry is None else entry.tool
        if tool is None or not tool.reconcile_url or not isinstance(tool, Reconcilable):
            return planned.ended("unknown", "it may have run before a crash, and cannot be asked")
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
            raise RejectedCallError("tools", "no such tool is offered to this question")
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
        # Last, because it takes seconds where there are millions of lists, and text nests nothing.
        if nests_too_deeply(result):
            raise BadOutputError(f"tools/{name}", "the result is nested too deeply")
        return result


def _headers(planned: PlannedCall, question: Question, call: Call) -> dict[str, str]:
    headers = call.headers
    # Nothing of the attempt or of the run is in it: the same call has the same key for ever.
    headers["Idempotency-Key"] = f"{percent_encoded(question.id)}/{percent_encoded(planned.id)}"
    return headers


def _cancelled(error: BaseException) -> bool:
    """Whether it is we who were cancelled: a tool can also raise it itself, or meet it in what it awaits."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)
