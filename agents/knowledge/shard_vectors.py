"""The documents of the embedded index that lack their vectors, and the move to a shard with room for them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from agents.errors import PermanentError
from agents.knowledge.index import DEPENDENCY, DIGEST, DOCUMENT, NUMBER, TENANT, TEXT, TITLE, point_id, titled
from agents.knowledge.pacing import Pacer
from agents.knowledge.shard import Shard
from agents.knowledge.vectors import DUE, PAGE, REFUSED, Bare

POINTS_PER_CALL = 4
"""Points that one call of the engine writes: 0.4 ms for new points, 2 ms for replaced ones."""

COPIED_AT_ONCE = 64
"""Points read at once in a move to another shard."""


class ShardBareDocuments:
    """See `agents.knowledge.vectors.BareDocuments`.

    Args:
        writing: the index's lock around changes.
        shard: returns the shard; None: the index is closed.
        aroom: returns the shard with room for vectors of a length; it is called under the lock.
    """

    def __init__(
        self,
        writing: asyncio.Lock,
        shard: Callable[[], Shard | None],
        aroom: Callable[[int], Awaitable[Shard | None]],
    ) -> None:
        self._writing = writing
        self._shard = shard
        self._aroom = aroom

    async def apage(self, after: str | None) -> tuple[Sequence[Bare], str | None]:
        """See `BareDocuments`."""
        pacer = Pacer()
        async with self._writing:
            shard = self._shard()
            if shard is None:
                return (), None
            found = []
            firsts, following = shard.marked(DUE, after, PAGE)
            for first in firsts:
                tenant, document_id = str(first[TENANT]), str(first[DOCUMENT])
                chunks = sorted(
                    shard.payloads(tenant, document_id).items(), key=lambda chunk: int(chunk[1][NUMBER])
                )
                texts = {point: titled(str(chunk[TITLE]), str(chunk[TEXT])) for point, chunk in chunks}
                found.append(Bare(tenant, document_id, str(first.get(DIGEST, "")), texts))
                await pacer.abreathe()
            return found, following

    async def akeep(self, bare: Bare, vectors: Sequence[list[float]]) -> None:
        """See `BareDocuments`."""
        pacer = Pacer()
        async with self._writing:
            shard = await self._aroom(len(vectors[0]))
            first = point_id(bare.tenant, bare.document_id, 0)
            if shard is None or shard.digest(first) != bare.version:
                return
            made = list(zip(bare.texts, vectors, strict=True))
            for at in range(0, len(made), POINTS_PER_CALL):
                shard.add_vectors(dict(made[at : at + POINTS_PER_CALL]))
                await pacer.abreathe()
            shard.set_mark(first, "")

    async def arefused(self, bare: Bare) -> None:
        """See `BareDocuments`."""
        async with self._writing:
            shard = self._shard()
            first = point_id(bare.tenant, bare.document_id, 0)
            if shard is not None and shard.digest(first) == bare.version:
                shard.set_mark(first, REFUSED)


async def amove(shard: Shard, path: Path, dense_size: int) -> Shard:
    """Copy a shard without dense vectors into a new one at `path` that has room for them.

    The engine could add them to the shard itself, but not quantized: a search would take six times as long.

    Raises:
        PermanentError: the shard has vectors of another length.
    """
    if shard.dense_size is not None:
        raise PermanentError(
            DEPENDENCY,
            f"the index has vectors of {shard.dense_size} numbers, but the embeddings have {dense_size}: "
            "give the other model another name in KOTAE_EMBEDDINGS__NAME, or remove the index",
        )
    pacer = Pacer()
    made = Shard.create(path, dense_size)
    after: str | None = None
    while True:
        points, after = shard.points(after, COPIED_AT_ONCE)
        for at in range(0, len(points), POINTS_PER_CALL):
            made.upsert(points[at : at + POINTS_PER_CALL])
            await pacer.abreathe()
        if after is None:
            return made
