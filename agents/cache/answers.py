"""The answer cache, in front of the graph: an answer is given again while nothing has changed.

The cache keeps an answer that is whole (neither degraded nor failed) and fit for everybody: each tool
that it used, if any, says that its results may be kept (`cacheable`). An answer that rests on nothing,
such as "I do not know", is kept for a short time only. The knowledge must not have changed between the
start of the retrieval and the end of the answer.

A cache that fails never fails a question: the graph answers it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from agents.cache.flight import Role, SingleFlight
from agents.cache.keys import AnswerKey, AnswerKeys
from agents.cache.memory import MemoryStore
from agents.cache.patience import lifetime_s, wait_until
from agents.cache.store import VALUE_BYTES_MAX, Store
from agents.journal import Journal, NoJournal
from agents.run import Run
from schemas.answer import Answer, AnswerGrounding, AnswerKnowledge, Citation, ToolCall

log = logging.getLogger(__name__)

STAGE = "cache"
"""The cache's name in traces and metrics."""
UNSHARED_TTL_S = 60.0
"""For this long after an answer that could not be shared, its question is answered each time."""


class Kept(Struct, frozen=True, array_like=True):
    """The kept parts of an answer. `expires_at` is in unix seconds and holds for all levels."""

    expires_at: float
    text: str
    model: str
    citations: tuple[Citation, ...]
    tool_calls: tuple[ToolCall, ...]
    warnings: tuple[str, ...] = ()
    grounding: AnswerGrounding | None = None
    knowledge: AnswerKnowledge | None = None


RESULTS = ("memory", "shared", "joined", "missed", "passed")
"""How a look-up ends: found in memory or the shared level, joined another's, not found, not looked for."""
_UNSHARED = b""
"""Marks, in memory, a question whose last answer was not fit for everybody."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


@dataclass(frozen=True, slots=True)
class Lookup:
    """A look-up in the cache.

    One without `kept` obliges its caller to answer the question, then to call `AnswerCache.finish`. Where
    it `leads`, others wait for its answer.
    """

    key: AnswerKey
    kept: Kept | None = None
    leads: bool = False


class AnswerCache:
    """Answers by question, in this process's memory and in a store that processes share.

    Args:
        keys: decides which questions are the same.
        memory: the first level.
        shared: the second level, if there is one.
        ttl_s: how long an answer is kept, at most.
        journal: a question that it has entries of is never looked up: its earlier run is continued.
        wall_clock: returns unix seconds.
    """

    def __init__(
        self,
        keys: AnswerKeys,
        memory: MemoryStore,
        shared: Store | None = None,
        *,
        ttl_s: float,
        journal: Journal | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self.memory = memory
        self.shared = shared
        self._ttl_s = ttl_s
        self._journal = journal or NoJournal()
        self._wall_clock = wall_clock
        self._flights = SingleFlight()
        self.results: Counter[str] = Counter()
        """The number of look-ups by how they ended (`RESULTS`)."""

    def __repr__(self) -> str:
        return f"<AnswerCache {self.memory!r} {self.shared!r}>"

    async def aclose(self) -> None:
        """Close both levels."""
        await self.memory.aclose()
        if self.shared is not None:
            await self.shared.aclose()

    async def alook_up(self, run: Run) -> Lookup | None:
        """Look for the answer to the run's question; None: the cache does not serve this question.

        The caller must `finish` a look-up that found no answer, on every path. Raises only CancelledError.
        """
        started = asyncio.get_running_loop().time()
        key = self._key(run)
        value = b"" if key is None else self.memory.get(key.digest)
        if key is None or value == _UNSHARED:
            self.results["passed"] += 1
            return None
        if value is not None and (kept := self._decoded(key, value)) is not None:
            return self._found("memory", key, kept, run, started)
        joined = await self._flights.ajoin(key.digest, wait_until(started, run.deadline))
        if isinstance(joined, bytes):
            if (kept := self._decoded(key, joined)) is not None:
                return self._found("joined", key, kept, run, started)
            joined = Role.ALONE
        if joined is Role.LEADER and self.shared is not None:
            try:
                value = await self.shared.aget(key.digest)
            except BaseException:
                self._flights.hand_over(key.digest)
                raise
            if value is not None and (kept := self._decoded(key, value)) is not None:
                self.memory.put(key.digest, value, min(self._ttl_s, kept.expires_at - self._wall_clock()))
                self._flights.land(key.digest, value)
                return self._found("shared", key, kept, run, started)
        self.results["missed"] += 1
        run.record(STAGE, "ok", started, "miss")
        return Lookup(key, leads=joined is Role.LEADER)

    def finish(self, lookup: Lookup, answer: Answer | None) -> None:
        """Keep the answer to a question that was not found; None: it has none to keep."""
        digest = lookup.key.digest
        value: bytes | None = None
        if answer is not None and answer.status == "answered" and self._keys.holds(lookup.key):
            ttl_s = lifetime_s(self._ttl_s, found=bool(answer.citations or answer.tool_calls))
            value = self._encoded(lookup.key, answer, ttl_s)
            if value is None:
                self.memory.put(digest, _UNSHARED, UNSHARED_TTL_S)
            else:
                self.memory.put(digest, value, ttl_s)
                if self.shared is not None:
                    self.shared.put(digest, value, ttl_s)
        if not lookup.leads:
            return
        if value is not None:
            self._flights.land(digest, value)
        elif answer is None or answer.status != "answered":
            self._flights.hand_over(digest)
        else:
            self._flights.let_go(digest)

    def _key(self, run: Run) -> AnswerKey | None:
        if self._journal.recorded(run.question, run.source) is not None:
            return None
        try:
            return self._keys.of(run.question)
        except Exception:
            # The specification of a custom tool may hold values that cannot be encoded.
            log.exception("question %s has no key", run.question.id)
            return None

    def _found(self, result: str, key: AnswerKey, kept: Kept, run: Run, started: float) -> Lookup:
        self.results[result] += 1
        run.record(STAGE, "ok", started, f"hit, {result}")
        return Lookup(key, kept)

    def _decoded(self, key: AnswerKey, value: bytes) -> Kept | None:
        """Decode a value; None if it is another key's, damaged or too old."""
        if len(value) > VALUE_BYTES_MAX or not value.startswith(key.digest):
            return None
        try:
            kept = _decode(memoryview(value)[len(key.digest) :])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return kept if kept.expires_at > self._wall_clock() else None

    def _encoded(self, key: AnswerKey, answer: Answer, ttl_s: float) -> bytes | None:
        """Encode an answer; None if it is not fit for everybody, or cannot be kept."""
        cacheable = {spec.name for spec in key.tools if spec.cacheable} if answer.tool_calls else ()
        if not all(call.status == "ok" and call.name in cacheable for call in answer.tool_calls):
            return None
        kept = Kept(
            self._wall_clock() + ttl_s,
            answer.text,
            answer.model,
            answer.citations,
            tuple(msgspec.structs.replace(call, reused=True, duration_ms=0.0) for call in answer.tool_calls),
            answer.warnings,
            answer.grounding,
            answer.knowledge,
        )
        try:
            value = key.digest + _encode(kept)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
            return None  # a tool's result may not fit this format, for instance a number of 30 digits
        return value if len(value) <= VALUE_BYTES_MAX else None
