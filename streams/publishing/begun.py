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
from schemas.fingerprint import Fingerprint, fingerprint, identity_of, short_of
from schemas.headers import parse_digest
from schemas.journal import JournalEntry
from schemas.question import Question

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")
_Key = tuple[Source, str]


@dataclass(slots=True)
class _Found:
    """The entries of one question. The first of a kind counts, because the tool was called after it."""

    plan: Plan | None = None
    intents: dict[str, PlannedCall] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    results: dict[str, ToolCall] = field(default_factory=dict)
    short: bytes | None = None

    def take(self, entry: JournalEntry) -> None:
        if digest := parse_digest(entry.digest.encode()):
            identity = identity_of(entry.tenant, entry.conversation_id, entry.question_id)
            self.short = short_of(identity, digest)
        if entry.kind == "plan":
            self.plan = self.plan or _plan(entry)
        elif not entry.call_id:
            log.warning(
                "a journal entry of question %s is passed over: it names no tool call", entry.question_id
            )
        elif entry.kind == "intent":
            self.intents.setdefault(entry.call_id, PlannedCall(entry.call_id, entry.name, entry.arguments))
            self.keys.setdefault(entry.call_id, entry.idempotency_key)
        elif entry.status is not None:
            self.results.setdefault(entry.call_id, _result(entry))

    def before(self, later: "_Found | None") -> "_Found":
        """Return these entries and those of a later run."""
        if later is None:
            return self
        return _Found(
            self.plan or later.plan,
            later.intents | self.intents,
            later.keys | self.keys,
            later.results | self.results,
            self.short or later.short,
        )

    def recorded(self) -> Recorded | None:
        plan = self.plan
        if plan is None:
            # Its record was broken or is gone. The other entries still say which calls were started.
            done = [PlannedCall(call.id, call.name, call.arguments) for call in self.results.values()]
            plan = Plan(tuple({call.id: call for call in [*self.intents.values(), *done]}.values()))
            if not plan.calls:
                return None
        return Recorded(plan, self.keys, self.results)


class Begun:
    """The entries of earlier runs that this worker's partitions need.

    Args:
        window_s: how long the entries of a failed outcome are kept; 0: they are not.
        most: the most failed outcomes whose entries are kept.
        clock: seconds that only grow.
    """

    def __init__(self, *, window_s: float, most: int, clock: Callable[[], float]) -> None:
        self._window_s = window_s
        self._most = most
        self._clock = clock
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
        """Keep these entries of a partition, in the journal's order, and forget its earlier ones.

        `failed`: the offsets of the questions among them that failed.
        """
        found: dict[_Key, _Found] = {}
        for entry in entries:
            found.setdefault((entry.source, entry.question_id), _Found()).take(entry)
        self.drop(partition)
        for key, one in found.items():
            if key[0].offset in failed:
                self._keep_failed(partition, one.short, one)
            else:
                self._cut_off.setdefault(partition, {})[key] = one

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
            _pop(self._failed, partition, short)

    def drop(self, partition: int) -> None:
        """Forget a partition's entries: it is another worker's now."""
        for held in (self._cut_off, self._running, self._failed):
            held.pop(partition, None)

    def _keep_failed(self, partition: int, short: bytes | None, begun: _Found) -> None:
        if short is None or self._window_s <= 0:
            return
        failed = self._failed.setdefault(partition, {})
        earlier = failed.pop(short, None)
        now = self._clock()
        failed[short] = (now, begun if earlier is None else earlier[1].before(begun))
        while next(iter(failed.values()))[0] + self._window_s < now or len(failed) > self._most:
            del failed[next(iter(failed))]


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
