"""The tools stage: the planned calls side by side, with what is back in time."""

import asyncio
import logging
from dataclasses import replace

from agents.components import Call, Plan, PlannedCall, ToolExecutor
from agents.journal import Journal
from agents.run import Run
from agents.tools.once import OnceOnly
from schemas.answer import ToolCall, ToolCallStatus
from schemas.errors import DegradeReason
from schemas.event import StageStatus

log = logging.getLogger(__name__)

_GRACE_S = 0.25
"""What an executor that overlooks its deadline gets on top, before its call is abandoned."""

_TRACED: dict[ToolCallStatus, StageStatus] = {
    "ok": "ok",
    "timeout": "timeout",
    "skipped": "skipped",
    "error": "error",
    "rejected": "error",
    "unknown": "error",
}
_REASONS: dict[ToolCallStatus, DegradeReason] = {
    "timeout": DegradeReason.TOOLS_TIMEOUT,
    "error": DegradeReason.TOOLS_ERROR,
    "unknown": DegradeReason.TOOLS_ERROR,
    "rejected": DegradeReason.TOOLS_REJECTED,
}


async def run_planned(
    plan: Plan, executor: ToolExecutor, run: Run, call: Call, *, concurrency: int, journal: Journal
) -> tuple[ToolCall, ...]:
    """Run the planned calls side by side, at most `concurrency` at once; results in the plan's order.

    Ends by `call.deadline` (and a moment): a call that is not back by then has status `timeout`, and
    the results of the others are kept. Calls that may not be repeated are started at most once, by what
    `journal` says.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    gate = asyncio.Semaphore(concurrency)
    calls = OnceOnly(plan, executor, run, journal)
    alike = len({planned_call.name for planned_call in plan.calls}) < len(plan.calls)

    async def one(planned_call: PlannedCall) -> ToolCall:
        # Calls of one tool are traced under one name: each counts its own attempts.
        own = replace(run, attempts={}) if alike else run
        begun = loop.time()
        result = await calls.arun(planned_call, own.call(f"tools/{planned_call.id}", call.deadline))
        own.record(f"tools/{planned_call.name}", _TRACED[result.status], begun, _detail(result))
        run.keepable = run.keepable and own.keepable
        return result

    async def one_of_many(planned_call: PlannedCall) -> ToolCall:
        async with gate:
            return await one(planned_call)

    begin = one if len(plan.calls) <= concurrency else one_of_many
    calls.start()
    tasks = [loop.create_task(begin(planned_call)) for planned_call in plan.calls]
    try:
        await asyncio.wait(tasks, timeout=max(0.0, call.deadline - started) + _GRACE_S)
    finally:
        for task in tasks:
            task.cancel()
        calls.stop()
    waited_s = loop.time() - started
    results = tuple(
        calls.finished(planned_call.id) or _result(planned_call, task, waited_s)
        for planned_call, task in zip(plan.calls, tasks, strict=True)
    )
    for result in results:
        if result.status in _REASONS:
            run.degrade(_REASONS[result.status])
    return results


def _detail(result: ToolCall) -> str:
    return f"{result.status}, reused" if result.reused else result.status


def _result(planned: PlannedCall, task: "asyncio.Task[ToolCall]", waited_s: float) -> ToolCall:
    status: ToolCallStatus = "timeout"
    result = "no result within the time that the question has"
    if task.done():
        # Where it was cancelled by now it was not by us: that takes a turn of the event loop.
        defect = asyncio.CancelledError() if task.cancelled() else task.exception()
        if defect is None:
            return task.result()
        log.error("the tool executor has a defect", exc_info=defect)
        status, result = "error", type(defect).__name__
    return planned.ended(status, result, waited_s)
