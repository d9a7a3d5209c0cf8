"""The journal on its topic: an entry is written before the step that it allows, and read back at recovery.

An entry lies on the partition number of its question, so that the worker that gets the question's partition
finds it. `begun` says which entries are kept in memory.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from agents.components import Plan, PlannedCall
from agents.journal import JournalError
from schemas.answer import Source, ToolCall
from schemas.codec import DecodeError, decode_journal_entry, encode
from schemas.fingerprint import digest_of
from schemas.journal import EntryKind, JournaledCall, JournalEntry
from schemas.question import Question
from streams.kafka.reading import CLOCK_SKEW_MS, MACHINES_SKEW_MS
from streams.process.backoff import Backoff
from streams.publishing.begun import Begun
from streams.publishing.gate import Fenced, Gate
from streams.publishing.journal_reader import StillWanted, aasked_ms, aread_journal
from streams.publishing.records import Record
from streams.publishing.sending import TOO_LARGE, Sender
from streams.settings.model import Kafka
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)


class KafkaJournal:
    """The `agents.journal.Journal` of a worker.

    Args:
        sender: with an idempotent producer and acks from all replicas; it replaces its producer.
        topic: the journal's topic.
        gate_of: returns the gate of a partition of `questions`. Entries pass it as outcomes do, so that the
            partition's next worker finds every entry on which a call was started.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        topic: str,
        kafka: Kafka,
        hook: Hook,
        gate_of: Callable[[int], Gate],
        begun: Begun,
    ) -> None:
        self._sender = sender
        self._topic = topic
        self._kafka = kafka
        self._hook = hook
        self._gate_of = gate_of
        self._begun = begun
        # Asked several times for each question: not through a method of its own.
        self.recorded = begun.recorded
        self.finish = begun.finish

    @property
    def held(self) -> int:
        """How many questions of runs that were cut off have entries here."""
        return self._begun.held

    def state(self) -> dict[str, Any]:
        """Return the fields of `/state` about failed runs."""
        return {"failed_runs": self._begun.failed, "failed_runs_bytes": self._begun.failed_bytes}

    async def aplan(self, question: Question, source: Source, plan: Plan) -> None:
        """Record the plan."""
        calls = tuple(
            JournaledCall(id=call.id, name=call.name, arguments=call.arguments, problem=call.problem)
            for call in plan.calls
        )
        entry = _entry(question, source, "plan", calls=calls, usage=plan.usage)
        await self._write(entry)
        self._begun.note(entry)

    async def aintent(self, question: Question, source: Source, planned: PlannedCall, key: str) -> None:
        """Record that the call is about to start under this key."""
        entry = _entry(
            question,
            source,
            "intent",
            call_id=planned.id,
            name=planned.name,
            arguments=planned.arguments,
            idempotency_key=key,
        )
        await self._write(entry)
        self._begun.note(entry)

    async def aowned(self, question: Question, source: Source) -> None:  # noqa: ARG002 - as `Journal`
        """Return once the partition's gate is open."""
        while not (gate := self._gate_of(source.partition)).open:
            await _adecided(gate)

    async def aresult(self, question: Question, source: Source, result: ToolCall) -> None:
        """Record the call's result."""
        entry = _entry(
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
        self._begun.note(entry)  # it holds, whether or not the broker gets it
        await self._write(entry)

    async def arecover(
        self,
        partition: int,
        oldest: int,
        wanted: StillWanted,
        *,
        failed: Collection[int] = frozenset(),
        failed_since_ms: int = 0,
    ) -> None:
        """Read the entries of earlier runs for the partition's questions. Repeats until that succeeds.

        Call it after the partition is assigned and before any of its questions starts.

        Args:
            partition: its number.
            oldest: the offset of the first question without an outcome.
            wanted: whether a question, told by its offset, still has to be answered.
            failed: the offsets of questions that failed and may be repeated.
            failed_since_ms: when the first of them failed, or earlier, by the broker's clock.
        """
        backoff = Backoff()
        while True:
            self.drop(partition)
            try:
                since_ms = await aasked_ms(self._kafka, partition, oldest)
                if failed:
                    # Their times are those of brokers and workers, not of askers.
                    later_ms = failed_since_ms + CLOCK_SKEW_MS - MACHINES_SKEW_MS
                    since_ms = later_ms if since_ms is None else min(since_ms, later_ms)
                if since_ms is not None:
                    async for entries in aread_journal(
                        self._kafka,
                        partition,
                        since_ms=since_ms,
                        wanted=lambda offset: offset in failed or wanted(offset),
                    ):
                        self.load(partition, entries, failed)
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

    def load(
        self, partition: int, entries: Iterable[JournalEntry], failed: Collection[int] = frozenset()
    ) -> None:
        """See `Begun.load`."""
        self._begun.load(partition, entries, failed)

    def drop(self, partition: int) -> None:
        """See `Begun.drop`."""
        self._begun.drop(partition)

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
        tenant=question.tenant,
        digest=digest_of(question).hex(),
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
