"""Starts each call of a tool that is not idempotent at most once for its question, across crashes."""

import asyncio

from msgspec.structs import replace

from agents.components import (
    Call,
    Plan,
    PlannedCall,
    ToolExecutor,
    first_idempotency_key,
    idempotency_key,
)
from agents.journal import Journal, JournalError, Reconciler, Recorded
from agents.run import Run
from schemas.answer import ToolCall


class OnceOnly:
    """The calls of one question's plan in one run.

    Calls that may be repeated go straight to the executor. If there are no others, nothing is written to
    the journal and nothing awaited.
    """

    def __init__(self, plan: Plan, executor: ToolExecutor, run: Run, journal: Journal) -> None:
        self._plan = plan
        self._executor = executor
        self._run = run
        self._journal = journal
        self._recorded: Recorded | None = journal.recorded(run.question, run.source)
        once = {spec.name for spec in executor.offered(run.question) if not spec.idempotent}
        self._guarded = {planned.id for planned in plan.calls if planned.name in once} if once else set()
        if self._recorded is not None:
            # The tool may be declared idempotent now, but not when its intent was written.
            self._guarded |= self._recorded.intents.keys() | self._recorded.results.keys()
        self._planned: asyncio.Task[None] | None = None
        self._results: dict[str, ToolCall] = {}
        self._begun: set[str] = set()

    def start(self) -> None:
        """Record the plan if it holds a call that must run once. Call it before the first `arun`."""
        if self._guarded and self._recorded is None:
            run = self._run
            self._planned = asyncio.get_running_loop().create_task(
                self._journal.aplan(run.question, run.source, self._plan)
            )
            self._planned.add_done_callback(_retrieve)

    def stop(self) -> None:
        """Stop recording the plan."""
        if self._planned is not None:
            self._planned.cancel()

    def finished(self, call_id: str) -> ToolCall | None:
        """Return the result of a call that ended, though it may not be recorded yet."""
        return self._results.get(call_id)

    def begun(self, call_id: str) -> bool:
        """Whether a call that may not be repeated has been started; it must not be broken off at will."""
        return call_id in self._begun

    async def arun(self, planned: PlannedCall, call: Call) -> ToolCall:
        """Run one call, unless the journal holds its result or an intent that must be reconciled first."""
        run = self._run
        if planned.id not in self._guarded:
            return await self._executor.arun(planned, run.question, call)
        # One that is started after all keeps its key: if it is cut off again, the first intent is asked for.
        call = replace(call, idempotency_key=self._key(planned))
        if self._recorded is not None:
            result = self._recorded.results.get(planned.id)
            if result is not None:
                return replace(result, reused=True)
            if planned.id in self._recorded.intents:
                settled = await self._reconcile(planned, call)
                if settled is not None:
                    return settled
        try:
            await self._permit(planned, call.idempotency_key)
        except JournalError as error:
            return planned.ended("error", f"not started: {error.message}")
        refused = False

        async def permit() -> None:
            # Asked again: while the call waited for a slot, its question may have gone to another worker.
            nonlocal refused
            try:
                await self._journal.aowned(run.question, run.source)
            except JournalError as error:
                refused = True
                raise JournalError(error.dependency, f"not started: {error.message}") from error
            self._begun.add(planned.id)

        result = await self._executor.arun(planned, run.question, replace(call, permit=permit))
        self._results[planned.id] = result
        if not refused:
            await self._keep(result)
        return result

    def _key(self, planned: PlannedCall) -> str:
        question = self._run.question
        if self._recorded is not None and (key := self._recorded.intents.get(planned.id)) is not None:
            return key or first_idempotency_key(question, planned.id)
        return idempotency_key(question, planned.id)

    async def _permit(self, planned: PlannedCall, key: str) -> None:
        """Return when plan and intent are safe, and the question still belongs to this worker.

        Both are written before either is awaited, so that they share a batch.
        """
        run = self._run
        await self._journal.aintent(run.question, run.source, planned, key)
        if self._planned is not None:
            await asyncio.shield(self._planned)
        await self._journal.aowned(run.question, run.source)

    async def _reconcile(self, planned: PlannedCall, call: Call) -> ToolCall | None:
        """Return the end of a call with an intent but no result; None if it never ran and may start now."""
        if not isinstance(self._executor, Reconciler):
            return planned.ended("unknown", "it may have run before a crash")
        result = await self._executor.areconcile(planned, self._run.question, call)
        if result is None or result.status == "unknown":
            return result
        self._results[planned.id] = result = replace(result, reused=True)
        await self._keep(result)
        return result

    async def _keep(self, result: ToolCall) -> None:
        # Without the record the next run reports `unknown`; this run still has its result.
        run = self._run
        try:
            await self._journal.aresult(run.question, run.source, result)
        except JournalError:
            return


def _retrieve(planned: "asyncio.Task[None]") -> None:
    # Read here in case nobody awaits the task, so that asyncio does not log its error.
    if not planned.cancelled():
        planned.exception()
