"""The retrieval cache: a search is not repeated while the knowledge is the same.

It pays where a search calls a server, of an index or of embeddings, and where repeated questions differ
in parts of the answer cache's key (tools, earlier turns). It is in this process alone: a round trip to a
shared level could cost as much as the search that it saves.
"""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec

from agents.cache.flight import Role, SingleFlight
from agents.cache.keys import KEY_BYTES, Versions, normalised
from agents.cache.memory import MemoryStore
from agents.cache.patience import lifetime_s, wait_until
from agents.components import Call, Passage, Retriever
from schemas.question import Question

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Passage]).decode


class CachedRetriever:
    """A `Retriever` in front of another. Each search is made once at a time.

    Args:
        inner: searches where nothing is kept.
        made_by: everything else that decides on the passages; it is hashed.
        versions: returns the version of a tenant's knowledge; where that is unknown, nothing is kept.
        lapses: returns a number that grows whenever a search found less than it could have
            (`agents.knowledge.index.Index`).
        memory: holds the passages; other users of it must have hashes as keys too.
        ttl_s: how long passages are kept, at most.
    """

    def __init__(
        self,
        inner: Retriever,
        *,
        made_by: object,
        versions: Versions,
        lapses: Callable[[], int],
        memory: MemoryStore,
        ttl_s: float,
    ) -> None:
        self._inner = inner
        self._made_by = blake2b(_encode(("passages", made_by)), digest_size=KEY_BYTES)
        self._versions = versions
        self._lapses = lapses
        self._memory = memory
        self._ttl_s = ttl_s
        self._flight = SingleFlight()
        self._found = self._missed = 0

    def state(self) -> dict[str, int]:
        """For `/state`: the number of searches that were spared, and of those that were made."""
        return {"found": self._found, "missed": self._missed}

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        """See `Retriever`."""
        version = self._versions.of(question.tenant)
        if version is None:
            return await self._inner.aretrieve(question, call)
        hashed = self._made_by.copy()
        hashed.update(_encode((question.tenant, normalised(question.text), version)))
        key = hashed.digest()
        kept = self._memory.get(key)
        if kept is not None:
            self._found += 1
            return _decode(kept)
        now = asyncio.get_running_loop().time()
        joined = await self._flight.ajoin(key, wait_until(now, call.deadline))
        if isinstance(joined, bytes):
            self._found += 1
            return _decode(joined)
        self._missed += 1
        if joined is Role.ALONE:
            return await self._inner.aretrieve(question, call)
        lapses = self._lapses()
        try:
            found = await self._inner.aretrieve(question, call)
        except BaseException:
            self._flight.hand_over(key)
            raise
        if self._lapses() != lapses or self._versions.of(question.tenant) != version:
            self._flight.let_go(key)
            return found
        value = _encode(list(found))
        self._memory.put(key, value, lifetime_s(self._ttl_s, found=bool(found)))
        self._flight.land(key, value)
        return found
