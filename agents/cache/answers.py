"""The answer cache, in front of the graph: what was answered is given again while nothing has changed.

Kept are answers that are whole (neither degraded nor failed) and everybody's: those whose tools, if any
were used, say that their results may be kept (`cacheable`). What rests on nothing, such as "I do not
know", is kept for a short time only. An answer is kept if the knowledge is at its end what it was
before its retrieval began.

Whatever is wrong with the cache, questions are answered as if there were none.
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
from agents.run import Run
from agents.tools.journal import Journal, NoJournal
from schemas.answer import Answer, Citation, ToolCall

log = logging.getLogger(__name__)

STAGE = "cache"
"""Its name in traces and metrics."""
UNSHARED_TTL_S = 60.0
"""For so long nobody waits for another's answer to a question whose last one could not be shared."""


class Kept(Struct, frozen=True, array_like=True):
    """What is kept of an answer. `expires_at` is in unix seconds, for all levels."""

    expires_at: float
    text: str
    model: str
    citations: tuple[Citation, ...]
    tool_calls: tuple[ToolCall, ...]


RESULTS = ("memory", "shared", "joined", "missed", "passed")
"""How a look-up ends: found in either level, found by waiting for another's, not found, not looked for."""
_UNSHARED = b""
"""Stands in memory for: the last answer was not for everybody."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


@dataclass(frozen=True, slots=True)
class Turn:
    """A look-up that found `kept`, or the duty to answer and to call `settle` with it."""

    key: AnswerKey
    kept: Kept | None = None
    leads: bool = False


class AnswerCache:
    """Answers by question, in this process and in what it shares with others.

    Args:
        keys: tells which questions are the same.
        memory: the first level.
        shared: the second level, if there is one.
        ttl_s: how long an answer is kept at most.
        journal: a question of which an earlier run has begun something is answered by that.
        wall_clock: unix seconds.
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
        """How many look-ups ended how, by `RESULTS`."""

    def __repr__(self) -> str:
        return f"<AnswerCache {self.memory!r} {self.shared!r}>"

    async def aclose(self) -> None:
        """Let go of what both levels hold."""
        await self.memory.aclose()
        if self.shared is not None:
            await self.shared.aclose()

    async def alook_up(self, run: Run) -> Turn | None:
        """Find the answer to the run's question; None: the cache is not for it.

        A turn without an answer must be settled, whatever happens. Raises nothing but CancelledError.
        """
        started = asyncio.get_running_loop().time()
        key = self._key(run)
        value = b"" if key is None else self.memory.get(key.digest)
        if key is None or value == _UNSHARED:
            self.results["passed"] += 1
            return None
        if value is not None and (kept := self._read(key, value)) is not None:
            return self._found("memory", key, kept, run, started)
        joined = await self._flights.ajoin(key.digest, wait_until(started, run.deadline))
        if isinstance(joined, bytes):
            if (kept := self._read(key, joined)) is not None:
                return self._found("joined", key, kept, run, started)
            joined = Role.ALONE
        if joined is Role.LEADER and self.shared is not None:
            try:
                value = await self.shared.aget(key.digest)
            except BaseException:
                self._flights.hand_over(key.digest)
                raise
            if value is not None and (kept := self._read(key, value)) is not None:
                self.memory.put(key.digest, value, min(self._ttl_s, kept.expires_at - self._wall_clock()))
                self._flights.land(key.digest, value)
                return self._found("shared", key, kept, run, started)
        self.results["missed"] += 1
        run.record(STAGE, "ok", started, "miss")
        return Turn(key, leads=joined is Role.LEADER)

    def settle(self, turn: Turn, answer: Answer | None) -> None:
        """End a turn with the answer that came of it; None: there is none."""
        digest = turn.key.digest
        value: bytes | None = None
        if answer is not None and answer.status == "answered" and self._keys.holds(turn.key):
            ttl_s = lifetime_s(self._ttl_s, found=bool(answer.citations or answer.tool_calls))
            value = self._written(turn.key, answer, ttl_s)
            if value is None:
                self.memory.put(digest, _UNSHARED, UNSHARED_TTL_S)
            else:
                self.memory.put(digest, value, ttl_s)
                if self.shared is not None:
                    self.shared.put(digest, value, ttl_s)
        if not turn.leads:
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
            # A tool of somebody's own may be described by what cannot be written down.
            log.exception("question %s has no key", run.question.id)
            return None

    def _found(self, result: str, key: AnswerKey, kept: Kept, run: Run, started: float) -> Turn:
        self.results[result] += 1
        run.record(STAGE, "ok", started, f"hit, {result}")
        return Turn(key, kept)

    def _read(self, key: AnswerKey, value: bytes) -> Kept | None:
        """What is kept, if it is of this key, whole and not too old."""
        if len(value) > VALUE_BYTES_MAX or not value.startswith(key.digest):
            return None
        try:
            kept = _decode(memoryview(value)[len(key.digest) :])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return kept if kept.expires_at > self._wall_clock() else None

    def _written(self, key: AnswerKey, answer: Answer, ttl_s: float) -> bytes | None:
        """The answer as a value; None where it is not everybody's, or cannot be kept."""
        cacheable = {spec.name for spec in key.tools if spec.cacheable} if answer.tool_calls else ()
        if not all(call.status == "ok" and call.name in cacheable for call in answer.tool_calls):
            return None
        kept = Kept(
            self._wall_clock() + ttl_s,
            answer.text,
            answer.model,
            answer.citations,
            tuple(msgspec.structs.replace(call, reused=True, duration_ms=0.0) for call in answer.tool_calls),
        )
        try:
            value = key.digest + _encode(kept)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
            return None  # a tool's result can hold what this format cannot, such as a number of 30 digits
        return value if len(value) <= VALUE_BYTES_MAX else None
