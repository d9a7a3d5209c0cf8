"""The stage graph in virtual time: order, concurrency, deadlines, degrade steps, failure."""

import asyncio
import contextlib
import gc
import logging
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.components import Call
from agents.errors import DependencyError, TimedOutError, TransientError
from agents.graph import Graph, GraphError, Stage, StageFailed
from agents.run import Output, Run
from schemas.errors import ErrorCode
from schemas.question import Question
from tests.support.components import RecordingObserver

pytestmark = pytest.mark.looptime


def run_until(deadline_s: float = 30.0) -> Run:
    now = asyncio.get_running_loop().time()
    return Run(Question(id="q", text="why?"), now + deadline_s, RecordingObserver())


def sleeper(name: str, seconds: float, *needs: str, **options: Any) -> Stage[str]:
    async def work(run: Run, call: Call) -> str:
        await asyncio.sleep(seconds)
        return name

    return Stage(output=Output(name), run=work, needs=[Output(need) for need in needs], **options)


def failing(name: str, error: BaseException, *needs: str, **options: Any) -> Stage[str]:
    async def work(run: Run, call: Call) -> str:
        raise error

    return Stage(output=Output(name), run=work, needs=[Output(need) for need in needs], **options)


async def elapsed(graph: Graph, run: Run) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await graph.arun(run)
    return loop.time() - started


async def test_a_graph_takes_as_long_as_its_critical_path() -> None:
    graph = Graph(
        [
            sleeper("plan", 1.0),
            sleeper("retrieve", 2.0),
            sleeper("tools", 3.0, "plan"),
            sleeper("generate", 1.0, "retrieve", "tools"),
        ]
    )
    run = run_until()
    assert await elapsed(graph, run) == pytest.approx(5.0)
    assert run.values == {name: name for name in ("plan", "retrieve", "tools", "generate")}
    assert [trace.stage for trace in run.traces] == ["plan", "retrieve", "tools", "generate"]


async def test_a_stage_that_never_waits_takes_no_task_and_no_timer_from_those_beside_it() -> None:
    loop = asyncio.get_running_loop()
    seen: list[tuple[str, float, int, bool]] = []

    def noting(name: str, *needs: str, seconds: float = 0.0, **options: Any) -> Stage[None]:
        async def work(run: Run, call: Call) -> None:
            task = asyncio.current_task()
            seen.append((name, loop.time(), len(asyncio.all_tasks()), task is asked))
            if seconds:
                await asyncio.sleep(seconds)

        return Stage(output=Output(name), run=work, needs=[Output(need) for need in needs], **options)

    asked = asyncio.current_task()
    began, alone = loop.time(), len(asyncio.all_tasks())
    await Graph(
        [
            noting("plan", seconds=1.0),
            noting("retrieve", immediate=True),
            noting("rank", "retrieve", immediate=True),
            noting("tools", "plan", seconds=1.0),
            noting("generate", "rank", "tools"),
        ]
    ).arun(run_until())
    assert seen == [
        (name, pytest.approx(began + after), alone, True)
        for name, after in (("retrieve", 0), ("rank", 0), ("plan", 0), ("tools", 1), ("generate", 2))
    ]


async def test_an_immediate_stage_that_fails_degrades() -> None:
    def stand_in(run: Run, failure: DependencyError) -> str:
        run.degrade("less")
        return "instead"

    broken = failing("retrieve", TransientError("index", "broken"), immediate=True, degrade=stand_in)
    run = run_until()
    await Graph([sleeper("plan", 1.0), broken, sleeper("generate", 1.0, "plan", "retrieve")]).arun(run)
    assert (run.values["retrieve"], run.degraded) == ("instead", ["less"])
    assert [trace.status for trace in run.traces] == ["degraded", "ok", "ok"]


async def test_a_task_is_made_only_where_two_stages_run_side_by_side() -> None:
    tasks: list[int] = []

    async def count(run: Run, call: Call) -> None:
        tasks.append(len(asyncio.all_tasks()))

    def counting(name: str, *needs: str, applies: bool = True) -> Stage[None]:
        outputs = [Output[None](need) for need in needs]
        return Stage(output=Output(name), run=count, needs=outputs, applies=lambda _: applies)

    # Without a plan there are no tools, and a chain is left.
    for applies, made in ((False, [1, 1]), (True, [2, 2, 2, 1])):
        graph = Graph(
            [
                counting("plan", applies=applies),
                counting("retrieve"),
                counting("tools", "plan", applies=applies),
                counting("generate", "retrieve", "tools"),
            ]
        )
        tasks.clear()
        await graph.arun(run := run_until())
        assert len(run.values) == len(run.traces) == 4
        assert (len(tasks), max(tasks)) == (len(made), max(made))


async def test_stages_that_become_ready_together_run_side_by_side() -> None:
    graph = Graph([sleeper("root", 1.0), *(sleeper(f"leaf{n}", 1.0, "root") for n in range(5))])
    assert await elapsed(graph, run_until()) == pytest.approx(2.0)


@given(st.data())
async def test_any_graph_runs_each_stage_once_after_its_needs(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    delays = data.draw(st.lists(st.floats(0, 3), min_size=count, max_size=count))
    needs = [data.draw(st.sets(st.integers(0, n - 1))) if n else set() for n in range(count)]
    begun: dict[int, float] = {}
    ended: dict[int, float] = {}

    def stage(n: int) -> Stage[int]:
        async def work(run: Run, call: Call) -> int:
            assert n not in begun
            loop = asyncio.get_running_loop()
            begun[n] = loop.time()
            await asyncio.sleep(delays[n])
            ended[n] = loop.time()
            return n

        return Stage(output=Output(str(n)), run=work, needs=[Output(str(need)) for need in needs[n]])

    started = asyncio.get_running_loop().time()
    await Graph([stage(n) for n in range(count)]).arun(run_until(100))
    assert set(ended) == set(range(count))
    for n in range(count):
        ready = max((ended[need] for need in needs[n]), default=started)
        assert begun[n] == pytest.approx(ready)


async def test_a_late_stage_is_cancelled_and_degrades() -> None:
    cancelled = asyncio.Event()

    async def hang(run: Run, call: Call) -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    def instead(run: Run, failure: DependencyError) -> str:
        assert isinstance(failure, TimedOutError)
        run.degrade("too_slow")
        return "instead"

    run = run_until()
    stage = Stage(output=Output[str]("slow"), run=hang, budget_s=2.0, degrade=instead)
    assert await elapsed(Graph([stage]), run) == pytest.approx(2.0)
    assert cancelled.is_set()
    assert run.values["slow"] == "instead"
    assert run.degraded == ["too_slow"]
    assert [trace.status for trace in run.traces] == ["timeout"]


async def test_no_stage_outlives_the_questions_deadline() -> None:
    run = run_until(1.5)
    stage = sleeper("slow", 10, budget_s=5.0)
    with pytest.raises(StageFailed) as failure:
        await elapsed(Graph([stage]), run)
    assert failure.value.code is ErrorCode.DEADLINE_EXCEEDED
    assert asyncio.get_running_loop().time() == pytest.approx(run.deadline)


@pytest.mark.parametrize("error", [TransientError("index", "gone"), KeyError("a defect"), SystemExit(3)])
async def test_a_broken_stage_with_a_degrade_step_does_not_end_the_question(error: BaseException) -> None:
    run = run_until()
    graph = Graph(
        [failing("first", error, degrade=lambda run, failure: "instead"), sleeper("next", 0, "first")]
    )
    await graph.arun(run)
    assert run.values == {"first": "instead", "next": "next"}
    assert [trace.status for trace in run.traces] == ["degraded", "ok"]


async def test_a_broken_stage_without_a_degrade_step_fails_the_question_and_cancels_the_rest() -> None:
    run = run_until()
    graph = Graph([sleeper("long", 20), failing("broken", TransientError("index", "gone"))])
    with pytest.raises(StageFailed) as failure:
        await graph.arun(run)
    assert (failure.value.stage, failure.value.code) == ("broken", ErrorCode.INTERNAL)
    assert "long" not in run.values


async def is_freed_at_once(*stages: Stage[Any]) -> bool:
    """Whether nothing of a question is left for the garbage collector once its stages have run."""

    class Kept:
        pass

    async def ask() -> "weakref.ref[Kept]":
        run = run_until()
        run.values["kept"] = kept = Kept()
        with contextlib.suppress(StageFailed):
            await Graph(stages).arun(run)
        return weakref.ref(kept)

    gc.disable()
    try:
        kept = await ask()
        await asyncio.sleep(0)  # the callbacks that the loop was still to call
        return kept() is None
    finally:
        gc.enable()


def breaking(error: type[BaseException] = KeyError, **options: Any) -> Stage[str]:
    async def fail(run: Run, call: Call) -> str:
        raise TransientError("index", "gone") if error is TransientError else error("a defect")

    return Stage(output=Output("broken"), run=fail, **options)


async def test_a_question_that_fails_side_by_side_leaves_nothing_for_the_collector() -> None:
    assert await is_freed_at_once(sleeper("long", 20), breaking(TransientError))


@pytest.mark.parametrize("error", [TransientError, KeyError])
async def test_a_question_that_fails_leaves_nothing_for_the_collector(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("agents.graph"), "disabled", True)  # pytest keeps what is logged
    assert await is_freed_at_once(breaking(error))


@pytest.mark.parametrize("error", [TransientError, KeyError])
async def test_a_question_that_degrades_leaves_nothing_for_the_collector(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("agents.graph"), "disabled", True)

    def instead(run: Run, failure: DependencyError) -> str:
        return "instead"

    assert await is_freed_at_once(breaking(error, degrade=instead))
    assert await is_freed_at_once(sleeper("beside", 0), breaking(error, degrade=instead))


async def test_a_question_whose_degrade_step_gives_up_leaves_nothing_for_the_collector() -> None:
    def give_up(run: Run, failure: DependencyError) -> str:
        raise StageFailed("broken", ErrorCode.INTERNAL, failure.message)

    assert await is_freed_at_once(breaking(TransientError, degrade=give_up))


async def test_a_question_with_a_late_stage_leaves_nothing_for_the_collector() -> None:
    assert await is_freed_at_once(sleeper("late", 100))
    assert await is_freed_at_once(sleeper("late", 100, budget_s=1.0, degrade=lambda run, failure: "instead"))


async def test_cancelling_a_question_cancels_its_stages() -> None:
    ended: list[str] = []

    async def work(run: Run, call: Call) -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(call.stage)
        return ""

    graph = Graph([Stage(output=Output[str](name), run=work) for name in ("a", "b")])
    task = asyncio.create_task(graph.arun(run_until(2000)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["a", "b"]


async def test_a_stage_that_does_not_apply_has_its_default() -> None:
    run = run_until()
    stage = sleeper("optional", 5, applies=lambda run: False, default=lambda: "default")
    assert await elapsed(Graph([stage]), run) == 0
    assert run.values == {"optional": "default"}
    assert [trace.status for trace in run.traces] == ["skipped"]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([("a", []), ("a", [])], "share a name"),
        ([("a", ["b"])], "not in the graph"),
        ([("a", ["b"]), ("b", ["c"]), ("c", ["b"])], "circle: a, b, c"),
        ([("a", ["a"])], "circle"),
    ],
)
async def test_stages_that_make_no_graph_are_refused(stages: list[tuple[str, list[str]]], said: str) -> None:
    with pytest.raises(GraphError, match=said):
        Graph([sleeper(name, 0, *needs) for name, needs in stages])


@pytest.mark.parametrize("where", ["first", "second"])
async def test_a_cancellation_that_is_not_the_questions_is_a_failure(where: str) -> None:
    """A pool that is closed, a task of the component's own: the question itself goes on."""

    def instead(run: Run, failure: DependencyError) -> str:
        return failure.message

    def stage(name: str) -> Stage[str]:
        if name != where:
            return sleeper(name, 1.0)
        return failing(name, asyncio.CancelledError(), degrade=instead)

    run = run_until()
    await elapsed(Graph([stage("first"), stage("second"), sleeper("last", 1.0, "first", "second")]), run)
    assert run.values[where] == "a call that it awaited was cancelled"
    assert run.values["last"] == "last"


async def test_a_cancelled_question_stays_cancelled() -> None:
    def instead(run: Run, failure: DependencyError) -> str:
        raise AssertionError("it was cancelled, it did not fail")

    graph = Graph([sleeper("first", 5.0, degrade=instead), sleeper("second", 5.0, degrade=instead)])
    task = asyncio.create_task(graph.arun(run_until()))
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_text_of_a_defect_is_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    run = run_until()
    with pytest.raises(StageFailed) as failure:
        await elapsed(Graph([failing("model", ValueError("the key is sk-1"))]), run)
    assert failure.value.message == run.traces[0].detail == "the code of the stage raised ValueError"
    assert "sk-1" in caplog.text


async def test_a_stage_that_cannot_end_in_time_is_not_begun_and_degrades() -> None:
    begun = 0

    async def work(run: Run, call: Call) -> str:
        nonlocal begun
        begun += 1
        await asyncio.sleep(2.0)
        return "done"

    def instead(run: Run, failure: DependencyError) -> str:
        assert isinstance(failure, TimedOutError)
        run.degrade("too_slow")
        return "instead"

    graph = Graph([Stage(output=Output[str]("slow"), run=work, degrade=instead)])
    for _ in range(10):
        await graph.arun(run_until())
    hurried = run_until(1.5)
    assert await elapsed(graph, hurried) == 0.0
    assert begun == 10
    assert hurried.values["slow"] == "instead"
    assert hurried.degraded == ["too_slow"]
    assert [trace.status for trace in hurried.traces] == ["skipped"]
    assert "1.5 s are left" in hurried.traces[0].detail


async def test_a_stage_without_a_degrade_step_is_begun_with_any_time_left() -> None:
    graph = Graph([sleeper("only", 2.0)])
    for _ in range(10):
        await graph.arun(run_until())
    with pytest.raises(StageFailed) as failed:
        await graph.arun(run_until(1.5))
    assert failed.value.code is ErrorCode.DEADLINE_EXCEEDED


async def test_a_hung_stage_leaves_the_next_one_its_time() -> None:
    async def hang(run: Run, call: Call) -> str:
        await asyncio.sleep(1000)
        return "never"

    def instead(run: Run, failure: DependencyError) -> str:
        return "instead"

    slow = Stage(output=Output[str]("slow"), run=hang, budget_s=30.0, degrade=instead)
    graph = Graph([slow, sleeper("generate", 0.5, "slow")])
    run = run_until(3.0)
    await graph.arun(run)
    assert run.values == {"slow": "instead", "generate": "generate"}
