"""The default pipeline in virtual time: concurrency, budgets, every degrade step."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from msgspec.structs import replace as struct_replace

from agents.components import Plan, PlannedCall
from agents.errors import PermanentError, ThrottledError, TransientError, UnusableServerError
from agents.graph import Graph, GraphError
from agents.journal import NoJournal, Recorded
from agents.pipeline import Answered, Asked, Budgets, Components, Pipeline, default_graph
from schemas.answer import Source, ToolCall
from schemas.errors import ErrorCode
from schemas.question import Question, Turn
from tests.support.components import (
    PASSAGE,
    SOURCE,
    Behaviour,
    FakeGenerator,
    FakePlanner,
    FakeRetriever,
    FakeRewriter,
    FakeToolExecutor,
    RecordingObserver,
    tool_spec,
)

pytestmark = pytest.mark.looptime


def planned(*names: str) -> Plan:
    return Plan(tuple(PlannedCall(f"call_{n}", name, {}) for n, name in enumerate(names)))


@dataclass
class Parts:
    retriever: FakeRetriever = field(default_factory=FakeRetriever)
    planner: FakePlanner = field(default_factory=FakePlanner)
    tools: FakeToolExecutor = field(default_factory=FakeToolExecutor)
    generator: FakeGenerator = field(default_factory=FakeGenerator)
    rewriter: FakeRewriter | None = None
    budgets: Budgets = field(default_factory=Budgets)
    observer: RecordingObserver = field(default_factory=RecordingObserver)
    question: Question = field(default_factory=lambda: Question(id="q/1", text="How long is the warranty?"))
    deadline_s: float = 30.0
    elapsed_s: float = 0.0

    def with_tools(self, *names: str, **behaviours: Behaviour) -> "Parts":
        self.tools.specs = [tool_spec(name) for name in dict.fromkeys(names)]
        self.tools.behaviours = behaviours
        self.planner.plan = planned(*names)
        return self

    async def answer(self) -> Answered:
        loop = asyncio.get_running_loop()
        components = Components(self.retriever, self.planner, self.tools, self.generator, self.rewriter)
        pipeline = Pipeline(default_graph(components, self.budgets), self.observer)
        started = loop.time()
        asked = Asked(self.question, SOURCE, started + self.deadline_s, queue_ms=12.0)
        answered = await pipeline.aanswer(asked)
        self.elapsed_s = loop.time() - started
        return answered


async def test_a_plain_question_is_answered_with_citations() -> None:
    parts = Parts()
    answered = await parts.answer()
    answer = answered.answer
    assert (answer.status, answer.text, answer.model) == ("answered", "It lasts three years [1].", "fake")
    assert [(citation.chunk_id, citation.quote) for citation in answer.citations] == [
        ("handbook#0", "The warranty lasts three years.")
    ]
    assert (answer.source, answer.timings_ms.queue) == (SOURCE, 12.0)
    assert answer.timings_ms.plan is None
    assert [trace.stage for trace in answered.stages] == ["plan", "retrieve", "tools", "generate"] or {
        trace.stage for trace in answered.stages if trace.status != "skipped"
    } == {"retrieve", "generate"}
    assert parts.observer.traces == list(answered.stages)
    assert parts.planner.calls == []


async def test_retrieval_runs_beside_plan_and_tools_beside_each_other() -> None:
    parts = Parts(FakeRetriever(delay_s=2.5), FakePlanner(delay_s=1), generator=FakeGenerator(delay_s=1))
    parts.with_tools("a", "b", "c", a=Behaviour(2), b=Behaviour(2), c=Behaviour(1))
    answer = (await parts.answer()).answer
    assert parts.elapsed_s == pytest.approx(4.0)
    assert [call.status for call in answer.tool_calls] == ["ok"] * 3
    assert answer.status == "answered"
    timings = answer.timings_ms
    assert (timings.retrieve, timings.plan, timings.tools, timings.generate) == pytest.approx(
        (2500, 1000, 2000, 1000)
    )
    assert answer.usage.prompt_tokens == 10


async def test_every_call_is_labelled_so_that_logs_can_be_joined() -> None:
    parts = Parts().with_tools("a", "a")
    await parts.answer()
    assert parts.generator.calls[0].request_id == "q%2F1/generate/1"
    assert [call.request_id for call in parts.tools.calls] == [
        "q%2F1/tools%2Fcall_0/1",
        "q%2F1/tools%2Fcall_1/1",
    ]


async def test_no_more_tools_run_at_once_than_the_budget_allows() -> None:
    names = [f"tool{n}" for n in range(25)]
    parts = Parts().with_tools(*names, **{name: Behaviour(1) for name in names})
    await parts.answer()
    assert parts.tools.most_running == 10
    assert parts.elapsed_s == pytest.approx(3.0)


async def test_a_late_tool_costs_its_own_result_only() -> None:
    parts = Parts(budgets=Budgets(tool_s=2.0)).with_tools("quick", "hung", hung=Behaviour(1000))
    answer = (await parts.answer()).answer
    assert {call.name: call.status for call in answer.tool_calls} == {"quick": "ok", "hung": "timeout"}
    assert (answer.status, answer.degraded) == ("degraded", ("tools_timeout",))
    assert parts.elapsed_s < 2.5
    assert parts.tools.behaviours["hung"].cancelled == 1


async def test_a_defect_in_an_executor_is_an_error_of_that_call() -> None:
    parts = Parts().with_tools("good", "bad", bad=Behaviour(error=RuntimeError("oops")))
    answer = (await parts.answer()).answer
    assert {call.name: call.status for call in answer.tool_calls} == {"good": "ok", "bad": "error"}
    assert answer.degraded == ("tools_error",)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (FakeRetriever(error=TransientError("index", "refused")), "retrieval_unavailable"),
        (FakeRetriever(error=ZeroDivisionError()), "retrieval_unavailable"),
        (FakeRetriever(delay_s=1000), "retrieval_timeout"),
    ],
)
async def test_without_retrieval_the_model_is_told(behaviour: FakeRetriever, reason: str) -> None:
    parts = Parts(retriever=replace(behaviour))
    answer = (await parts.answer()).answer
    assert (answer.status, answer.degraded) == ("degraded", (reason,))
    assert answer.text == "It lasts three years."
    assert answer.citations == ()
    assert parts.generator.groundings[0].missing == ["the knowledge base"]


@pytest.mark.parametrize(
    ("planner", "reason"),
    [
        (FakePlanner(delay_s=1000), "plan_timeout"),
        (FakePlanner(error=TransientError("m", "x")), "plan_unavailable"),
    ],
)
async def test_without_a_plan_no_tool_is_called(planner: FakePlanner, reason: str) -> None:
    parts = Parts(planner=replace(planner))
    parts.tools.specs = [tool_spec("a")]
    answer = (await parts.answer()).answer
    assert (answer.status, answer.degraded, answer.tool_calls) == ("degraded", (reason,), ())


@pytest.mark.parametrize(
    ("generator", "reason", "code"),
    [
        (FakeGenerator(delay_s=1000), "model_timeout", ErrorCode.DEADLINE_EXCEEDED),
        (
            FakeGenerator(error=TransientError("model", "502")),
            "model_unavailable",
            ErrorCode.MODEL_UNAVAILABLE,
        ),
        (
            FakeGenerator(error=ThrottledError("model", "429")),
            "model_unavailable",
            ErrorCode.MODEL_UNAVAILABLE,
        ),
        (FakeGenerator(error=PermanentError("model", "401")), "model_rejected", ErrorCode.MODEL_REJECTED),
        (
            FakeGenerator(error=UnusableServerError("model", "a certificate that is not trusted")),
            "model_unavailable",
            ErrorCode.MODEL_UNAVAILABLE,
        ),
        (FakeGenerator(text=" \n"), "model_unavailable", ErrorCode.MODEL_UNAVAILABLE),
        (FakeGenerator(text=" [9]【1】[7]\n"), "model_unavailable", ErrorCode.MODEL_UNAVAILABLE),
    ],
)
async def test_without_a_model_the_answer_is_extracted_or_failed(
    generator: FakeGenerator, reason: str, code: ErrorCode
) -> None:
    extracted = (await Parts(generator=replace(generator)).answer()).answer
    assert (extracted.status, extracted.degraded, extracted.model) == ("degraded", (reason,), "extractive")
    assert "three years" in extracted.text
    assert extracted.citations[0].quote in PASSAGE.text

    hopeless = Parts(FakeRetriever(passages=()), generator=replace(generator))
    failed = (await hopeless.answer()).answer
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.code, failed.error.stage) == (code, "generate")
    assert hopeless.elapsed_s <= hopeless.deadline_s


async def test_citations_to_sources_that_were_not_given_are_dropped() -> None:
    parts = Parts(generator=FakeGenerator(text="Three years [1], says the law [9]."))
    answer = (await parts.answer()).answer
    assert "[9]" not in answer.text
    assert [citation.index for citation in answer.citations] == [1]


async def test_a_graph_without_an_answer_is_refused() -> None:
    with pytest.raises(GraphError, match="generate"):
        Pipeline(Graph([]), RecordingObserver())


async def test_tools_that_cannot_end_in_time_are_skipped_and_the_answer_says_so() -> None:
    parts = Parts().with_tools("weather", weather=Behaviour(delay_s=2.0))
    pipeline = Pipeline(
        default_graph(
            Components(parts.retriever, parts.planner, parts.tools, parts.generator), parts.budgets
        ),
        parts.observer,
    )

    async def ask(deadline_s: float) -> Answered:
        now = asyncio.get_running_loop().time()
        return await pipeline.aanswer(Asked(parts.question, SOURCE, now + deadline_s))

    for _ in range(10):
        assert (await ask(30.0)).answer.status == "answered"
    answer = (await ask(1.5)).answer
    assert (answer.status, answer.degraded) == ("degraded", ("tools_timeout",))
    assert [call.status for call in answer.tool_calls] == ["skipped"]
    assert "1.5 s are left" in answer.tool_calls[0].result
    assert len(parts.tools.calls) == 10


async def test_a_plan_that_was_recorded_is_followed_where_there_would_be_no_time_to_make_one() -> None:
    recorded: dict[str, Recorded] = {}

    class Remembering(NoJournal):
        def recorded(self, question: Question, source: Source) -> Recorded | None:
            return recorded.get(question.id)

    parts = Parts(planner=FakePlanner(delay_s=2.0)).with_tools("book")
    components = Components(parts.retriever, parts.planner, parts.tools, parts.generator)
    pipeline = Pipeline(default_graph(components, parts.budgets, Remembering()), parts.observer)

    async def ask(question: Question, deadline_s: float) -> Answered:
        now = asyncio.get_running_loop().time()
        return await pipeline.aanswer(Asked(question, SOURCE, now + deadline_s))

    for _ in range(10):
        assert (await ask(parts.question, 30.0)).answer.status == "answered"
    done = ToolCall(id="call_0", name="book", arguments={}, status="ok", result="booked")
    recorded["again"] = Recorded(planned("book"), {"call_0": "key"}, {"call_0": done})
    answer = (await ask(Question(id="again", text="Book it."), 1.5)).answer
    assert [(call.status, call.result, call.reused) for call in answer.tool_calls] == [("ok", "booked", True)]
    assert answer.status == "answered"


FOLLOW_UP = Question(
    id="q/2",
    text="How heavy is it?",
    history=(Turn("user", "How long is the warranty of the Lumo K10?"), Turn("assistant", "Two years.")),
)


def rewritten(answered: Answered) -> tuple[str, str]:
    return next((trace.status, trace.detail) for trace in answered.stages if trace.stage == "rewrite")


async def test_a_follow_up_is_searched_for_as_the_model_rewrites_it() -> None:
    parts = Parts(question=FOLLOW_UP, rewriter=FakeRewriter())
    answered = await parts.answer()
    (searched,) = parts.retriever.asked
    (grounding,) = parts.generator.groundings
    assert (searched.text, searched.history) == ("How heavy is the lamp?", FOLLOW_UP.history)
    assert (grounding.question, grounding.standing) == (FOLLOW_UP, "How heavy is the lamp?")
    assert rewritten(answered) == ("ok", "How heavy is the lamp?")
    assert (answered.answer.status, answered.answer.usage.prompt_tokens) == ("answered", 13)


async def test_rules_rewrite_a_follow_up_where_there_is_no_model() -> None:
    parts = Parts(question=FOLLOW_UP)
    answered = await parts.answer()
    assert parts.retriever.asked[0].text == "How heavy is it? (Lumo K10)"
    assert rewritten(answered) == ("ok", "How heavy is it? (Lumo K10)")
    assert answered.answer.status == "answered"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (FakeRewriter(delay_s=60), "rewrite_timeout"),
        (FakeRewriter(error=TransientError("model", "away")), "rewrite_unavailable"),
    ],
)
async def test_rules_rewrite_a_follow_up_where_the_model_is_late_or_fails(
    behaviour: FakeRewriter, reason: str
) -> None:
    parts = Parts(question=FOLLOW_UP, rewriter=replace(behaviour))
    answered = await parts.answer()
    assert parts.retriever.asked[0].text == "How heavy is it? (Lumo K10)"
    assert (answered.answer.status, answered.answer.degraded) == ("degraded", (reason,))
    assert parts.elapsed_s <= parts.budgets.rewrite_s + 0.1


async def test_a_question_that_stands_alone_costs_no_rewriting() -> None:
    rewriter = FakeRewriter()
    plain = Parts(rewriter=rewriter)
    alone = struct_replace(FOLLOW_UP, text="How many people work in the Oslo office?")
    beside_history = Parts(question=alone, rewriter=rewriter)
    assert rewritten(await plain.answer()) == ("skipped", "")
    assert rewritten(await beside_history.answer()) == ("skipped", "")
    assert rewriter.calls == []
    assert beside_history.retriever.asked == [alone]


async def test_the_plan_does_not_wait_for_the_rewriting() -> None:
    parts = Parts(question=FOLLOW_UP, rewriter=FakeRewriter(delay_s=1.0)).with_tools("clock")
    parts.planner.delay_s = 1.0
    await parts.answer()
    assert parts.elapsed_s == pytest.approx(1.0)
