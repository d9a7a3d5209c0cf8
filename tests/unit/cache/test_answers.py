"""The answer cache in front of the pipeline, in virtual time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
import pytest

from agents.cache.answers import UNSHARED_TTL_S, AnswerCache
from agents.cache.keys import AnswerKeys
from agents.cache.memory import MemoryStore
from agents.cache.patience import NEGATIVE_TTL_S
from agents.components import Call, Passage, Plan, PlannedCall
from agents.errors import TransientError
from agents.journal import NoJournal, Recorded
from agents.knowledge.version import KnowledgeVersions, Mark
from agents.pipeline import Answered, Asked, Budgets, Components, Pipeline, default_graph
from schemas.answer import AnswerKnowledge, Source, ToolCall, Usage
from schemas.question import Question
from tests.support.components import (
    SOURCE,
    Behaviour,
    FakeGenerator,
    FakePlanner,
    FakeRetriever,
    FakeToolExecutor,
    RecordingObserver,
    tool_spec,
)

pytestmark = pytest.mark.looptime
TTL_S = 600.0
QUESTION = Question(id="q", text="How long is the warranty?", metadata={"channel": "web"})


class Remembering(NoJournal):
    """A journal in which an earlier run has begun something."""

    def recorded(self, question: Question, source: Source) -> Recorded | None:
        return Recorded(Plan())


class HugeNumbers(FakeToolExecutor):
    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        return msgspec.structs.replace(await super().arun(planned, question, call), result=10**40)


@dataclass
class World:
    """A pipeline of fakes with a cache, each part to be changed by a test."""

    retriever: FakeRetriever = field(default_factory=FakeRetriever)
    planner: FakePlanner = field(default_factory=FakePlanner)
    tools: FakeToolExecutor = field(default_factory=FakeToolExecutor)
    generator: FakeGenerator = field(default_factory=lambda: FakeGenerator(delay_s=1.0))
    versions: KnowledgeVersions = field(default_factory=KnowledgeVersions)
    observer: RecordingObserver = field(default_factory=RecordingObserver)
    journal: NoJournal = field(default_factory=NoJournal)

    def __post_init__(self) -> None:
        self.versions.begin()
        self.start()

    def start(self) -> None:
        def clock() -> float:
            return asyncio.get_running_loop().time()

        self.cache = AnswerCache(
            AnswerKeys("fakes", self.tools, self.versions),
            MemoryStore(1_000_000, clock),
            ttl_s=TTL_S,
            journal=self.journal,
            wall_clock=clock,
        )
        components = Components(self.retriever, self.planner, self.tools, self.generator)
        self.pipeline = Pipeline(default_graph(components, Budgets()), self.observer, self.cache)

    def use_tool(self, *, cacheable: bool, **behaviours: Behaviour) -> None:
        self.tools.specs = [replace(tool_spec("weather"), cacheable=cacheable)]
        self.tools.behaviours = behaviours
        self.planner.plan = Plan((PlannedCall("call_0", "weather", {}),), Usage(3, 3))

    async def ask(self, question: Question = QUESTION, deadline_s: float = 30.0, **asked: object) -> Answered:
        deadline = asyncio.get_running_loop().time() + deadline_s
        return await self.pipeline.aanswer(Asked(question, SOURCE, deadline, **asked))  # type: ignore[arg-type]

    @property
    def model_calls(self) -> int:
        return len(self.generator.calls)


async def test_a_repeated_question_gets_the_kept_answer_under_its_own_id() -> None:
    world = World()
    first = await world.ask()
    other = Question(id="other", text=f" {QUESTION.text}\n", conversation_id="c2", metadata={"n": 1})
    source = Source("questions", 3, 99)
    began = asyncio.get_running_loop().time()
    deadline = began + 5
    second = await world.pipeline.aanswer(Asked(other, source, deadline, queue_ms=4.0))
    assert asyncio.get_running_loop().time() == began
    assert world.model_calls == 1
    one, two = first.answer, second.answer
    assert (two.text, two.citations, two.model, two.status) == (
        one.text,
        one.citations,
        one.model,
        "answered",
    )
    assert (two.id, two.question_id, two.conversation_id) == ("other", "other", "c2")
    assert (two.source, two.metadata, two.timings_ms.queue) == (source, {"n": 1}, 4.0)
    assert two.usage == Usage()
    assert two.timings_ms.generate is None
    assert two.timings_ms.total is not None
    assert [(trace.stage, trace.detail) for trace in second.stages] == [("cache", "hit, memory")]
    assert [trace.detail for trace in first.stages if trace.stage == "cache"] == ["miss"]
    assert world.cache.results == {"missed": 1, "memory": 1}


@dataclass
class Dating(FakeRetriever):
    """Tells another state of the knowledge for each search."""

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        assert call.trail is not None
        call.trail.found_in(
            AnswerKnowledge(len(self.asked) + 1, datetime(2026, 1, 2, tzinfo=UTC), exact=True)
        )
        return await super().aretrieve(question, call)


async def test_a_kept_answer_keeps_the_knowledge_that_it_was_made_with() -> None:
    world = World(Dating())
    first, second = (await world.ask()).answer, (await world.ask()).answer
    assert first.knowledge == second.knowledge == AnswerKnowledge(1, datetime(2026, 1, 2, tzinfo=UTC), True)
    assert len(world.retriever.asked) == 1


async def test_a_failed_answer_says_what_was_searched_if_anything_was() -> None:
    away = TransientError("model", "503")
    world = World(Dating(passages=()), generator=FakeGenerator(error=away))
    failed = (await world.ask()).answer
    assert (failed.status, failed.knowledge is not None) == ("failed", True)
    world = World(FakeRetriever(error=TransientError("index", "away")), generator=FakeGenerator(error=away))
    failed = (await world.ask()).answer
    assert (failed.status, failed.knowledge) == ("failed", None)


async def test_a_streaming_question_gets_a_kept_answer_as_one_piece() -> None:
    world = World()
    text = (await world.ask()).answer.text
    pieces: list[str] = []
    await world.ask(on_delta=pieces.append)
    assert pieces == [text]


@pytest.mark.parametrize(
    "question",
    [
        Question(id="q", text=QUESTION.text, tenant="other"),
        Question(id="q", text="How long is the guarantee?"),
    ],
)
async def test_a_different_question_is_answered_anew(question: Question) -> None:
    world = World()
    await world.ask()
    await world.ask(question)
    assert world.model_calls == 2


async def test_an_answer_is_forgotten_after_its_lifetime() -> None:
    world = World()
    await world.ask()
    await asyncio.sleep(TTL_S + 1)
    await world.ask()
    assert world.model_calls == 2


async def test_an_answer_that_rests_on_nothing_has_a_short_lifetime() -> None:
    world = World(generator=FakeGenerator(text="I do not know."))
    await world.ask()
    await world.ask()
    assert world.model_calls == 1
    await asyncio.sleep(NEGATIVE_TTL_S + 1)
    await world.ask()
    assert world.model_calls == 2


async def test_no_kept_answer_is_given_after_a_document_changed() -> None:
    world = World()
    await world.ask()
    world.versions.changing(["default"])
    await world.ask()  # while it changes
    world.versions.changed(0, {"default": Mark(7, 7)})
    await world.ask()
    assert world.model_calls == 3
    world.versions.changed(0, {"somebody else": Mark(8, 8)})
    await world.ask()
    assert world.model_calls == 3


async def test_an_answer_is_not_kept_if_the_knowledge_changed_meanwhile() -> None:
    world = World(FakeRetriever(delay_s=0.0))
    running = asyncio.create_task(world.ask())
    waiting = asyncio.create_task(world.ask())
    await asyncio.sleep(0.5)
    world.versions.changed(0, {"default": Mark(7, 7)})
    await asyncio.gather(running, waiting)
    assert world.model_calls == 2  # the one that waited does not get it either
    await world.ask()
    assert world.model_calls == 3


@pytest.mark.parametrize(
    ("part", "name"), [(FakeRetriever(error=TransientError("index", "refused")), "retriever")]
)
async def test_a_degraded_answer_is_not_kept(part: FakeRetriever, name: str) -> None:
    world = World(**{name: replace(part)})  # type: ignore[arg-type] - a field's own type
    assert (await world.ask()).answer.status == "degraded"
    part_of_world: FakeRetriever = getattr(world, name)
    part_of_world.error = None
    assert (await world.ask()).answer.status == "answered"
    assert world.model_calls == 2


async def test_a_failed_answer_is_not_kept() -> None:
    world = World(FakeRetriever(passages=()), generator=FakeGenerator(error=TransientError("model", "503")))
    assert (await world.ask()).answer.status == "failed"
    world.generator.error = None
    assert (await world.ask()).answer.status == "answered"


@pytest.mark.parametrize(("cacheable", "calls"), [(True, 1), (False, 2)])
async def test_an_answer_with_tool_results_is_kept_only_if_the_tools_allow_it(
    cacheable: bool, calls: int
) -> None:
    world = World()
    world.use_tool(cacheable=cacheable)
    first = (await world.ask()).answer
    second = (await world.ask()).answer
    assert len(world.tools.calls) == len(world.planner.calls) == calls
    assert [(call.name, call.result, call.reused) for call in second.tool_calls] == [
        ("weather", "fine", cacheable)
    ]
    assert (first.usage, second.usage) == (Usage(13, 8), Usage() if cacheable else Usage(13, 8))


async def test_an_answer_with_a_late_tool_is_not_kept() -> None:
    world = World()
    world.use_tool(cacheable=True, weather=Behaviour(error=RuntimeError()))
    assert (await world.ask()).answer.status == "degraded"
    world.tools.behaviours = {}
    assert (await world.ask()).answer.status == "answered"


async def test_questions_asked_at_once_share_one_answer() -> None:
    world = World()
    answers = await asyncio.gather(*(world.ask(replace_id(f"q{n}")) for n in range(20)))
    assert world.model_calls == 1
    assert len({answered.answer.text for answered in answers}) == 1
    assert [answered.answer.id for answered in answers] == [f"q{n}" for n in range(20)]
    assert world.cache.results == {"missed": 1, "joined": 19}


async def test_no_question_waits_if_the_last_answer_could_not_be_shared() -> None:
    world = World()
    world.use_tool(cacheable=False)
    await asyncio.gather(*(world.ask() for _ in range(5)))
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(world.ask() for _ in range(5)))
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0)
    assert world.model_calls == 10
    await asyncio.sleep(UNSHARED_TTL_S + 1)
    await world.ask()
    assert world.cache.results["missed"] == 6


async def test_after_a_leader_is_cancelled_the_others_are_still_answered() -> None:
    world = World()
    leader = asyncio.create_task(world.ask())
    others = [asyncio.create_task(world.ask()) for _ in range(3)]
    await asyncio.sleep(0.5)
    leader.cancel()
    answers = await asyncio.gather(*others)
    assert [answered.answer.status for answered in answers] == ["answered"] * 3
    assert world.model_calls == 2
    assert world.generator.cancelled == 1


async def test_after_a_leader_fails_the_others_are_still_answered() -> None:
    world = World(generator=FakeGenerator(delay_s=1.0, error=TransientError("model", "503")))
    asked = [asyncio.create_task(world.ask()) for _ in range(4)]
    await asyncio.sleep(1.5)
    world.generator.error = None
    statuses = [answered.answer.status for answered in await asyncio.gather(*asked)]
    assert statuses == ["degraded", "answered", "answered", "answered"]


async def test_a_waiting_question_keeps_time_to_make_its_own_answer() -> None:
    world = World(generator=FakeGenerator(delay_s=1000.0))
    asked = [world.ask(deadline_s=10.0 + n) for n in range(5)]
    statuses = {answered.answer.status for answered in await asyncio.gather(*asked)}
    assert statuses == {"degraded"}  # extracted, rather than none at all
    assert world.model_calls == 5


async def test_a_question_with_journal_entries_is_never_looked_up() -> None:
    world = World(journal=Remembering())
    await world.ask()
    await world.ask()
    assert world.model_calls == 2


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x95\x01", b"\x91" * 5000])
async def test_an_unreadable_value_counts_as_missing(garbage: bytes) -> None:
    world = World()
    key = AnswerKeys("fakes", world.tools, world.versions).of(QUESTION)
    assert key is not None
    world.cache.memory.put(key.digest, key.digest + garbage, 60)
    assert (await world.ask()).answer.status == "answered"
    world.cache.memory.put(key.digest, b"another key's " + garbage, 60)
    assert (await world.ask()).answer.status == "answered"
    assert world.model_calls == 2


async def test_an_answer_that_cannot_be_encoded_is_still_given() -> None:
    world = World(tools=HugeNumbers())
    world.use_tool(cacheable=True)

    for _ in range(2):
        assert (await world.ask()).answer.tool_calls[0].result == 10**40


def replace_id(identifier: str) -> Question:
    return Question(id=identifier, text=QUESTION.text)


async def test_an_answer_from_a_search_by_words_alone_is_not_kept() -> None:
    class Lessened(FakeRetriever):
        async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
            if not self.calls:
                assert call.trail is not None
                call.trail.found_less()
            return await super().aretrieve(question, call)

    world = World(retriever=Lessened())
    # The second question waited for the first; it then makes the answer that the third gets.
    answers = await asyncio.gather(world.ask(), world.ask())
    answers += [await world.ask()]
    assert {answered.answer.status for answered in answers} == {"answered"}
    assert world.model_calls == 2
    assert world.cache.results == {"missed": 2, "memory": 1}
