"""Tools that are not idempotent, on a real broker: started once, even if the worker is killed."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from agents.components import Call, DeltaSink, Generation, Grounding, Plan, PlannedCall
from agents.pipeline import Budgets, Components, Pipeline, default_graph
from agents.tools.executor import RegistryExecutor
from agents.tools.python_tool import PythonTool
from agents.tools.registry import ToolRegistry
from schemas.answer import Answer, Source, ToolCall
from schemas.codec import decode_answer, decode_journal_entry
from schemas.journal import JournalEntry
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.engine import build_engine, build_parts
from streams.publishing.journal_reader import aasked_ms, aread_journal
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook
from streams.worker.engine import Engine
from tests.support.components import FakeRetriever, RecordingObserver
from tests.support.engine import end_offsets, producing, question, read_topic, settings_for
from tests.support.system import eventually


@dataclass
class World:
    """Parts that outlive the workers: a tool that books, a model that plans anew each time it is asked."""

    kafka: Kafka
    tool: str = "book"
    booked: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    tool_hangs: bool = False
    model_hangs: bool = False
    generating: int = 0

    async def book(self, guest: str) -> str:
        """Books."""
        self.booked[guest] += 1
        if self.tool_hangs:
            await asyncio.Event().wait()
        return f"booked for {guest}"

    async def aplan(self, question: Question, tools: Any, call: Call) -> Plan:
        self.asked[question.id] += 1
        identifier = f"{question.id}/{self.asked[question.id]}"
        return Plan((PlannedCall(identifier, self.tool, {"guest": question.id}),))

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        self.generating += 1
        if self.model_hangs:
            await asyncio.Event().wait()
        return Generation("Done.", "fake")

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Engine]:
        """A worker that is cut off in the end: its running questions get no outcome from it."""
        settings = settings_for(self.kafka)
        parts = build_parts(settings, Hook())
        book = PythonTool(self.book, name="book")
        look = PythonTool(self.book, name="look")
        look.spec = replace(look.spec, idempotent=True)
        executor = RegistryExecutor(ToolRegistry([book, look]))
        components = Components(FakeRetriever(), self, executor, self)
        pipeline = Pipeline(default_graph(components, Budgets(), parts.journal), RecordingObserver())
        engine = build_engine(parts, pipeline)
        hurry = asyncio.Event()
        hurry.set()
        try:
            await engine.start()
            yield engine
        finally:
            await engine.drain(0.0, hurry)

    async def ask(self, *names: str, partition: int = 0) -> None:
        async with producing(self.kafka) as producer:
            topic = Topics(self.kafka.topic_prefix).questions
            for name in names:
                await producer.send_and_wait(topic, question(name), key=name.encode(), partition=partition)

    async def journaled(self, count: int) -> list[str]:
        records = await read_topic(self.kafka, Topics(self.kafka.topic_prefix).journal, count)
        return [decode_journal_entry(record.value).kind for record in records]

    async def answers(self, count: int) -> dict[str, Answer]:
        records = await read_topic(self.kafka, Topics(self.kafka.topic_prefix).answers, count)
        found = [decode_answer(record.value) for record in records]
        return {answer.question_id: answer for answer in found}


def only_call(answer: Answer) -> ToolCall:
    (call,) = answer.tool_calls
    return call


async def test_a_worker_that_ends_between_intent_and_result_leaves_it_unknown(
    kafka_settings: Kafka, topics: Topics
) -> None:
    world = World(kafka_settings, tool_hangs=True)
    async with world.worker():
        await world.ask("a/b")
        await eventually(lambda: world.booked["a/b"], 20, "the call")
    assert await world.journaled(2) == ["plan", "intent"]
    world.tool_hangs = False
    async with world.worker() as engine:
        call = only_call((await world.answers(1))["a/b"])
        assert engine.journal is not None
        await eventually(lambda: engine.journal.held == 0, 5, "the end of what was kept")
    assert (call.id, call.status) == ("a/b/1", "unknown")
    assert world.booked == {"a/b": 1}
    assert world.asked == {"a/b": 1}


async def test_a_worker_that_ends_between_result_and_answer_has_its_result_used_again(
    kafka_settings: Kafka, topics: Topics
) -> None:
    world = World(kafka_settings, model_hangs=True)
    async with world.worker():
        await world.ask("a")
        await world.ask("b", partition=2)
        await eventually(lambda: world.generating == 2, 20, "the model is asked")
    world.model_hangs = False
    async with world.worker():
        answers = await world.answers(2)
    for name in ("a", "b"):
        call = only_call(answers[name])
        assert (call.status, call.result, call.reused) == ("ok", f"booked for {name}", True)
    assert world.booked == {"a": 1, "b": 1}
    assert world.asked == {"a": 1, "b": 1}
    entries = [
        decode_journal_entry(record.value) for record in await read_topic(kafka_settings, topics.journal, 6)
    ]
    assert {(entry.question_id, entry.source.partition) for entry in entries} == {("a", 0), ("b", 2)}


async def test_questions_without_a_journaled_tool_write_nothing_to_the_journal(
    kafka_settings: Kafka, topics: Topics
) -> None:
    world = World(kafka_settings, tool="look")
    async with world.worker():
        await world.ask("a", "b", "c")
        await world.answers(3)
    assert world.booked == {"a": 1, "b": 1, "c": 1}
    assert sum((await end_offsets(kafka_settings, topics.journal)).values()) == 0


async def test_broken_entries_are_passed_over_and_do_not_keep_the_worker_from_its_work(
    kafka_settings: Kafka, topics: Topics
) -> None:
    world = World(kafka_settings, tool_hangs=True)
    async with producing(kafka_settings) as producer:
        for value in (b"{", None, b"[]", b"\xff", b'{"kind":"intent"}', b"[" * 5000):
            await producer.send_and_wait(topics.journal, value, key=b"k", partition=0)
    async with world.worker():
        await world.ask("a")
        await eventually(lambda: world.booked["a"], 20, "the call")
    world.tool_hangs = False
    async with world.worker():
        assert only_call((await world.answers(1))["a"]).status == "unknown"
    assert world.booked == {"a": 1}


async def entries_of(kafka: Kafka, partition: int, **options: Any) -> list[JournalEntry]:
    return [entry async for batch in aread_journal(kafka, partition, **options) for entry in batch]


async def test_a_partition_is_read_from_a_time_to_its_end(kafka_settings: Kafka, topics: Topics) -> None:
    world = World(kafka_settings)
    assert await entries_of(kafka_settings, 0, since_ms=0) == []
    assert await aasked_ms(kafka_settings, 0, 0) is None
    before = int(time.time() * 1000)
    async with world.worker():
        await world.ask("a", "b")
        await world.ask("c", partition=1)
        await world.answers(3)
    asked = await aasked_ms(kafka_settings, 0, 1)
    assert asked is not None
    assert abs(asked - before) < 60_000
    everything = await entries_of(kafka_settings, 0, since_ms=0)
    assert sorted(entry.question_id for entry in everything) == ["a"] * 3 + ["b"] * 3
    assert await entries_of(kafka_settings, 0, since_ms=before) == everything
    wanted = await entries_of(kafka_settings, 0, since_ms=before, wanted=lambda offset: offset == 1)
    assert {(entry.question_id, entry.source) for entry in wanted} == {("b", Source(topics.questions, 0, 1))}
    # The clock of whoever asked was ahead of ours.
    assert await entries_of(kafka_settings, 0, since_ms=before + 1_800_000) == everything


async def test_no_entry_is_kept_of_a_partition_that_another_worker_has(
    kafka_settings: Kafka, topics: Topics
) -> None:
    world = World(kafka_settings, model_hangs=True)
    partitions = len(await end_offsets(kafka_settings, topics.questions))
    async with world.worker():
        for partition in range(partitions):
            await world.ask(f"q{partition}", partition=partition)
        await eventually(lambda: world.generating == partitions, 20, "the model is asked")
    async with world.worker() as one:
        assert one.journal is not None
        await eventually(lambda: one.journal.held == partitions, 20, "what was read back")
        async with world.worker() as other:
            assert other.journal is not None
            await eventually(lambda: 0 < other.journal.held < partitions, 20, "the other's share")
            await eventually(
                lambda: one.journal.held + other.journal.held == partitions, 20, "what left is dropped"
            )
