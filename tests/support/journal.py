"""A journal over a log in memory, and a tool executor whose server counts the calls that it really ran."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.components import Call, PlannedCall, ToolSpec
from schemas.answer import ToolCall
from schemas.codec import decode_journal_entry
from schemas.question import Question
from schemas.topics import Topics
from streams.publishing.begun import Begun
from streams.publishing.gate import Fenced, Gate
from streams.publishing.journal import KafkaJournal
from streams.publishing.records import OnDelivery, Record
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook


@dataclass
class Log:
    """Replaces a sender: takes a batch a turn, and stores it before it acknowledges it.

    Attributes:
        records: the records that the broker has.
        batch: the most records written at once.
        step: called before a batch is written and before it is acknowledged.
        refusal: returns the error with which a record is refused; None: the record is written.
    """

    records: list[Record] = field(default_factory=list)
    batch: int = 100
    batches: int = 0
    step: Callable[[], Any] = lambda: asyncio.sleep(0)
    refusal: Callable[[Record], BaseException | None] = lambda _: None
    _queue: list[tuple[Record, OnDelivery, Gate]] = field(default_factory=list)
    _sending: "asyncio.Task[None] | None" = None

    def put(self, record: Record, on_delivery: OnDelivery, gate: Gate) -> None:
        self._queue.append((record, on_delivery, gate))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._queue:
            await self.step()
            batch, self._queue = self._queue[: self.batch], self._queue[self.batch :]
            errors = [self.refusal(record) if gate.open else Fenced() for record, _, gate in batch]
            self.records += [record for (record, *_), error in zip(batch, errors, strict=True) if not error]
            self.batches += 1
            await self.step()
            for (record, on_delivery, _), error in zip(batch, errors, strict=True):
                on_delivery(record, error)

    def journal(
        self, partition: int = 0, gates: Mapping[int, Gate] | None = None, window_s: float = 3600.0
    ) -> KafkaJournal:
        """A worker's journal, with the log's entries of that partition; without `gates` all are open."""
        gate_of: Callable[[int], Gate] = (lambda _: Gate()) if gates is None else gates.__getitem__
        journal = KafkaJournal(
            self,  # type: ignore[arg-type] - in place of a sender
            topic=Topics().journal,
            kafka=Kafka(),
            hook=Hook(),
            gate_of=gate_of,
            begun=Begun(window_s=window_s, most=100, clock=lambda: 0.0),
        )
        entries = [decode_journal_entry(record.value) for record in self.records]
        journal.load(partition, [entry for entry in entries if entry.source.partition == partition])
        return journal

    @property
    def kinds(self) -> list[str]:
        return [
            f"{entry.kind} {entry.call_id}".strip()
            for entry in (decode_journal_entry(record.value) for record in self.records)
        ]


@dataclass
class CountingTools:
    """An executor of tools by name; `ran` holds every call that the server ran, its result seen or not.

    Attributes:
        once: the tools that are not idempotent; all others are.
        reconciles: whether the server can be asked which calls ran.
    """

    once: Sequence[str] = ("book", "pay")
    repeatable: Sequence[str] = ("look",)
    reconciles: bool = False
    step: Callable[[], Any] = lambda: asyncio.sleep(0)
    ran: Counter[str] = field(default_factory=Counter)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)

    def offered(self, question: Question) -> Sequence[ToolSpec]:
        names = [(name, False) for name in self.once] + [(name, True) for name in self.repeatable]
        return [ToolSpec(name, name, {"type": "object"}, 5.0, idempotent) for name, idempotent in names]

    async def arun(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall:
        await self.step()
        self.ran[planned.name] += 1
        result = self.keys[question.id, planned.id] = f"{planned.name} done"
        await self.step()
        return self._ended(planned, "ok", result)

    async def areconcile(self, planned: PlannedCall, question: Question, call: Call) -> ToolCall | None:
        await self.step()
        if not self.reconciles:
            return self._ended(planned, "unknown", "cannot be asked")
        result = self.keys.get((question.id, planned.id))
        return None if result is None else self._ended(planned, "ok", result)

    def _ended(self, planned: PlannedCall, status: Any, result: str) -> ToolCall:
        return ToolCall(
            id=planned.id, name=planned.name, arguments=planned.arguments, status=status, result=result
        )
