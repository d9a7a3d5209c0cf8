"""Components behind their guards, in a whole pipeline and in virtual time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.components import Call, DeltaSink, Generation, Grounding, Plan, PlannedCall, ToolSpec
from agents.errors import DependencyError, OpenBreakerError, PermanentError, TransientError
from agents.journal import NoJournal
from agents.models.fallback import FallbackGenerator, FallbackPlanner
from agents.pipeline import Asked, Budgets, Components, Pipeline, default_graph
from agents.resilience.guarded import GuardedEmbeddings, GuardedGenerator, GuardedPlanner, GuardedRetriever
from agents.run import Run
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from agents.tools.stage import run_planned
from schemas.answer import Answer
from schemas.event import StageTrace
from schemas.question import Question
from tests.support.components import (
    PASSAGE,
    SOURCE,
    FakeGenerator,
    FakePlanner,
    FakeRetriever,
    FakeToolExecutor,
    RecordingObserver,
)
from tests.support.guards import GuardEvents, whole_guard

pytestmark = pytest.mark.looptime

QUESTION = Question(id="q", text="How long is the warranty?")


def broken() -> TransientError:
    """A new error each time, because guards mark the errors that they have handled."""
    return TransientError("model", "HTTP 500", status=500)


def now() -> float:
    return asyncio.get_running_loop().time()


def run_for(seconds: float = 30.0) -> Run:
    return Run(QUESTION, now() + seconds, RecordingObserver())


@dataclass
class Flaky(FakeGenerator):
    """Fails `fails` times, having said `says` before; then it answers."""

    fails: int = 1
    says: str = ""

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        self.error = broken() if len(self.calls) < self.fails else None
        if self.says and on_delta and self.error:
            on_delta(self.says)
        return await super().agenerate(grounding, call, on_delta)


async def answer(generator: Any, **options: Any) -> tuple[Answer, Sequence[StageTrace]]:
    components = Components(
        options.pop("retriever", FakeRetriever()), FakePlanner(), FakeToolExecutor(), generator
    )
    pipeline = Pipeline(default_graph(components, Budgets()), RecordingObserver())
    answered = await pipeline.aanswer(Asked(QUESTION, SOURCE, now() + 30, **options))
    return answered.answer, answered.stages


async def test_a_repeated_attempt_has_its_own_request_id_and_is_in_the_trace() -> None:
    flaky = Flaky()
    got, stages = await answer(GuardedGenerator(flaky, whole_guard(GuardEvents(), now())))
    assert got.status == "answered"
    assert [call.request_id for call in flaky.calls] == ["q/generate/1", "q/generate/2"]
    traced = [(one.status, one.attempt) for one in stages if one.stage == "generate"]
    assert traced == [("error", 1), ("ok", 2)]
    assert got.timings_ms.generate == [one for one in stages if one.stage == "generate"][-1].duration_ms


async def test_a_stream_that_fails_after_its_first_token_is_not_repeated() -> None:
    flaky, sent = Flaky(says="It la"), list[str]()
    got, _ = await answer(GuardedGenerator(flaky, whole_guard(GuardEvents(), now())), on_delta=sent.append)
    assert len(flaky.calls) == 1
    assert sent == ["It la"]
    assert got.degraded == ("model_unavailable",)


async def test_a_stream_that_fails_before_its_first_token_is_repeated() -> None:
    flaky, sent = Flaky(), list[str]()
    got, _ = await answer(GuardedGenerator(flaky, whole_guard(GuardEvents(), now())), on_delta=sent.append)
    assert (got.status, len(flaky.calls)) == ("answered", 2)
    # A mark that ends the text goes out with the outcome.
    assert sent
    assert flaky.text.startswith(" ".join(sent))


async def test_an_open_breaker_degrades_as_an_outage_does_and_at_once() -> None:
    retriever, generator = FakeRetriever(error=broken()), FakeGenerator(error=broken())
    guarded = GuardedGenerator(generator, whole_guard(GuardEvents(), now()))
    search = GuardedRetriever(retriever, whole_guard(GuardEvents(), now()))
    for _ in range(12):
        await answer(guarded)
        await answer(FakeGenerator(), retriever=search)
    calls, began = len(generator.calls) + len(retriever.calls), now()
    assert (await answer(guarded))[0].degraded == ("model_unavailable",)
    assert (await answer(FakeGenerator(), retriever=search))[0].degraded == ("retrieval_unavailable",)
    assert now() == began
    assert len(generator.calls) + len(retriever.calls) == calls


async def test_planner_and_generator_of_one_model_share_its_breaker() -> None:
    guard = whole_guard(GuardEvents(), now())
    generator = GuardedGenerator(FakeGenerator(error=broken()), guard)
    for _ in range(12):
        await answer(generator)
    with pytest.raises(OpenBreakerError):
        await GuardedPlanner(FakePlanner(), guard).aplan(QUESTION, [], run_for().call("plan", now() + 4))


async def test_a_guard_over_a_guard_repeats_nothing_a_second_time() -> None:
    generator = FakeGenerator(error=broken())
    once = GuardedGenerator(generator, whole_guard(GuardEvents(), now()))
    twice = GuardedGenerator(once, whole_guard(GuardEvents(), now()))
    await answer(twice)
    assert len(generator.calls) == 2, "one repeat: what a fresh budget holds"


class TestFallback:
    async def test_the_second_model_answers_if_the_first_fails(self) -> None:
        first, second = FakeGenerator(error=broken()), FakeGenerator(text="Three years [1].")
        got, stages = await answer(FallbackGenerator(first, second))
        assert (got.text, got.status, got.degraded) == ("Three years [1].", "degraded", ("model_fallback",))
        assert [one.status for one in stages if one.stage == "generate"] == ["error", "ok"]

    async def test_the_second_model_is_not_asked_if_the_first_answers(self) -> None:
        second = FakeGenerator()
        got, _ = await answer(FallbackGenerator(FakeGenerator(), second))
        assert (got.status, second.calls) == ("answered", [])

    async def test_a_third_of_the_time_is_left_for_the_second_if_the_first_hangs(self) -> None:
        first, second = FakeGenerator(delay_s=1e6), FakeGenerator(delay_s=1.0)
        began = now()
        got, _ = await answer(FallbackGenerator(first, second))
        assert got.degraded == ("model_fallback",)
        assert now() - began == pytest.approx(21.0)
        assert first.cancelled == 1

    async def test_a_first_that_hangs_counts_as_failing_for_its_breaker(self) -> None:
        events = GuardEvents()
        first = GuardedGenerator(FakeGenerator(delay_s=1e6), whole_guard(events, now()))
        for _ in range(10):
            await answer(FallbackGenerator(first, FakeGenerator()))
        assert events.of("breaker") == ["open"]
        began = now()
        assert (await answer(FallbackGenerator(first, FakeGenerator())))[0].degraded == ("model_fallback",)
        assert now() == began

    async def test_once_a_token_was_sent_on_the_first_has_all_the_time_and_the_second_none(self) -> None:
        slow, second, sent = SlowStream(pieces=25), FakeGenerator(), list[str]()
        got, _ = await answer(FallbackGenerator(slow, second), on_delta=sent.append)
        assert (got.status, len(sent), second.calls) == ("answered", 25, [])
        midway, sent = Flaky(says="It la", fails=9), []
        got, _ = await answer(FallbackGenerator(midway, second), on_delta=sent.append)
        assert (got.degraded, sent, second.calls) == (("model_unavailable",), ["It la"], [])

    async def test_if_both_models_fail_the_answer_is_extracted(self) -> None:
        got, _ = await answer(FallbackGenerator(FakeGenerator(error=broken()), FakeGenerator(error=broken())))
        assert got.degraded == ("model_unavailable",)
        assert got.model == "extractive"
        assert got.citations

    async def test_attempts_of_both_models_count_on_and_the_seconds_degrade_reasons_are_kept(
        self,
    ) -> None:
        first, second = Flaky(fails=9), Flaky(degraded=("tool_calls_refused",))
        generator = FallbackGenerator(
            GuardedGenerator(first, whole_guard(GuardEvents(), now())),
            GuardedGenerator(second, whole_guard(GuardEvents(), now())),
        )
        got, stages = await answer(generator)
        assert [call.attempt for call in (*first.calls, *second.calls)] == [1, 2, 3, 4]
        traced = [(one.status, one.attempt) for one in stages if one.stage == "generate"]
        assert traced == [("error", 1), ("error", 2), ("error", 3), ("ok", 4)]
        assert got.degraded == ("model_fallback", "tool_calls_refused")

    async def test_the_second_model_plans_if_the_first_fails(self) -> None:
        second = FakePlanner()
        planner = FallbackPlanner(FakePlanner(error=broken()), second)
        plan = await planner.aplan(QUESTION, [], run_for().call("plan", now() + 4))
        assert (len(second.calls), plan.degraded) == (1, ("model_fallback",))


@dataclass
class SlowStream:
    """A piece of the answer a second."""

    pieces: int

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        assert on_delta is not None
        for _ in range(self.pieces):
            on_delta("word ")
            await asyncio.sleep(1.0)
        return Generation("word " * self.pieces, "slow")


@dataclass
class CountingTool:
    """Raises its errors in turn, and keeps the headers of the calls that started."""

    spec: ToolSpec
    errors: list[DependencyError] = field(default_factory=list)
    started: list[dict[str, str]] = field(default_factory=list)
    takes_s: float = 0.1
    running: int = 0
    most_running: int = 0
    tenants: frozenset[str] | None = None
    reconcile_url: str = ""

    async def arun(self, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        self.started.append(headers)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.running -= 1
        if self.errors:
            raise self.errors.pop(0)
        return "fine"

    async def aclose(self) -> None:
        """Nothing is open."""


def tool(name: str = "weather", *, idempotent: bool, **options: Any) -> CountingTool:
    return CountingTool(ToolSpec(name, "The weather.", {"type": "object"}, 5.0, idempotent), **options)


class TestTools:
    async def test_an_idempotent_tool_is_repeated_with_the_same_key(self) -> None:
        subject = tool(idempotent=True, errors=[broken()])
        guards = {"weather": whole_guard(GuardEvents(), now())}
        executor, run = RegistryExecutor(ToolRegistry([subject]), guards=guards), run_for()
        result = await executor.arun(
            PlannedCall("c1", "weather", {}), QUESTION, run.call("tools/c1", run.deadline)
        )
        assert result.status == "ok"
        assert [one["X-Request-Id"] for one in subject.started] == ["q/tools%2Fc1/1", "q/tools%2Fc1/2"]
        assert {one["Idempotency-Key"] for one in subject.started} == {"default/q/q/c1"}
        assert [(one.stage, one.attempt) for one in run.traces] == [("tools/weather", 1)]

    async def test_calls_of_one_tool_are_traced_with_the_attempts_of_each(self) -> None:
        subject = tool(idempotent=True, errors=[broken()])
        guards = {"weather": whole_guard(GuardEvents(), now())}
        executor, run = RegistryExecutor(ToolRegistry([subject]), guards=guards), run_for()
        plan = Plan((PlannedCall("c1", "weather", {}), PlannedCall("c2", "weather", {})))
        call = run.call("tools", run.deadline)
        await run_planned(plan, executor, run, call, concurrency=10, journal=NoJournal())
        assert [(one.status, one.attempt) for one in run.traces] == [("error", 1), ("ok", 1), ("ok", 2)]

    @pytest.mark.parametrize("hedged", [False, True])
    async def test_a_tool_that_is_not_idempotent_is_started_once_after_any_error(self, hedged: bool) -> None:
        for error in (broken(), TransientError("t", "refused")):
            subject = tool(idempotent=False, errors=[error], takes_s=4.0)
            guard = whole_guard(GuardEvents(), now(), hedged=hedged)
            for _ in range(30):
                await guard.acall(lambda _: asyncio.sleep(0.01), Call("q", "tools/c1", now() + 5))
            executor = RegistryExecutor(ToolRegistry([subject]), guards={"weather": guard})
            call = run_for().call("tools/c1", now() + 30)
            result = await executor.arun(PlannedCall("c1", "weather", {}), QUESTION, call)
            assert (result.status, len(subject.started)) == ("error", 1)

    async def test_a_tool_that_is_broken_is_left_alone_and_the_others_are_not(self) -> None:
        failing = tool("broken", idempotent=False, errors=[broken() for _ in range(100)])
        well = tool("well", idempotent=False)
        guards = {name: whole_guard(GuardEvents(), now()) for name in ("broken", "well")}
        executor = RegistryExecutor(ToolRegistry([failing, well]), guards=guards)

        async def run(name: str) -> str:
            call = run_for().call("tools/c", now() + 5)
            return (await executor.arun(PlannedCall("c", name, {}), QUESTION, call)).status

        assert [await run("broken") for _ in range(15)] == ["error"] * 15
        assert len(failing.started) == 10
        assert await run("well") == "ok"

    async def test_no_more_calls_of_a_tool_run_at_once_than_its_concurrency(self) -> None:
        subject = tool(idempotent=True, takes_s=1.0)
        guards = {"weather": whole_guard(GuardEvents(), now(), limit=3)}
        executor = RegistryExecutor(ToolRegistry([subject]), guards=guards)
        call = run_for().call("tools/c", now() + 30)
        planned = [PlannedCall(f"c{number}", "weather", {}) for number in range(12)]
        results = await asyncio.gather(*(executor.arun(one, QUESTION, call) for one in planned))
        assert {result.status for result in results} == {"ok"}
        assert subject.most_running == 3


@dataclass
class FakeEmbeddings:
    delay_s: float = 0.0
    calls: int = 0
    model: str = "fake"

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        return [[1.0] for _ in texts]

    async def aembed_search(self, text: str) -> list[float]:
        [vector] = await self.aembed([text])
        return vector


async def test_a_search_waits_for_its_vector_up_to_its_time_out_and_not_with_an_open_breaker() -> None:
    hangs = FakeEmbeddings(delay_s=1e6)
    embeddings = GuardedEmbeddings(hangs, whole_guard(GuardEvents(), now()), timeout_s=1.5)
    began = now()
    for _ in range(12):
        with pytest.raises(DependencyError):
            await embeddings.aembed_search("a search")
    assert now() - began == pytest.approx(10 * 1.5)
    assert hangs.calls == 10


async def test_documents_on_their_way_into_the_index_have_no_time_out() -> None:
    slow = FakeEmbeddings(delay_s=20.0)
    embeddings = GuardedEmbeddings(slow, whole_guard(GuardEvents(), now()), timeout_s=1.5)
    assert len(await embeddings.aembed(["one"])) == 1


async def test_a_rejected_request_degrades_as_model_rejected() -> None:
    refused = FakeGenerator(error=PermanentError("model", "HTTP 401", status=401))
    got, _ = await answer(GuardedGenerator(refused, whole_guard(GuardEvents(), now())))
    assert (got.degraded, len(refused.calls)) == (("model_rejected",), 1)
    assert got.citations[0].chunk_id == PASSAGE.chunk_id
