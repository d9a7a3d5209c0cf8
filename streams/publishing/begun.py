"""The tool calls that earlier runs of questions have begun, as their journal entries tell. Pure.

A run is earlier if it was cut off, or if it failed: a failed question that is sent again follows the plan of
its failed run, so that no call of it starts a second time.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from agents.components import Plan, PlannedCall
from agents.journal import Recorded
from schemas.answer import Source, ToolCall, Usage
from schemas.codec import encode
from schemas.fingerprint import Fingerprint, fingerprint, identity_of, short_of
from schemas.headers import parse_digest
from schemas.journal import EntryKind, JournalEntry
from schemas.question import Question

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")
_Key = tuple[Source, str]

FAILED_BYTES = 32 * 1_048_576
"""Bytes that the entries of failed runs may have in the journal; in memory they take some more."""
_TOO_MANY = (
    "the journal's entries of failed questions are too many or too large to keep all: if one of the oldest "
    "is sent again, its tools start anew"
)


@dataclass(slots=True)
class _Found:
    """The entries of one question by kind and call, each with its size. The first of a kind counts, because
    the tool was called after it.

    `size`: their bytes in the journal.
    """

    entries: dict[tuple[EntryKind, str], tuple[JournalEntry, int]] = field(default_factory=dict)
    short: bytes | None = None
    size: int = 0

    def take(self, entry: JournalEntry) -> None:
        self.short = _short(entry) or self.short
        if entry.kind != "plan" and not entry.call_id:
            log.warning(
                "a journal entry of question %s is passed over: it names no tool call", entry.question_id
            )
        elif (entry.kind != "result" or entry.status is not None) and _kind(entry) not in self.entries:
            size = len(encode(entry))
            self.entries[_kind(entry)] = entry, size
            self.size += size

    def before(self, later: "_Found | None") -> "_Found":
        """Return these entries and those of a later run."""
        if later is None:
            return self
        entries = self.entries | {
            kind: found for kind, found in later.entries.items() if kind not in self.entries
        }
        return _Found(entries, self.short or later.short, sum(size for _, size in entries.values()))

    def recorded(self) -> Recorded | None:
        intents: dict[str, JournalEntry] = {}
        results: dict[str, JournalEntry] = {}
        plan = None
        for (kind, call_id), (entry, _) in self.entries.items():
            if kind == "plan":
                plan = _plan(entry)
            else:
                (intents if kind == "intent" else results)[call_id] = entry
        if plan is None:
            # Its record was broken or is gone. The other entries still say which calls were started.
            calls = {entry.call_id: entry for entry in [*intents.values(), *results.values()]}
            plan = Plan(
                tuple(PlannedCall(name, entry.name, entry.arguments) for name, entry in calls.items())
            )
            if not plan.calls:
                return None
        keys = {name: entry.idempotency_key for name, entry in intents.items()}
        return Recorded(plan, keys, {name: _result(entry) for name, entry in results.items()})


class Begun:
    """The entries of earlier runs that this worker's partitions need.

    Args:
        window_s: how long the entries of a failed outcome are kept; 0: they are not.
        most: the most failed outcomes whose entries are kept.
        most_bytes: the most bytes that these may have in the journal.
        clock: seconds that only grow.
    """

    def __init__(
        self, *, window_s: float, most: int, clock: Callable[[], float], most_bytes: int = FAILED_BYTES
    ) -> None:
        self._window_s = window_s
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._failed_count = 0
        self._failed_bytes = 0
        self._cut_off: dict[int, dict[_Key, _Found]] = {}
        """Of runs that left no outcome, by partition, record and question's id."""
        self._running: dict[int, dict[_Key, _Found]] = {}
        """Of this worker's runs that go on."""
        self._failed: dict[int, dict[bytes, tuple[float, _Found]]] = {}
        """Of runs that failed, by partition and fingerprint, with the time; the oldest first."""

    @property
    def held(self) -> int:
        """How many questions of runs that were cut off have entries here."""
        return sum(len(found) for found in self._cut_off.values())

    @property
    def failed(self) -> int:
        """How many failed outcomes have entries here."""
        return self._failed_count

    @property
    def failed_bytes(self) -> int:
        """The bytes of these in the journal."""
        return self._failed_bytes

    def recorded(self, question: Question, source: Source) -> Recorded | None:
        """Return the entries of earlier runs; None if there are none."""
        if not self._cut_off and not self._failed:
            return None
        found = self._cut_off.get(source.partition, {}).get((source, question.id))
        if failed := self._failed.get(source.partition):
            kept = failed.get(fingerprint(question).short)
            if kept is not None and kept[0] + self._window_s >= self._clock():
                found = kept[1].before(found)
        return None if found is None else found.recorded()

    def load(
        self, partition: int, entries: Iterable[JournalEntry], failed: Collection[int] = frozenset()
    ) -> None:
        """Keep entries of a partition beside those that are here. They come in the journal's order.

        `failed`: the offsets of the questions among them that failed.
        """
        for entry in entries:
            if entry.source.offset not in failed:
                cut_off = self._cut_off.setdefault(partition, {})
                cut_off.setdefault((entry.source, entry.question_id), _Found()).take(entry)
            else:
                one = _Found()
                one.take(entry)
                self._keep_failed(partition, one.short, one)

    def note(self, entry: JournalEntry) -> None:
        """Note a plan, an intent or a result of this worker's runs."""
        if self._window_s > 0:
            running = self._running.setdefault(entry.source.partition, {})
            running.setdefault((entry.source, entry.question_id), _Found()).take(entry)

    def finish(self, question_id: str, source: Source, question: Fingerprint | None, *, failed: bool) -> None:
        """The question's outcome is safe: forget its entries; those of a failed one are kept for a repeat."""
        if not self._cut_off and not self._running and not self._failed:
            return
        key, partition = (source, question_id), source.partition
        short = None if question is None else question.short
        before = _pop(self._cut_off, partition, key)
        now = _pop(self._running, partition, key)
        if failed:
            begun = now if before is None else before.before(now)
            if begun is not None:
                self._keep_failed(partition, short, begun)
        elif short is not None:
            self._forget_failed(partition, short)

    def drop(self, partition: int) -> None:
        """Forget a partition's entries: it is another worker's now."""
        self._cut_off.pop(partition, None)
        self._running.pop(partition, None)
        for short in list(self._failed.get(partition, ())):
            self._forget_failed(partition, short)

    def _keep_failed(self, partition: int, short: bytes | None, begun: _Found) -> None:
        if short is None or self._window_s <= 0:
            return
        earlier = self._forget_failed(partition, short)
        now = self._clock()
        kept = begun if earlier is None else earlier.before(begun)
        self._failed.setdefault(partition, {})[short] = now, kept
        self._failed_count += 1
        self._failed_bytes += kept.size
        while self._failed_count:
            oldest = min(self._failed, key=self._oldest_s)
            if self._oldest_s(oldest) + self._window_s >= now:
                if not self._too_many():
                    break
                log.warning(_TOO_MANY)
            self._forget_failed(oldest, next(iter(self._failed[oldest])))

    def _too_many(self) -> bool:
        return self._failed_count > self._most or self._failed_bytes > self._most_bytes

    def _oldest_s(self, partition: int) -> float:
        return next(iter(self._failed[partition].values()))[0]

    def _forget_failed(self, partition: int, short: bytes) -> _Found | None:
        kept = _pop(self._failed, partition, short)
        if kept is None:
            return None
        self._failed_count -= 1
        self._failed_bytes -= kept[1].size
        return kept[1]


def _kind(entry: JournalEntry) -> tuple[EntryKind, str]:
    return entry.kind, "" if entry.kind == "plan" else entry.call_id


def _short(entry: JournalEntry) -> bytes | None:
    """Return its question's short fingerprint; None if it does not tell which question it is of."""
    digest = parse_digest(entry.digest.encode())
    if not digest:
        return None
    return short_of(identity_of(entry.tenant, entry.conversation_id, entry.question_id), digest)


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


def _pop(held: "dict[int, dict[K, V]]", partition: int, key: K) -> "V | None":
    """Take a key of a partition out, and the partition with its last."""
    found = held.get(partition)
    if found is None:
        return None
    value = found.pop(key, None)
    if not found:
        del held[partition]
    return value
