"""A pipeline whose question is called back, in virtual time: everything stops but a tool that has begun."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.cache.answers import AnswerCache
from agents.cache.keys import AnswerKeys
from agents.cache.memory import MemoryStore
from agents.components import Plan, PlannedCall, ToolSpec
from agents.knowledge.version import KnowledgeVersions
from agents.pipeline import Answered, Asked, Budgets, Components, Pipeline, default_graph
from agents.resilience.bulkhead import Bulkhead
from agents.resilience.guard import Guard
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from schemas.errors import ErrorCode
from schemas.question import Question
from tests.support.components import (
    SOURCE,
    Behaviour,
    FakeGenerator,
    FakePlanner,
    FakeRetriever,
    FakeToolExecutor,
    RecordingObserver,
)
from tests.support.journal import Log

pytestmark = pytest.mark.looptime
QUESTION = Question(id="q/1", text="How long is the warranty?")


@dataclass
class Booking:
    """A tool whose server ends its calls, whether or not anybody waits."""

    name: str = "book"
    idempotent: bool = False
    delay_s: float = 2.0
    timeout_s: float = 5.0
    tenants: None = None
    reconcile_url: str = ""
    begun: int = 0
    ended: int = 0

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.name, {"type": "object"}, self.timeout_s, self.idempotent)

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        self.begun += 1
        await asyncio.sleep(self.delay_s)
        self.ended += 1
        return f"{self.name} done"

    async def aclose(self) -> None: ...


@dataclass
class Asking:
    """One question, which is called back after a while."""

    tools: list[Booking] = field(default_factory=list)
    retriever: FakeRetriever = field(default_factory=FakeRetriever)
    generator: FakeGenerator = field(default_factory=lambda: FakeGenerator(delay_s=10))
    guards: dict[str, Guard] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    gone: bool = False
    elapsed_s: float = 0.0

    async def cancel_after(self, wait_s: float, *, wished: bool = True) -> Answered:
        loop = asyncio.get_running_loop()
        plan = Plan(tuple(PlannedCall(f"call_{tool.name}", tool.name, {}) for tool in self.tools))
        executor = RegistryExecutor(ToolRegistry(self.tools), guards=self.guards)
        components = Components(self.retriever, FakePlanner(plan=plan), executor, self.generator)
        graph = default_graph(components, Budgets(), self.log.journal())
        pipeline = Pipeline(graph, RecordingObserver())
        asked = Asked(QUESTION, SOURCE, loop.time() + 30, cancelled=lambda: self.gone)
        task = asyncio.create_task(pipeline.aanswer(asked))
        await asyncio.sleep(wait_s)
        self.gone, began = wished, loop.time()
        task.cancel()
        try:
            return await task
        finally:
            self.elapsed_s = loop.time() - began


async def test_a_question_is_stopped_while_its_model_writes() -> None:
    asking = Asking()
    answered = await asking.cancel_after(3)
    answer = answered.answer
    assert answer.error is not None
    assert (answer.status, answer.error.code, answer.text) == ("failed", ErrorCode.CANCELLED, "")
    assert (asking.elapsed_s, asking.generator.cancelled) == (0, 1)
    assert {trace.stage for trace in answered.stages if trace.status == "ok"} == {"retrieve"}


async def test_a_question_is_stopped_while_two_branches_run() -> None:
    asking = Asking([Booking(idempotent=True)], FakeRetriever(delay_s=2.5))
    answer = (await asking.cancel_after(1)).answer
    assert (answer.status, asking.elapsed_s, asking.retriever.cancelled) == ("failed", 0, 1)
    assert [(call.name, call.status) for call in answer.tool_calls] == [("book", "skipped")]
    assert asking.tools[0].ended == 0, "it may be repeated, so nobody waits for it"


async def test_a_tool_that_has_begun_and_may_not_be_repeated_is_awaited() -> None:
    asking = Asking([Booking(), Booking("look", idempotent=True)])
    answer = (await asking.cancel_after(0.5)).answer
    assert asking.elapsed_s == pytest.approx(1.5)
    assert [(call.name, call.status, call.result) for call in answer.tool_calls] == [
        ("book", "ok", "book done"),
        ("look", "skipped", "the question was cancelled before it began or ended"),
    ]
    assert asking.log.kinds == ["plan", "intent call_book", "result call_book"]
    assert not asking.generator.calls


@pytest.mark.parametrize("beside_s", [0.0, 2.5])
async def test_it_is_awaited_until_its_own_time_out(beside_s: float) -> None:
    asking = Asking([Booking(delay_s=60)], FakeRetriever(delay_s=beside_s))
    answer = (await asking.cancel_after(1)).answer
    assert asking.elapsed_s == pytest.approx(4)
    assert [(call.name, call.status) for call in answer.tool_calls] == [("book", "timeout")]


async def test_a_tool_that_waits_for_its_turn_is_not_begun() -> None:
    bulkhead = Bulkhead("tools/book", 1)
    assert bulkhead.take()
    asking = Asking([Booking()], guards={"book": Guard("tools/book", RecordingObserver(), bulkhead=bulkhead)})
    answer = (await asking.cancel_after(1)).answer
    assert (asking.elapsed_s, asking.tools[0].begun) == (0, 0)
    assert [(call.name, call.status) for call in answer.tool_calls] == [("book", "skipped")]


async def test_a_worker_that_ends_waits_for_no_tool_and_makes_no_outcome() -> None:
    asking = Asking([Booking()])
    with pytest.raises(asyncio.CancelledError):
        await asking.cancel_after(0.5, wished=False)
    assert asking.elapsed_s == 0


@pytest.mark.parametrize("followers", [1, 3])
async def test_whoever_waits_for_the_same_answer_gets_the_model_call_handed_over(followers: int) -> None:
    loop = asyncio.get_running_loop()
    generator, versions, executor = FakeGenerator(delay_s=2), KnowledgeVersions(), FakeToolExecutor()
    versions.begin()
    cache = AnswerCache(
        AnswerKeys("fakes", executor, versions),
        MemoryStore(1_000_000, loop.time),
        ttl_s=60,
        wall_clock=loop.time,
    )
    components = Components(FakeRetriever(), FakePlanner(), executor, generator)
    pipeline = Pipeline(default_graph(components, Budgets()), RecordingObserver(), cache)
    gone: set[int] = set()

    def ask(number: int) -> "asyncio.Task[Answered]":
        asked = Asked(QUESTION, SOURCE, loop.time() + 30, cancelled=lambda: number in gone)
        return asyncio.create_task(pipeline.aanswer(asked))

    tasks = [ask(number) for number in range(1 + followers)]
    await asyncio.sleep(1)
    gone.add(0)
    tasks[0].cancel()
    answers = [(await task).answer for task in tasks]
    assert [answer.status for answer in answers] == ["failed", *["answered"] * followers]
    assert (len(generator.calls), generator.cancelled) == (2, 1), "one of the others leads, for all of them"


async def test_one_who_waits_for_the_same_answer_leaves_the_others_alone() -> None:
    generator = FakeGenerator(delay_s=2)
    loop = asyncio.get_running_loop()
    versions, executor = KnowledgeVersions(), FakeToolExecutor(behaviours={"x": Behaviour()})
    versions.begin()
    cache = AnswerCache(
        AnswerKeys("fakes", executor, versions),
        MemoryStore(1_000_000, loop.time),
        ttl_s=60,
        wall_clock=loop.time,
    )
    components = Components(FakeRetriever(), FakePlanner(), executor, generator)
    pipeline = Pipeline(default_graph(components, Budgets()), RecordingObserver(), cache)
    leader = asyncio.create_task(pipeline.aanswer(Asked(QUESTION, SOURCE, loop.time() + 30)))
    await asyncio.sleep(0.5)
    follower = asyncio.create_task(
        pipeline.aanswer(Asked(QUESTION, SOURCE, loop.time() + 30, cancelled=lambda: True))
    )
    await asyncio.sleep(0.5)
    follower.cancel()
    assert (await follower).answer.status == "failed"
    assert ((await leader).answer.status, len(generator.calls), generator.cancelled) == ("answered", 1, 0)
