"""The documents of the embedded index that lack their vectors, and the move to a shard with room for them."""

import asyncio
import logging
import re
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from agents.knowledge.index import (
    DIGEST,
    DOCUMENT,
    NUMBER,
    TENANT,
    VECTORS,
    DocumentName,
    point_id,
    stored_embedded_text,
)
from agents.knowledge.pacing import Pacer
from agents.knowledge.shard import Shard, ShardPoint
from agents.knowledge.vectors import DUE, PAGE, REFUSED, Bare

log = logging.getLogger(__name__)

POINTS_PER_CALL = 4
"""Points that one call of the engine writes: 0.4 ms for new points, 2 ms for replaced ones."""

FIRST = "shard"
"""The name of a new shard's directory. It gets room for vectors when the first ones show their length."""

_COPY = "dense"
"""The name of the first copy's directory; the next one is `dense-2`."""
_NUMBERED = re.compile(rf"{_COPY}-([1-9][0-9]*)")

COPIED_AT_ONCE = 16
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
                texts = {point: stored_embedded_text(chunk) for point, chunk in chunks}
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


async def amove(shard: Shard, path: Path, dense_size: int | None) -> Shard:
    """Copy a shard into a new one at `path` that has room for vectors of this length (None: for none).

    Vectors of another length are left out: their documents are due. The engine could make the room in the
    shard itself, but not quantized: a search would take six times as long.
    """
    other = shard.dense_size not in {None, dense_size}
    if other:
        log.warning(
            "the index has vectors of %d numbers, but the embeddings make %d: all are made anew, "
            "and documents are found by words alone until then",
            shard.dense_size,
            dense_size,
        )
    pacer = Pacer()
    made = Shard.create(path, dense_size)
    after: str | None = None
    while True:
        points, after = shard.points(after, COPIED_AT_ONCE)
        if other:
            points = [_without_vector(point) for point in points]
        for at in range(0, len(points), POINTS_PER_CALL):
            made.upsert(points[at : at + POINTS_PER_CALL])
            await pacer.abreathe()
        if after is None:
            return made


def _without_vector(point: ShardPoint) -> ShardPoint:
    due = {VECTORS: DUE} if point.payload[NUMBER] == 0 else {}
    return replace(point, dense=None, payload=point.payload | due)


async def avectors_of(shard: Shard, names: Sequence[DocumentName], pacer: Pacer) -> dict[str, list[float]]:
    """Return the vectors that chunks of these documents have now, by the text that was embedded."""
    vectors: dict[str, list[float]] = {}
    if shard.dense_size is None:
        return vectors
    for name in names:
        ids = list(shard.ids(*name))
        for at in range(0, len(ids), POINTS_PER_CALL):
            for point in shard.stored(ids[at : at + POINTS_PER_CALL]):
                if point.dense is not None:
                    vectors[stored_embedded_text(point.payload)] = point.dense
            await pacer.abreathe()
    return vectors


def found_shard(directory: Path) -> Path:
    """Return the shard in an index's directory, and remove one that was being copied from it."""
    found = sorted((number, path) for path in directory.iterdir() if (number := _number(path)) is not None)
    for _, path in found[1:]:
        shutil.rmtree(path, ignore_errors=True)
    return found[0][1] if found else directory / FIRST


def next_shard(path: Path) -> Path:
    """Return the path for a copy of the shard at `path`, which is removed when the copy is complete."""
    number = (_number(path) or 0) + 1
    return path.with_name(_COPY if number == 1 else f"{_COPY}-{number}")


def _number(path: Path) -> int | None:
    """Return how often an index was copied before its shard was made at this path; None: it is no shard."""
    if path.name in {FIRST, _COPY}:
        return int(path.name == _COPY)
    numbered = _NUMBERED.fullmatch(path.name)
    return int(numbered[1]) if numbered else None
