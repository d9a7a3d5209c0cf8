"""Writes documents into the embedded index's shard, in steps between which other tasks run."""

import asyncio
from collections.abc import Sequence

from agents.knowledge.changes import Change
from agents.knowledge.index import DIGEST, VECTORS, context, point_id, to_payload
from agents.knowledge.pacing import Pacer
from agents.knowledge.shard import Shard, ShardPoint
from agents.knowledge.shard_vectors import POINTS_PER_CALL
from agents.knowledge.sparse import SparseEncoder
from agents.knowledge.storage import Directory
from agents.knowledge.vectors import DUE

DEAD_MIN = 5_000
"""Points that were replaced or deleted, at least, before a shard is crowded by what is left of them."""

REPLACED_PER_FLUSH = 2_000
"""Points replaced or deleted (10 MB) before a flush frees their space: a pause of 10-15 ms."""


class ShardWriter:
    """Replaces and removes documents; the caller holds the index's lock.

    Args:
        directory: where the shard is.
        encoder: makes the vectors of words.
        dense: whether documents get dense vectors, at once or later.
    """

    def __init__(self, directory: Directory, encoder: SparseEncoder, *, dense: bool) -> None:
        self._directory = directory
        self._encoder = encoder
        self._dense = dense
        self._replaced = 0
        self._live = 0  # as last counted
        self.dead = 0
        """Points replaced or deleted since the shard was made. The engine keeps 0.4-1 KB of each."""

    def crowds(self, shard: Shard) -> bool:
        """Whether the shard has many dead points, and more than live ones: a copy is worth its time."""
        if self.dead < max(DEAD_MIN, self._live):
            return False
        self._live = shard.count()
        return self.dead >= self._live

    async def areplace(
        self, shard: Shard, change: Change, vectors: Sequence[list[float]], pacer: Pacer
    ) -> None:
        """Put a document in place of its earlier version; without `vectors` it is marked as due."""
        document = change.document
        old = shard.ids(document.tenant, document.id)
        if old:
            # If the replacement is interrupted, the document must not pass for a complete one.
            shard.blank_digest(point_id(document.tenant, document.id, 0))
        made: list[ShardPoint] = []
        for chunk in change.chunks:
            dense = vectors[chunk.number] if vectors else None
            words = self._encoder.document(context(document, chunk), chunk.text)
            identity = point_id(document.tenant, document.id, chunk.number)
            payload = to_payload(document, chunk)
            if chunk.number == 0:
                payload[DIGEST] = change.version
                if dense is None and self._dense:
                    payload[VECTORS] = DUE
            made.append(ShardPoint(identity, words, dense, payload))
            await pacer.abreathe()
        for at in range(1, len(made), POINTS_PER_CALL):
            shard.upsert(made[at : at + POINTS_PER_CALL])
            await pacer.abreathe()
        await self.adelete(shard, old.difference(point.id for point in made), pacer)
        # The first point carries the digest, and so goes in last.
        if made:
            shard.upsert(made[:1])
        kept = sum(point.id in old for point in made)
        self._replaced += kept
        self.dead += kept

    async def adelete(self, shard: Shard, ids: set[str], pacer: Pacer) -> None:
        """Remove points."""
        remaining = list(ids)
        for at in range(0, len(remaining), POINTS_PER_CALL):
            shard.delete(remaining[at : at + POINTS_PER_CALL])
            await pacer.abreathe()
        self._replaced += len(remaining)
        self.dead += len(remaining)

    async def areclaim(self, shard: Shard) -> None:
        """Free the space of replaced points, once there are many."""
        if self._replaced >= REPLACED_PER_FLUSH:
            await self.aflush(shard)

    async def aflush(self, shard: Shard) -> None:
        """Write everything to disk."""
        # The engine holds the GIL while it writes to the disk: a thread writes the pages first.
        await asyncio.to_thread(self._directory.sync)
        shard.flush()
        self._replaced = 0
