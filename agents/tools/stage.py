"""The tools stage: it runs the planned calls side by side, and takes the results that come in time."""

import asyncio
import logging
from dataclasses import replace

from msgspec import structs

from agents.components import Call, Plan, PlannedCall, ToolExecutor, own_call_id
from agents.journal import Journal
from agents.run import Run
from agents.tools.once import OnceOnly
from schemas.answer import ToolCall, ToolCallStatus
from schemas.errors import DegradeReason
from schemas.event import StageStatus

log = logging.getLogger(__name__)

_GRACE_S = 0.25
"""Seconds after the deadline for an executor that overlooks it, before its call is abandoned."""

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
    """Run the planned calls side by side, at most `concurrency` at once; return results in the plan's order.

    It ends by `call.deadline` plus `_GRACE_S`: a call without a result by then has the status `timeout`, and
    the others keep their results. `journal` ensures that calls that may not be repeated start at most once.

    Where the asker calls the question back, those of them that have begun are awaited all the same, as long
    as above; the ends of all are in `run.cut_calls`.
    """
    if run.id_reused and journal.recorded(run.question, run.source) is None:
        # A recorded plan keeps its ids, by which its calls are known.
        own = (structs.replace(planned, id=own_call_id(run.question, planned.id)) for planned in plan.calls)
        plan = structs.replace(plan, calls=tuple(own))
    loop = asyncio.get_running_loop()
    started = loop.time()
    gate = asyncio.Semaphore(concurrency)
    calls = OnceOnly(plan, executor, run, journal)
    alike = len({planned_call.name for planned_call in plan.calls}) < len(plan.calls)

    async def one(planned_call: PlannedCall) -> ToolCall:
        # Calls of one tool are traced under one name, but each counts its own attempts.
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
    except asyncio.CancelledError:
        if run.cancelled():
            for planned_call, task in zip(plan.calls, tasks, strict=True):
                if not calls.begun(planned_call.id):
                    task.cancel()
            await asyncio.wait(tasks, timeout=max(0.0, call.deadline - loop.time()) + _GRACE_S)
            waited_s = loop.time() - started
            run.cut_calls = tuple(
                calls.finished(planned_call.id) or _cut(planned_call, task, waited_s)
                for planned_call, task in zip(plan.calls, tasks, strict=True)
            )
        raise
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


def _cut(planned: PlannedCall, task: "asyncio.Task[ToolCall]", waited_s: float) -> ToolCall:
    if task.cancelled():
        return planned.ended("skipped", "the question was cancelled before it began or ended", waited_s)
    return _result(planned, task, waited_s)


def _result(planned: PlannedCall, task: "asyncio.Task[ToolCall]", waited_s: float) -> ToolCall:
    status: ToolCallStatus = "timeout"
    result = "no result before the question's deadline"
    if task.done():
        # Our own cancellation takes a turn of the event loop: another one has cancelled this task.
        defect = asyncio.CancelledError() if task.cancelled() else task.exception()
        if defect is None:
            return task.result()
        log.error("the tool executor has a defect", exc_info=defect)
        status, result = "error", type(defect).__name__
    return planned.ended(status, result, waited_s)
