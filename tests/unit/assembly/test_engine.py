"""The engine as it is built: its journal passes the partitions' gates, and is read before questions run."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from agents.components import Plan, PlannedCall
from agents.journal import JournalError, Recorded
from agents.pipeline import Answered, Asked
from schemas.answer import Source, ToolCall
from schemas.codec import decode_answer, decode_journal_entry
from schemas.journal import JournalEntry
from schemas.question import Question
from streams.assembly.engine import EngineParts, build_engine, build_parts
from streams.consumer.recovered import Recovered
from streams.settings.model import Settings
from streams.telemetry.hook import Hook
from tests.support.consumer import FakeConsumer
from tests.support.engine import ScriptedPipeline, answer_to, question
from tests.support.journal import Log
from tests.support.producer import FakeBroker
from tests.support.system import eventually

QUESTION = Question(id="q", text="What now?", conversation_id="c")
SOURCE = Source("questions", 2, 0)
CALL = PlannedCall("call/1", "book", {})


def parts_with(*numbers: int) -> EngineParts:
    """The parts of an engine that has these partitions."""
    parts = build_parts(Settings(), Hook())
    parts.assignment.assign(numbers, generation=1)
    for number in numbers:
        parts.assignment.recover(Recovered(number, 0, None))
    parts.assignment.renew(time.monotonic())
    return parts


async def test_a_tool_call_starts_only_for_a_partition_of_ours() -> None:
    await parts_with(2).journal.aowned(QUESTION, SOURCE)
    with pytest.raises(JournalError, match="revoked"):
        await asyncio.wait_for(parts_with(1).journal.aowned(QUESTION, SOURCE), 5)


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_tool_call_waits_for_the_end_of_a_rebalance(comes_back: bool) -> None:
    parts = parts_with(2)
    parts.assignment.hold()
    owned = asyncio.create_task(parts.journal.aowned(QUESTION, SOURCE))
    await asyncio.sleep(0.05)
    assert not owned.done()
    parts.assignment.assign([2] if comes_back else [], generation=2)
    if comes_back:
        await asyncio.wait_for(owned, 5)
    else:
        with pytest.raises(JournalError, match="revoked"):
            await asyncio.wait_for(owned, 5)


@dataclass
class Cluster:
    """In place of Kafka: one consumer, producers in memory, and the entries of a worker that crashed."""

    consumer: FakeConsumer = field(default_factory=FakeConsumer)
    broker: FakeBroker = field(default_factory=FakeBroker)
    entries: list[JournalEntry] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    followed: list[int] = field(default_factory=list)

    def replace_clients(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def arecover(_: Any, numbers: Collection[int], done: Any) -> None:
            await self.consumer.recover(numbers, done)

        async def afollow(_: Any, number: int, since_ms: int) -> None:
            self.followed.append(number)

        async def aasked_ms(*_: Any) -> int:
            return 0

        async def aread_journal(_: Any, partition: int, **__: Any) -> AsyncIterator[list[JournalEntry]]:
            self.read.append(partition)
            yield [entry for entry in self.entries if entry.source.partition == partition]

        monkeypatch.setattr("streams.assembly.engine.AIOKafkaConsumer", lambda **_: self.consumer)
        monkeypatch.setattr("streams.assembly.engine.AIOKafkaProducer", lambda **_: self.broker.open())
        monkeypatch.setattr("streams.assembly.engine.Recovery.arecover", arecover)
        monkeypatch.setattr("streams.assembly.engine.ControlReader.afollow", afollow)
        monkeypatch.setattr("streams.publishing.journal.aasked_ms", aasked_ms)
        monkeypatch.setattr("streams.publishing.journal.aread_journal", aread_journal)

    def ask(self, partition: int, name: str) -> None:
        record = ConsumerRecord(
            "questions", partition, 0, 0, 0, name.encode(), question(name), None, 1, 1, ()
        )
        for records in (self.consumer.log, self.consumer.written):
            records.setdefault(partition, []).append(record)


async def crashed_worker(source: Source) -> list[JournalEntry]:
    """The entries of a worker that crashed between the result of a tool call and the answer."""
    log = Log()
    journal = log.journal(source.partition)
    await journal.aplan(QUESTION, source, Plan((CALL,)))
    await journal.aintent(QUESTION, source, CALL, "key")
    result = ToolCall(id=CALL.id, name=CALL.name, arguments={}, status="ok", result="booked")
    await journal.aresult(QUESTION, source, result)
    return [decode_journal_entry(record.value) for record in log.records]


async def test_a_question_of_a_crashed_worker_finds_its_tool_calls_in_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(entries=await crashed_worker(SOURCE))
    cluster.replace_clients(monkeypatch)
    recorded: list[Recorded | None] = []

    async def script(asked: Asked) -> Answered:
        recorded.append(parts.journal.recorded(asked.question, asked.source))
        return answer_to(asked)

    parts = build_parts(Settings(), Hook())
    engine = build_engine(parts, ScriptedPipeline(script))
    cluster.ask(SOURCE.partition, QUESTION.id)
    await engine.start()
    try:
        await cluster.consumer.assign(SOURCE.partition)
        await eventually(lambda: cluster.broker.values("answers"), 10, "the answer")
    finally:
        await engine.drain(1.0, asyncio.Event())
    (earlier,) = recorded
    assert earlier is not None, "its tool would be started a second time"
    assert earlier.results[CALL.id].result == "booked"
    assert cluster.read == cluster.followed == [SOURCE.partition]
    assert decode_answer(cluster.broker.values("answers")[0]).source == SOURCE
    assert parts.journal.held == 0, "the outcome is safe"
