"""Calls of tools that are not idempotent start at most once, at any point where a run is cut off."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.components import Call, Plan, PlannedCall, idempotency_key, own_call_id
from agents.journal import Journal, JournalError, NoJournal
from agents.pipeline import Asked, Budgets, Components, Pipeline, default_graph
from agents.resilience.breaker import Breaker
from agents.resilience.bulkhead import Bulkhead
from agents.resilience.guard import Guard
from agents.run import Run
from agents.tools.executor import RegistryExecutor
from agents.tools.once import OnceOnly
from agents.tools.registry import ToolRegistry
from schemas.answer import Answer, Source, ToolCall
from schemas.question import Question
from tests.support.components import FakeGenerator, FakeRetriever, RecordingObserver, tool_spec
from tests.support.journal import CountingTools, Log

QUESTION = Question(id="q/1", text="Book a table.")
SOURCE = Source("questions", 0, 7)


@dataclass
class FicklePlanner:
    """A planner that never decides the same twice."""

    names: tuple[str, ...]
    asked: int = 0

    async def aplan(self, question: Question, tools: Any, call: Call) -> Plan:
        self.asked += 1
        await asyncio.sleep(0)
        return Plan(
            tuple(
                PlannedCall(f"{self.asked}/{n}", name, {"n": self.asked}) for n, name in enumerate(self.names)
            )
        )


@dataclass
class Crash:
    """Cuts a run off at its n-th step: nothing of it happens after that."""

    at: int | None = None
    steps: int = 0
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        if self.happened.is_set() or self.steps == self.at:
            self.happened.set()
            await asyncio.Event().wait()
        self.steps += 1
        await asyncio.sleep(0)


@dataclass
class World:
    """The parts that outlive a worker."""

    planner: FicklePlanner = field(default_factory=lambda: FicklePlanner(("book", "look", "pay")))
    tools: CountingTools = field(default_factory=CountingTools)
    log: Log = field(default_factory=Log)

    async def run(
        self, crash_at: int | None = None, *, source: Source = SOURCE, journal: Journal | None = None
    ) -> Answer | None:
        """The answer of one run with the journal as it is; None if the run was cut off."""
        crash = Crash(crash_at)
        self.log = Log(self.log.records, self.log.batch, step=crash)
        self.tools.step = crash
        components = Components(FakeRetriever(), self.planner, self.tools, FakeGenerator())
        graph = default_graph(components, Budgets(), journal or self.log.journal(source.partition))
        pipeline = Pipeline(graph, RecordingObserver())
        asked = Asked(QUESTION, source, asyncio.get_running_loop().time() + 30)
        before = asyncio.all_tasks()
        answering = asyncio.create_task(pipeline.aanswer(asked))
        crashed = asyncio.create_task(crash.happened.wait())
        await asyncio.wait({answering, crashed}, return_when=asyncio.FIRST_COMPLETED)
        answer = answering.result().answer if answering.done() else None
        left = asyncio.all_tasks() - before
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return answer

    def status(self, answer: Answer | None) -> dict[str, tuple[str, bool]]:
        assert answer is not None
        return {call.name: (call.status, call.reused) for call in answer.tool_calls}


async def test_plan_intent_and_result_are_written_around_the_call() -> None:
    world = World(FicklePlanner(("book", "look")))
    answer = await world.run()
    assert world.log.kinds == ["plan", "intent 1/0", "result 1/0"]
    assert world.status(answer) == {"book": ("ok", False), "look": ("ok", False)}


class NumberingPlanner:
    """A planner whose model numbers its calls, as those do that write no ids of their own."""

    async def aplan(self, question: Question, tools: Any, call: Call) -> Plan:
        return Plan((PlannedCall("call_1", "book", {}), PlannedCall("call_2", "look", {})))


@dataclass
class Keys(CountingTools):
    told: list[str] = field(default_factory=list)

    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        self.told.append(call.idempotency_key or idempotency_key(question, planned.id))
        return await super().arun(planned, question, call)


async def test_another_question_under_the_same_id_has_keys_of_its_own() -> None:
    """A tool's server must not take its calls for repeats of the first question's."""
    tools, log = Keys(), Log()

    async def run(text: str, *, id_reused: bool) -> Answer:
        components = Components(FakeRetriever(), NumberingPlanner(), tools, FakeGenerator())
        pipeline = Pipeline(default_graph(components, Budgets(), log.journal()), RecordingObserver())
        question = Question(id="q/1", text=text)
        source = Source("questions", 0, len(tools.told))
        deadline = asyncio.get_running_loop().time() + 30
        return (await pipeline.aanswer(Asked(question, source, deadline, id_reused=id_reused))).answer

    await run("Book a table.", id_reused=False)
    second = await run("Book a boat.", id_reused=True)
    await run("Book a train.", id_reused=True)
    assert sorted(tools.told[:2]) == ["default/q%2F1/q%2F1/call_1", "default/q%2F1/q%2F1/call_2"]
    assert len(set(tools.told)) == 6
    assert [f"default/q%2F1/q%2F1/{call.id}" for call in second.tool_calls] == tools.told[3:1:-1]
    again = await run("Book a boat.", id_reused=True)
    assert again.tool_calls[0].id == second.tool_calls[0].id
    long = [own_call_id(QUESTION, "x" * 128), own_call_id(QUESTION, "x" * 127 + "y")]
    assert long[0] != long[1]
    assert max(map(len, long)) == 128


async def test_a_plan_and_its_first_intents_cost_one_wait() -> None:
    world = World(FicklePlanner(("book", "pay")))
    await world.run()
    assert world.log.kinds[:3] == ["plan", "intent 1/0", "intent 1/1"]
    assert world.log.batches <= 3


class Forbidden:
    """A journal that remembers nothing and may not be written."""

    async def aowned(self, *_: Any) -> None: ...

    def recorded(self, question: Question, source: Source) -> None:
        return None

    async def aplan(self, *_: Any) -> None:
        raise AssertionError("a plan was written")

    aintent = aresult = aplan


@pytest.mark.parametrize("names", [(), ("look",), ("look", "look", "unheard-of")])
async def test_questions_without_such_a_tool_write_and_await_nothing(names: tuple[str, ...]) -> None:
    world = World(FicklePlanner(names))
    answer = await world.run(journal=Forbidden())
    assert answer is not None
    assert {call.status for call in answer.tool_calls} <= {"ok"}
    assert world.log.records == []


@pytest.mark.parametrize("unsafe", ["plan", "intent"])
async def test_the_tool_does_not_start_before_plan_and_intent_are_safe(unsafe: str) -> None:
    class Slow(Forbidden):
        async def aplan(self, *_: Any) -> None:
            await self._write("plan")

        async def aintent(self, *_: Any) -> None:
            await self._write("intent")

        async def _write(self, kind: str) -> None:
            if kind == unsafe:
                await asyncio.Event().wait()

    world = World(FicklePlanner(("book",)))
    running = asyncio.create_task(world.run(journal=Slow()))
    for _ in range(100):
        await asyncio.sleep(0)
    assert world.tools.ran["book"] == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_recorded_plan_is_followed_and_a_recorded_result_used_again() -> None:
    world = World()
    await world.run()
    answer = await world.run()
    assert world.planner.asked == 1
    assert world.status(answer) == {"book": ("ok", True), "pay": ("ok", True), "look": ("ok", False)}
    assert world.tools.ran == {"book": 1, "pay": 1, "look": 2}
    assert answer is not None
    assert [call.arguments for call in answer.tool_calls] == [{"n": 1}] * 3


async def test_a_plan_is_followed_when_its_tools_are_offered_no_more() -> None:
    world = World(FicklePlanner(("book",)))
    await world.run()
    world.tools = CountingTools(once=(), repeatable=())
    assert world.status(await world.run()) == {"book": ("ok", True)}


async def test_an_intent_without_a_result_is_unknown_if_the_tool_cannot_be_asked() -> None:
    world = World(FicklePlanner(("book",)))
    world.log.records = [record async for record in _up_to("intent")]
    answer = await world.run()
    assert world.status(answer) == {"book": ("unknown", False)}
    assert answer is not None
    assert (answer.status, answer.degraded) == ("degraded", ("tools_error",))
    assert world.tools.ran["book"] == 0


@pytest.mark.parametrize("did_run", [True, False])
async def test_an_intent_without_a_result_is_reconciled_with_the_tools_server(did_run: bool) -> None:
    world = World(FicklePlanner(("book",)), CountingTools(reconciles=True))
    world.log.records = [record async for record in _up_to("intent")]
    if did_run:
        world.tools.keys["q/1", "1/0"] = "book done"
    assert world.status(await world.run()) == {"book": ("ok", did_run)}
    assert world.tools.ran["book"] == (0 if did_run else 1)
    assert world.log.kinds[-1] == "result 1/0"


async def _up_to(kind: str) -> Any:
    complete = World(FicklePlanner(("book",)))
    await complete.run()
    for record, name in zip(complete.log.records, complete.log.kinds, strict=True):
        yield record
        if name.startswith(kind):
            return


async def test_the_same_id_sent_again_is_another_question() -> None:
    world = World(FicklePlanner(("book",)))
    await world.run()
    await world.run(source=Source("questions", 0, 8))
    assert world.planner.asked == 2


async def test_a_call_does_not_start_if_the_journal_refuses_its_intent() -> None:
    class Refusing(Forbidden):
        async def aplan(self, *_: Any) -> None:
            raise JournalError("journal", "full")

        aintent = aresult = aplan

    world = World(FicklePlanner(("book", "look")))
    assert world.status(await world.run(journal=Refusing())) == {
        "book": ("error", False),
        "look": ("ok", False),
    }
    assert world.tools.ran["book"] == 0


async def test_no_call_starts_if_its_question_left_after_the_intent_was_safe() -> None:
    class Expelled(Forbidden):
        async def aplan(self, *_: Any) -> None: ...

        aintent = aresult = aplan

        async def aowned(self, *_: Any) -> None:
            raise JournalError("journal", "taken away")

    world = World(FicklePlanner(("book", "look")))
    assert world.status(await world.run(journal=Expelled())) == {
        "book": ("error", False),
        "look": ("ok", False),
    }
    assert world.tools.ran["book"] == 0


async def test_a_result_that_cannot_be_recorded_is_kept() -> None:
    class Forgetful(Forbidden):
        async def aplan(self, *_: Any) -> None: ...

        aintent = aplan

        async def aresult(self, *_: Any) -> None:
            raise JournalError("journal", "too large")

    world = World(FicklePlanner(("book",)))
    assert world.status(await world.run(journal=Forgetful())) == {"book": ("ok", False)}


@pytest.mark.looptime
async def test_while_the_broker_is_away_only_calls_that_need_the_journal_do_not_start() -> None:
    class Away(Forbidden):
        async def aplan(self, *_: Any) -> None:
            await asyncio.Event().wait()

        aintent = aresult = aplan

    world = World(FicklePlanner(("book", "look")))
    began = asyncio.get_running_loop().time()
    status = world.status(await world.run(journal=Away()))
    assert status == {"book": ("timeout", False), "look": ("ok", False)}
    assert asyncio.get_running_loop().time() - began < 9
    assert world.tools.ran["book"] == 0


@pytest.mark.looptime
async def test_a_result_is_kept_if_the_broker_goes_away_after_the_call() -> None:
    class AwayAfter(Forbidden):
        async def aplan(self, *_: Any) -> None: ...

        aintent = aplan

        async def aresult(self, *_: Any) -> None:
            await asyncio.Event().wait()

    world = World(FicklePlanner(("book",)))
    assert world.status(await world.run(journal=AwayAfter())) == {"book": ("ok", False)}


@pytest.mark.looptime
async def test_an_executor_that_cancels_itself_has_failed_and_was_not_late() -> None:
    class Confused(CountingTools):
        async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
            raise asyncio.CancelledError

    world = World(FicklePlanner(("look", "book")), tools=Confused())
    assert world.status(await world.run()) == {"look": ("error", False), "book": ("error", False)}


def test_the_same_call_has_the_same_key_on_every_attempt() -> None:
    from agents.tools.executor import _headers

    planned = PlannedCall("a/b", "book", {})
    keys = {
        _headers(planned, QUESTION, Call(QUESTION.id, stage, deadline, attempt))["Idempotency-Key"]
        for stage, deadline, attempt in [("tools/a", 1.0, 1), ("tools/a", 2.0, 2), ("tools/b", 3.0, 7)]
    }
    assert keys == {"default/q%2F1/q%2F1/a%2Fb"}


@given(
    crashes=st.lists(st.integers(0, 20), max_size=5),
    batch=st.sampled_from([1, 2, 100]),
    reconciles=st.booleans(),
    names=st.lists(st.sampled_from(["book", "pay", "look"]), unique=True, min_size=1).map(tuple),
)
@example(crashes=[3, 3, 3], batch=100, reconciles=True, names=("book", "look", "pay"))
@example(crashes=[2], batch=1, reconciles=False, names=("book",))
def test_each_call_is_made_at_most_once_at_any_point_of_a_crash(
    crashes: list[int], batch: int, reconciles: bool, names: tuple[str, ...]
) -> None:
    async def history() -> None:
        world = World(FicklePlanner(names), CountingTools(reconciles=reconciles), Log(batch=batch))
        for step in crashes:
            if await world.run(step) is not None:
                break
        final = world.status(await world.run())
        for name in {"book", "pay"} & set(names):
            assert world.tools.ran[name] <= 1
            status, _ = final[name]
            assert status in {"ok", "unknown"}
            if reconciles or status == "ok":
                assert (status, world.tools.ran[name]) == ("ok", 1)

    asyncio.run(history())


async def test_a_plan_holds_a_tool_that_is_declared_repeatable_meanwhile() -> None:
    world = World(FicklePlanner(("book",)))
    world.log.records = [record async for record in _up_to("intent")]
    world.tools = CountingTools(once=(), repeatable=("book",))
    assert world.status(await world.run()) == {"book": ("unknown", False)}


@pytest.mark.looptime
async def test_a_call_that_waited_for_a_slot_does_not_start_once_its_question_has_left() -> None:
    class Leaving(NoJournal):
        lost = False
        kept: ClassVar[list[str]] = []

        async def aowned(self, question: Question, source: Source) -> None:
            if self.lost:
                raise JournalError("journal", "taken away")

        async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
            self.kept.append(question.id)

    started: list[bool] = []

    class Booking:
        tenants = None
        reconcile_url = ""
        spec = replace(tool_spec("book"), idempotent=False)

        async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> str:
            started.append(journal.lost)
            await asyncio.sleep(2.0)
            return "booked"

        async def aclose(self) -> None: ...

    journal = Leaving()
    breaker = Breaker()
    guard = Guard("tools/book", RecordingObserver(), breaker=breaker, bulkhead=Bulkhead("tools/book", 1))
    executor = RegistryExecutor(ToolRegistry([Booking()]), guards={"book": guard})
    planned = PlannedCall("1/0", "book", {})

    async def book(name: str) -> ToolCall:
        run = Run(Question(id=name, text="Book it."), 30.0, RecordingObserver())
        return await OnceOnly(Plan((planned,)), executor, run, journal).arun(
            planned, run.call("tools/1/0", 30.0)
        )

    first, second = asyncio.create_task(book("a")), asyncio.create_task(book("b"))
    await asyncio.sleep(1.0)
    journal.lost = True
    assert (await first).status == "ok"
    assert ((await second).status, (await second).result) == ("error", "not started: taken away")
    assert (started, journal.kept) == ([False], ["a"])
    assert (breaker._failures, guard.state()["in_use"]) == (0, 0)
