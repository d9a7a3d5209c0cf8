"""The journal on its topic: an entry is written before the step that it allows, and read back at recovery.

An entry lies on the partition number of its question, so that the worker that gets the question's partition
finds it. Written entries are not kept in memory. Entries of earlier runs are kept from their reading until
the question's outcome is safe or its partition is lost.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agents.components import Plan, PlannedCall
from agents.journal import JournalError, Recorded
from schemas.answer import Source, ToolCall, Usage
from schemas.codec import DecodeError, decode_journal_entry, encode
from schemas.journal import EntryKind, JournaledCall, JournalEntry
from schemas.question import Question
from streams.process.backoff import Backoff
from streams.publishing.gate import Fenced, Gate
from streams.publishing.journal_reader import Wanted, aasked_ms, aread_journal
from streams.publishing.records import Record
from streams.publishing.sending import TOO_LARGE, Sender
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

_Key = tuple[Source, str]


@dataclass(slots=True)
class _Found:
    """The entries of one question. The first of a kind counts, because the tool was called after it."""

    plan: Plan | None = None
    intents: dict[str, PlannedCall] = field(default_factory=dict)
    results: dict[str, ToolCall] = field(default_factory=dict)

    def take(self, entry: JournalEntry) -> None:
        if entry.kind == "plan":
            self.plan = self.plan or _plan(entry)
        elif not entry.call_id:
            log.warning(
                "a journal entry of question %s is passed over: it names no tool call", entry.question_id
            )
        elif entry.kind == "intent":
            self.intents.setdefault(entry.call_id, PlannedCall(entry.call_id, entry.name, entry.arguments))
        elif entry.status is not None:
            self.results.setdefault(entry.call_id, _result(entry))

    def recorded(self) -> Recorded | None:
        plan = self.plan
        if plan is None:
            # Its record was broken or is gone. The other entries still say which calls were started.
            done = [PlannedCall(call.id, call.name, call.arguments) for call in self.results.values()]
            plan = Plan(tuple({call.id: call for call in [*self.intents.values(), *done]}.values()))
            if not plan.calls:
                return None
        return Recorded(plan, frozenset(self.intents), self.results)


class KafkaJournal:
    """The `agents.journal.Journal` of a worker.

    Args:
        sender: with an idempotent producer and acks from all replicas; it replaces its producer.
        topic: the journal's topic.
        gate_of: returns the gate of a partition of `questions`. Entries pass it as outcomes do, so that the
            partition's next worker finds every entry on which a call was started.
    """

    def __init__(
        self, sender: Sender, *, topic: str, kafka: Kafka, hook: Hook, gate_of: Callable[[int], Gate]
    ) -> None:
        self._sender = sender
        self._topic = topic
        self._kafka = kafka
        self._hook = hook
        self._gate_of = gate_of
        self._found: dict[int, dict[_Key, _Found]] = {}

    @property
    def held(self) -> int:
        """How many questions of earlier runs have entries here."""
        return sum(len(found) for found in self._found.values())

    def recorded(self, question: Question, source: Source) -> Recorded | None:
        """Return the entries of an earlier run; None if there are none."""
        if not self._found:
            return None
        found = self._found.get(source.partition, {}).get((source, question.id))
        return None if found is None else found.recorded()

    async def aplan(self, question: Question, source: Source, plan: Plan) -> None:
        """Record the plan."""
        calls = tuple(
            JournaledCall(id=call.id, name=call.name, arguments=call.arguments, problem=call.problem)
            for call in plan.calls
        )
        await self._write(_entry(question, source, "plan", calls=calls, usage=plan.usage))

    async def aintent(self, question: Question, source: Source, planned: PlannedCall) -> None:
        """Record that the call is about to start."""
        await self._write(
            _entry(
                question, source, "intent", call_id=planned.id, name=planned.name, arguments=planned.arguments
            )
        )

    async def aowned(self, question: Question, source: Source) -> None:  # noqa: ARG002 - as `Journal`
        """Return once the partition's gate is open."""
        while not (gate := self._gate_of(source.partition)).open:
            await _adecided(gate)

    async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
        """Record the call's result."""
        await self._write(
            _entry(
                question,
                source,
                "result",
                call_id=result.id,
                name=result.name,
                arguments=result.arguments,
                status=result.status,
                result=result.result,
                duration_ms=result.duration_ms,
            )
        )

    async def arecover(self, partition: int, oldest: int, wanted: Wanted) -> None:
        """Read the entries of earlier runs for the partition's questions. Repeats until that succeeds.

        Call it after the partition is assigned and before any of its questions starts.

        Args:
            partition: its number.
            oldest: the offset of the first question without an outcome.
            wanted: whether a question, told by its offset, still has to be answered.
        """
        self.drop(partition)
        backoff = Backoff()
        while True:
            try:
                since_ms = await aasked_ms(self._kafka, partition, oldest)
                if since_ms is not None:
                    self.load(
                        partition,
                        await aread_journal(self._kafka, partition, since_ms=since_ms, wanted=wanted),
                    )
            except Exception as error:  # noqa: BLE001 - without it nothing may run; aiokafka raises anything
                delay = backoff.wait_s()
                log.warning(
                    "the journal of partition %d cannot be read; next attempt in %.1f s: %r",
                    partition,
                    delay,
                    error,
                )
                await asyncio.sleep(delay)
            else:
                return

    def load(self, partition: int, entries: Iterable[JournalEntry]) -> None:
        """Keep these entries of a partition, in the journal's order, and forget its earlier ones."""
        found: dict[_Key, _Found] = {}
        for entry in entries:
            found.setdefault((entry.source, entry.question_id), _Found()).take(entry)
        self._found.pop(partition, None)
        if found:
            self._found[partition] = found

    def forget(self, question_id: str, source: Source) -> None:
        """Forget a question's entries: its outcome is safe."""
        if not self._found:
            return
        found = self._found.get(source.partition)
        if found is None:
            return
        found.pop((source, question_id), None)
        if not found:
            del self._found[source.partition]

    def drop(self, partition: int) -> None:
        """Forget a partition's entries: it is another worker's now."""
        self._found.pop(partition, None)

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker.
        """
        await self._sender.start()

    async def failed(self) -> None:
        """Raise the error that ends the sending; never return."""
        await self._sender.failed()

    async def aclose(self, *, timeout_s: float) -> None:
        """Disconnect, within that time."""
        await self._sender.aclose(timeout_s=timeout_s)

    async def _write(self, entry: JournalEntry) -> None:
        """Return when the broker has the entry. It is sent again until then, or until we are cancelled."""
        partition = entry.source.partition
        record = Record(
            self._topic, entry.conversation_id.encode(), _readable(entry), [], partition, exact=True
        )
        backoff = Backoff()
        while True:
            gate = self._gate_of(partition)
            error = await self._send(record, gate)
            if error is None:
                return
            if isinstance(error, Fenced) or gate.lost:
                await _adecided(gate)
                continue
            self._hook.send_failed(record.topic, error)
            if isinstance(error, TOO_LARGE):
                raise JournalError("journal", "the journal entry is larger than its topic accepts") from error
            await asyncio.sleep(backoff.wait_s())

    async def _send(self, record: Record, gate: Gate) -> BaseException | None:
        acked: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def on_delivery(_: Record, error: BaseException | None) -> None:
            if not acked.done():  # else the question was cancelled
                acked.set_result(error)

        self._sender.put(record, on_delivery, gate)
        return await acked


async def _adecided(gate: Gate) -> None:
    """Return once the partition surely stays with us.

    Raises:
        JournalError: the partition was revoked.
    """
    decided = asyncio.Event()
    gate.wait(decided.set)
    await decided.wait()
    if gate.lost:
        raise JournalError("journal", "the question's partition was revoked from this worker")


def _entry(question: Question, source: Source, kind: EntryKind, **fields: Any) -> JournalEntry:
    return JournalEntry(
        question_id=question.id,
        conversation_id=question.conversation_id,
        source=source,
        kind=kind,
        created_at=datetime.now(UTC),
        **fields,
    )


def _readable(entry: JournalEntry) -> bytes:
    """Return the entry's bytes, after reading them back: an entry that cannot be read protects nothing."""
    try:
        value = encode(entry)
        decode_journal_entry(value)
    except (DecodeError, TypeError, ValueError, RecursionError) as error:
        raise JournalError("journal", f"the journal entry cannot be written: {error}") from error
    return value


def _plan(entry: JournalEntry) -> Plan:
    calls = (PlannedCall(call.id, call.name, call.arguments, call.problem) for call in entry.calls)
    return Plan(tuple(calls), entry.usage or Usage())


def _result(entry: JournalEntry) -> ToolCall:
    return ToolCall(
        id=entry.call_id,
        name=entry.name,
        arguments=entry.arguments,
        status=entry.status or "unknown",
        result=entry.result,
        duration_ms=entry.duration_ms,
    )
