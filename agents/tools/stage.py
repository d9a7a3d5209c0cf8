"""The tools stage: the planned calls side by side, with what is back in time."""

import asyncio
import logging
from collections.abc import Sequence

from agents.components import Call, PlannedCall, ToolExecutor
from agents.graph import Run
from schemas.answer import ToolCall, ToolCallStatus
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
_REASONS: dict[ToolCallStatus, str] = {
    "timeout": "tools_timeout",
    "error": "tools_error",
    "unknown": "tools_error",
    "rejected": "tools_rejected",
}


async def run_planned(
    planned: Sequence[PlannedCall], executor: ToolExecutor, run: Run, call: Call, concurrency: int
) -> tuple[ToolCall, ...]:
    """Run the planned calls side by side, at most `concurrency` at once; results in the plan's order.

    Ends by `call.deadline` (and a moment): a call that is not back by then has status `timeout`, and
    the results of the others are kept.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    gate = asyncio.Semaphore(concurrency)

    async def one(planned_call: PlannedCall) -> ToolCall:
        async with gate:
            label = run.call(f"tools/{planned_call.id}", call.deadline)
            begun = loop.time()
            result = await executor.arun(planned_call, run.question, label)
            run.record(f"tools/{planned_call.name}", _TRACED[result.status], begun, result.status)
            return result

    tasks = [loop.create_task(one(planned_call)) for planned_call in planned]
    try:
        await asyncio.wait(tasks, timeout=max(0.0, call.deadline - started) + _GRACE_S)
    finally:
        for task in tasks:
            task.cancel()
    waited_ms = (loop.time() - started) * 1000
    results = tuple(
        _result(planned_call, task, waited_ms) for planned_call, task in zip(planned, tasks, strict=True)
    )
    for result in results:
        if result.status in _REASONS:
            run.degrade(_REASONS[result.status])
    return results


def _result(planned: PlannedCall, task: "asyncio.Task[ToolCall]", waited_ms: float) -> ToolCall:
    status: ToolCallStatus = "timeout"
    result = "no result within the time that the question has"
    if task.done() and not task.cancelled():
        defect = task.exception()
        if defect is None:
            return task.result()
        log.error("the tool executor has a defect", exc_info=defect)
        status, result = "error", type(defect).__name__
    return ToolCall(
        id=planned.id,
        name=planned.name,
        arguments=planned.arguments,
        status=status,
        result=result,
        duration_ms=round(waited_ms, 3),
    )
