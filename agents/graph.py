"""Stages as data. A graph of them runs for each question, with stages side by side where they can be.

A stage starts as soon as the stages in its `needs` have ended. It ends with a value: its own result, the
value of its `degrade` step after a failure, or its `default` if it does not apply. Only a stage that fails
without a degrade step, or whose degrade step raises `StageFailed`, ends the question.

A stage runs in the task of the stage that freed it. Only stages that run side by side cost a task: a chain
of stages costs none, and no task stays once branches have met again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Generic, TypeVar

from agents.budgets import Paces
from agents.components import Call
from agents.errors import DependencyError, TimedOutError
from agents.run import Output, Run
from schemas.errors import ErrorCode
from schemas.event import StageStatus

T = TypeVar("T")
log = logging.getLogger(__name__)


class GraphError(ValueError):
    """The stages make no graph: two share a name, a need is unknown, or they form a circle."""


class StageFailed(Exception):  # noqa: N818 - an outcome of the question, not a defect
    """A stage failed and nothing can replace its value: the question fails with `code`."""

    def __init__(self, stage: str, code: ErrorCode, message: str) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage
        self.code = code
        self.message = message


class _NoTimeError(TimedOutError):
    """A stage was not begun, because it would probably not have ended in time."""


def _always(_: Run) -> bool:
    return True


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Generic[T]):
    """One step of a pipeline.

    Attributes:
        output: the name and type of its value.
        run: does the work, by `call.deadline`.
        needs: the stages whose values it reads.
        budget_s: seconds that it may take; None: all that the question has left. A stage that others wait
            for gets less if it would use up their time (see `agents.budgets`).
        immediate: it never awaits I/O. It runs before the stages that do, without a task or a timer; if it
            waited all the same, it would delay the others without a limit.
        keeps_time: it returns by `call.deadline` with a partial result, and is not cancelled then.
        applies: whether there is anything to do; if not, the value is that of `default`.
        default: makes the value of a stage that does not apply.
        skippable: whether it may be skipped if it would probably not end in time.
        degrade: makes a value in place of the failed one, and notes the reason with `run.degrade`; None: the
            question fails. It may await, and must return by the question's deadline. Only a stage with a
            degrade step is skipped for lack of time.
        detail: makes the detail of its trace from its value.
        name: its name in traces, metrics and request ids.
    """

    output: Output[T]
    run: Callable[[Run, Call], Awaitable[T]]
    needs: Sequence[Output[Any]] = ()
    budget_s: float | None = None
    immediate: bool = False
    keeps_time: bool = False
    applies: Callable[[Run], bool] = _always
    default: Callable[[], T] | None = None
    skippable: Callable[[Run], bool] = _always
    degrade: Callable[[Run, DependencyError], T | Awaitable[T]] | None = None
    detail: Callable[[T], str] | None = None

    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.output.stage)


class _Branches:
    """Stages that run side by side: their tasks, the number of open branches, and the stages left to run."""

    __slots__ = ("count", "group", "left")

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.group = group
        self.count = 1
        self.left: list[Stage[Any]] = []


class Graph:
    """A checked set of stages.

    Raises:
        GraphError: two stages share a name, a need is not among the stages, or they form a circle.
    """

    def __init__(self, stages: Sequence[Stage[Any]]) -> None:
        self.stages: Mapping[str, Stage[Any]] = {stage.name: stage for stage in stages}
        if len(self.stages) != len(stages):
            raise GraphError("two stages share a name")
        self._followers: dict[str, list[Stage[Any]]] = {stage.name: [] for stage in stages}
        for stage in stages:
            for need in stage.needs:
                if need.stage not in self.stages:
                    raise GraphError(f"stage {stage.name!r} needs {need.stage!r}, which is not in the graph")
                self._followers[need.stage].append(stage)
        self._needs = {stage.name: len(stage.needs) for stage in stages}
        self._roots = [stage for stage in stages if not stage.needs]
        self._refuse_circles()
        self._paces = Paces({name: [one.name for one in ones] for name, ones in self._followers.items()})

    def __repr__(self) -> str:
        steps = (
            f"{stage.name}({', '.join(need.stage for need in stage.needs)})" for stage in self.stages.values()
        )
        return f"<Graph {' '.join(steps)}>"

    def _refuse_circles(self) -> None:
        missing = self._needs.copy()
        ready = [stage.name for stage in self._roots]
        while ready:
            name = ready.pop()
            del missing[name]
            for follower in self._followers[name]:
                missing[follower.name] -= 1
                if not missing[follower.name]:
                    ready.append(follower.name)
        if missing:
            raise GraphError(f"stages wait for each other in a circle: {', '.join(sorted(missing))}")

    async def arun(self, run: Run) -> None:
        """Run every stage; their values are in `run` afterwards.

        Raises:
            StageFailed: a stage failed for good. The other stages have been cancelled.
        """
        missing = self._needs.copy()
        ready = self._applicable(self._roots, run, missing)
        while ready:
            if len(ready) > 1 and (first := next((stage for stage in ready if stage.immediate), None)):
                await self._run_stage(first, run)
                ready.remove(first)
                ready += self._applicable(self._freed(first, missing), run, missing)
            elif len(ready) > 1:
                ready = await self._side_by_side(ready, run, missing)
            else:
                await self._run_stage(ready[0], run)
                ready = self._applicable(self._freed(ready[0], missing), run, missing)

    async def _side_by_side(
        self, stages: list[Stage[Any]], run: Run, missing: dict[str, int]
    ) -> list[Stage[Any]]:
        """Run these stages and their followers until one branch is left; return its next stages."""
        failed: list[BaseException] = []
        branches = _Branches(asyncio.TaskGroup())
        try:
            async with branches.group:
                await self._follow(stages, run, missing, branches)
        except BaseExceptionGroup as failures:
            # The first failure is the cause: it cancelled the others.
            failed.append(failures.exceptions[0])
            # The traceback holds this frame, which holds the exception: a cycle around the question.
            failures.__traceback__ = None
        if failed:
            raise failed.pop()
        return branches.left

    async def _follow(
        self, ready: list[Stage[Any]], run: Run, missing: dict[str, int], branches: "_Branches"
    ) -> None:
        while ready:
            current, *others = ready
            for other in others:
                branches.count += 1
                branches.group.create_task(self._follow([other], run, missing, branches))
            await self._run_stage(current, run)
            ready = self._applicable(self._freed(current, missing), run, missing)
            if branches.count == 1:
                branches.left = ready
                return
        branches.count -= 1

    def _freed(self, ended: Stage[Any], missing: dict[str, int]) -> list[Stage[Any]]:
        """Return the stages that waited for this one alone."""
        freed = []
        for follower in self._followers[ended.name]:
            missing[follower.name] -= 1
            if not missing[follower.name]:
                freed.append(follower)
        return freed

    def _applicable(
        self, stages: Sequence[Stage[Any]], run: Run, missing: dict[str, int]
    ) -> list[Stage[Any]]:
        """Return the stages that apply; give the others their default, and go on with their followers."""
        ready: list[Stage[Any]] = []
        for stage in (waiting := list(stages)):
            if stage.applies(run):
                ready.append(stage)
                continue
            run.values[stage.name] = stage.default() if stage.default else None
            run.record(stage.name, "skipped", run.clock())
            waiting += self._freed(stage, missing)
        return ready

    async def _run_stage(self, stage: Stage[Any], run: Run) -> None:
        """End one stage with a value in `run`, or raise StageFailed."""
        started = run.clock()
        failure = await self._attempt(stage, run, started)
        try:
            if failure is not None:
                await _stand_in(stage, run, started, failure)
        finally:
            # The frames of its traceback lead to this one: the question would wait for the garbage collector.
            del failure

    async def _attempt(self, stage: Stage[Any], run: Run, started: float) -> DependencyError | None:
        """Run one stage within its time; return its failure, or None if it has its value."""
        allotted = self._paces.allot(stage.name, started, run.deadline, stage.budget_s)
        limit = allotted.limit
        if not allotted.fits and stage.degrade is not None and stage.skippable(run):
            left = f"{run.deadline - started:.3g} s are left, and it usually takes {allotted.median_s:.3g} s"
            return _NoTimeError(stage.name, left)
        try:
            call = run.call(stage.name, limit)
            if stage.keeps_time or stage.immediate:
                run.values[stage.name] = await stage.run(run, call)
            else:
                async with asyncio.timeout_at(limit):
                    run.values[stage.name] = await stage.run(run, call)
        except StageFailed:
            raise
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            # A task that the stage awaited was cancelled (a pool that closes, a task of its own), and not
            # the question, which would otherwise end without an outcome.
            return DependencyError(stage.name, "a call that it awaited was cancelled")
        except TimeoutError:
            return TimedOutError(stage.name, f"no result within {limit - started:.3f} s")
        except DependencyError as error:
            return error
        except (Exception, SystemExit) as error:  # SystemExit would end every worker that reads the question
            log.exception("stage %s of question %s has a defect", stage.name, run.question.id)
            # The exception's text can hold the question or a secret: it goes into the log alone.
            return DependencyError(stage.name, f"the code of the stage raised {type(error).__name__}")
        ended = run.clock()
        self._paces.took(stage.name, ended, ended - started)
        run.record(stage.name, "ok", started, stage.detail(run.values[stage.name]) if stage.detail else "")
        return None


async def _stand_in(stage: Stage[Any], run: Run, started: float, failure: DependencyError) -> None:
    """Put the degrade step's value in place of the failed one, or raise StageFailed."""
    late = isinstance(failure, TimedOutError)
    status: StageStatus = "timeout" if late else "error"
    if stage.degrade is None:
        run.record(stage.name, status, started, failure.message)
        code = ErrorCode.DEADLINE_EXCEEDED if late else ErrorCode.INTERNAL
        raise StageFailed(stage.name, code, failure.message) from failure
    if isinstance(failure, _NoTimeError):
        status = "skipped"
    try:
        value = stage.degrade(run, failure)
        run.values[stage.name] = await value if isawaitable(value) else value
    except StageFailed:
        run.record(stage.name, status, started, failure.message)
        raise
    run.record(stage.name, "degraded" if status == "error" else status, started, failure.message)
