"""The journal on its topic: entries are written before what they allow, and read back at recovery.

An entry lies on the partition number of its question, so that whoever is assigned the question's
partition finds it. Nothing is kept in memory of what is written here; what an earlier run wrote is kept
from its reading until the question's outcome is safe or its partition is lost.
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
    """The entries of one question. The first of a kind counts: what was done first was done by it."""

    plan: Plan | None = None
    intents: dict[str, PlannedCall] = field(default_factory=dict)
    results: dict[str, ToolCall] = field(default_factory=dict)

    def take(self, entry: JournalEntry) -> None:
        if entry.kind == "plan":
            self.plan = self.plan or _plan(entry)
        elif not entry.call_id:
            log.warning("an entry of question %s in the journal names no call", entry.question_id)
        elif entry.kind == "intent":
            self.intents.setdefault(entry.call_id, PlannedCall(entry.call_id, entry.name, entry.arguments))
        elif entry.status is not None:
            self.results.setdefault(entry.call_id, _result(entry))

    def recorded(self) -> Recorded | None:
        plan = self.plan
        if plan is None:
            # Its record was broken or is gone: what was started is known all the same.
            done = [PlannedCall(call.id, call.name, call.arguments) for call in self.results.values()]
            plan = Plan(tuple({call.id: call for call in [*self.intents.values(), *done]}.values()))
            if not plan.calls:
                return None
        return Recorded(plan, frozenset(self.intents), self.results)


class KafkaJournal:
    """The `agents.journal.Journal` of a worker.

    Args:
        sender: with an idempotent producer and acks from all, which it rebuilds.
        topic: the journal's.

    Attributes:
        gate_of: the gate of a partition of `questions`, passed by its entries as by its outcomes: whoever
            gets the partition next then finds every entry that anything was started on.
    """

    def __init__(self, sender: Sender, *, topic: str, kafka: Kafka, hook: Hook) -> None:
        self._sender = sender
        self._topic = topic
        self._kafka = kafka
        self._hook = hook
        self._found: dict[int, dict[_Key, _Found]] = {}
        self.gate_of: Callable[[int], Gate] = _ungated

    @property
    def held(self) -> int:
        """Questions of earlier runs whose entries are kept."""
        return sum(len(found) for found in self._found.values())

    def recorded(self, question: Question, source: Source) -> Recorded | None:
        """What an earlier run has written."""
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
        """Returns once the partition's gate is open."""
        while not (gate := self.gate_of(source.partition)).open:
            if gate.lost:
                raise JournalError("journal", "the question's partition was taken away")
            await _adecided(gate)

    async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
        """Record what became of the call."""
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
        """Read what earlier runs wrote for the partition's questions; repeated for as long as it takes.

        Call it once the partition is assigned and before any of its questions starts.

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
                    "the journal of partition %d was not read, repeated in %.1f s: %r",
                    partition,
                    delay,
                    error,
                )
                await asyncio.sleep(delay)
            else:
                return

    def load(self, partition: int, entries: Iterable[JournalEntry]) -> None:
        """Keep what was read for a partition, in the journal's order, in place of what was kept."""
        found: dict[_Key, _Found] = {}
        for entry in entries:
            found.setdefault((entry.source, entry.question_id), _Found()).take(entry)
        self._found.pop(partition, None)
        if found:
            self._found[partition] = found

    def forget(self, question_id: str, source: Source) -> None:
        """The question's outcome is safe: its entries are of no use any more."""
        if not self._found:
            return
        found = self._found.get(source.partition)
        if found is None:
            return
        found.pop((source, question_id), None)
        if not found:
            del self._found[source.partition]

    def drop(self, partition: int) -> None:
        """The partition is another worker's: what was read of it is of no use any more."""
        self._found.pop(partition, None)

    async def start(self) -> None:
        """Connect and begin.

        Raises:
            KafkaError: there is no broker.
        """
        await self._sender.start()

    async def failed(self) -> None:
        """Returns never, but raises what ended the sending."""
        await self._sender.failed()

    async def aclose(self, *, timeout_s: float) -> None:
        """Disconnect, within that time."""
        await self._sender.aclose(timeout_s=timeout_s)

    async def _write(self, entry: JournalEntry) -> None:
        """Returns when the broker has the entry; it is sent again until then, or until we are cancelled."""
        partition = entry.source.partition
        record = Record(
            self._topic, entry.conversation_id.encode(), _readable(entry), [], partition, exact=True
        )
        backoff = Backoff()
        while True:
            gate = self.gate_of(partition)
            if gate.lost:
                raise JournalError("journal", "the question's partition was taken away")
            if not gate.open:
                await _adecided(gate)
                continue
            error = await self._send(record, gate)
            if isinstance(error, Fenced):
                continue
            if error is None:
                return
            self._hook.send_failed(record.topic, error)
            if isinstance(error, TOO_LARGE):
                raise JournalError("journal", "the entry is larger than its topic takes") from error
            await asyncio.sleep(backoff.wait_s())

    async def _send(self, record: Record, gate: Gate) -> BaseException | None:
        acked: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self._sender.put(record, _settles(acked), gate)
        return await acked


def _ungated(_: int) -> Gate:
    return Gate()


async def _adecided(gate: Gate) -> None:
    """Returns once it is known whether the partition stays with us."""
    decided = asyncio.Event()
    gate.wait(decided.set)
    await decided.wait()


def _settles(acked: "asyncio.Future[BaseException | None]") -> Callable[[Record, BaseException | None], None]:
    def settled(_: Record, error: BaseException | None) -> None:
        if not acked.done():
            acked.set_result(error)

    return settled


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
    """The entry's bytes. What could not be read back must not be relied on."""
    try:
        value = encode(entry)
        decode_journal_entry(value)
    except (DecodeError, TypeError, ValueError, RecursionError) as error:
        raise JournalError("journal", f"the entry cannot be written: {error}") from error
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
