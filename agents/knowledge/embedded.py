"""The embedded index: this process's own, on Qdrant's engine.

All work runs on the event loop, in short steps, because the engine holds the GIL (see `pacing`). A search
takes 0.3-0.9 ms of CPU (2,000-50,000 chunks), and up to 4 ms for the longest question; a thread would make
the loop wait as long. Only a save holds the loop for longer (0.1 s for the first 50,000 chunks): it happens
before a worker is ready and when it ends.
"""

import asyncio
import logging
import shutil
from collections.abc import Sequence
from itertools import islice

from agents.components import Passage, Trail
from agents.embeddings.meaning import Meaning
from agents.embeddings.protocol import Embeddings
from agents.errors import DependencyError, PermanentError, TransientError
from agents.knowledge import storage
from agents.knowledge.changes import Change, achunks, adigest
from agents.knowledge.index import DEPENDENCY, DIGEST, VECTORS, Positions, embedded_text, point_id, to_payload
from agents.knowledge.pacing import Pacer
from agents.knowledge.saved import read_positions, write_positions
from agents.knowledge.shard import Shard, ShardPoint
from agents.knowledge.shard_vectors import POINTS_PER_CALL, ShardBareDocuments, amove
from agents.knowledge.sparse import SparseEncoder, shorten
from agents.knowledge.vectors import DUE, REFUSED, Refusal, aembed_due, aembed_promptly
from schemas.document import Document

log = logging.getLogger(__name__)

SCHEME = 2
"""Grows when chunks, vectors or payload are made differently: an older index on disk is rebuilt."""

REPLACED_PER_FLUSH = 4_000
"""Points replaced or deleted (14 MB) before a flush frees their space: a pause of 10-15 ms."""


class EmbeddedIndex:
    """See `OwnIndex` and `EmbeddingIndex` in `index`. `open` makes it; one event loop uses it.

    With `embeddings`, a search also compares meanings, and fuses both rankings. While the embeddings'
    server is away, a search compares words alone, and documents come in without vectors.
    """

    def __init__(self, directory: storage.Directory, embeddings: Embeddings | None) -> None:
        self._directory = directory
        self._path = directory.path / "shard"
        # A shard with room for vectors is made when the first ones show their length.
        self._dense_path = directory.path / "dense"
        self._embeddings = embeddings
        self._scheme = f"{SCHEME}/{embeddings.model if embeddings else ''}"
        self._positions = read_positions(directory.path, self._scheme)
        self._encoder = SparseEncoder()
        self._writing = asyncio.Lock()
        self._replaced = 0
        self._meaning = Meaning(embeddings)
        self._closed = False
        self._shard: Shard | None = None
        self._bare = ShardBareDocuments(self._writing, lambda: self._shard, self._aroom)
        self._lacking = 0

    @classmethod
    def open(cls, path: str = "", embeddings: Embeddings | None = None) -> "EmbeddedIndex":
        """Load the index in `path`, or begin an empty one; without a path, in a temporary directory.

        Blocks for up to a second (50,000 chunks): call it before the worker serves.

        Raises:
            OSError: the directory cannot be made or written.
            DependencyError: the engine cannot start there.
        """
        index = cls(storage.persistent(path) if path else storage.temporary(), embeddings)
        index._load()
        return index

    def __repr__(self) -> str:
        return f"<EmbeddedIndex {self._directory!r}>"

    @property
    def positions(self) -> Positions | None:
        """See `OwnIndex`."""
        return self._positions

    @property
    def immediate(self) -> bool:
        """See `Index`: true without embeddings, which a search would wait for."""
        return self._embeddings is None

    @property
    def weakened(self) -> bool:
        """See `Index`."""
        return self._meaning.in_trouble or bool(self._lacking)

    @property
    def lapses(self) -> int:
        """See `Index`."""
        return self._meaning.lapses

    @property
    def lacking(self) -> int:
        """See `EmbeddingIndex`."""
        return self._lacking

    async def aupsert(self, documents: Sequence[Document]) -> None:
        """See `Index`. An unchanged document costs next to nothing."""
        latest = {(document.tenant, document.id): document for document in documents}
        pacer = Pacer()
        async with self._writing:
            changed: list[Change] = []
            for document in latest.values():
                await pacer.abreathe()
                version = await adigest(document, pacer)
                first = point_id(document.tenant, document.id, 0)
                if self._shard is None or self._shard.digest(first) != version:
                    changed.append(Change(document, version, await achunks(document, pacer)))
                elif self._shard.field(first, VECTORS) == REFUSED:
                    self._shard.set_mark(first, DUE)  # written again, so that it is tried again
            vectors = iter(await self._dense(changed))
            if self._shard is not None:
                for change in changed:
                    own = list(islice(vectors, len(change.chunks)))
                    await self._replace(self._shard, change, own, pacer)
                await self._reclaim(self._shard)
                self._count_lacking(self._shard)

    async def adelete(self, tenant: str, document_id: str) -> None:
        """See `Index`."""
        async with self._writing:
            if self._shard is not None:
                await self._delete(self._shard, self._shard.ids(tenant, document_id), Pacer())
                await self._reclaim(self._shard)
                self._count_lacking(self._shard)

    async def acount_lacking(self) -> int:
        """See `EmbeddingIndex`: no other process changes this index."""
        return self._lacking

    async def aembed_lacking(self) -> list[Refusal]:
        """See `EmbeddingIndex`."""
        if self._embeddings is None:
            return []
        try:
            return await aembed_due(self._bare, self._embeddings)
        finally:
            if self._shard is not None:
                self._count_lacking(self._shard)

    async def arecheck(self) -> None:
        """See `EmbeddingIndex`."""
        async with self._writing:
            if self._shard is not None and self._embeddings is not None:
                self._shard.replace_marks(REFUSED, DUE)
                self._count_lacking(self._shard)

    async def asearch(self, tenant: str, text: str, limit: int, trail: Trail | None = None) -> list[Passage]:
        """See `Index`."""
        vector = None if self._embeddings is None else await self._meaning.avector(shorten(text))
        if self._closed:
            raise TransientError(DEPENDENCY, "the index is closed")
        if self._shard is None:
            return []
        if vector is not None and (self._lacking or len(vector) != self._shard.dense_size):
            self._meaning.lapses += 1
        if vector is not None and len(vector) != self._shard.dense_size:
            vector = None
        if vector is None:
            self._meaning.tell_words_alone(trail)
        return self._shard.search(tenant, self._encoder.query(text), vector, limit)

    async def acount(self) -> int:
        """See `Index`."""
        return 0 if self._shard is None else self._shard.count()

    async def asave(self, positions: Positions) -> None:
        """See `OwnIndex`."""
        async with self._writing:
            if self._closed:
                return
            if self._shard is not None:
                await self._flush(self._shard)
            await asyncio.to_thread(write_positions, self._directory.path, self._scheme, positions)
            self._positions = positions

    async def aclear(self) -> None:
        """See `OwnIndex`."""
        async with self._writing:
            self._reset()

    async def aclose(self) -> None:
        """See `Index`. Removes a temporary directory."""
        async with self._writing:
            if not self._closed:
                self._closed = True
                shard, self._shard = self._shard, None
                if shard is not None:
                    shard.close()
                await asyncio.to_thread(self._directory.release)

    def _load(self) -> None:
        if self._positions is None:
            self._reset()
            return
        if self._path.exists():  # else its documents were all moved to the dense one
            shutil.rmtree(self._dense_path, ignore_errors=True)
        path = self._path if self._path.exists() else self._dense_path
        try:
            self._shard = Shard.load(path)
            self._count_lacking(self._shard)
        except DependencyError as error:
            log.warning("the index in %s cannot be read and is rebuilt: %s", path, error)
            self._reset()

    def _reset(self) -> None:
        if self._shard is not None:
            self._shard.close()
        self._directory.clear()
        self._positions = None
        self._lacking = 0
        self._shard = Shard.create(self._path, None)

    async def _dense(self, changed: Sequence[Change]) -> list[list[float]]:
        """Return a vector for every chunk, in order; none while the embeddings are away, or not used."""
        # Behind documents that wait for theirs: each attempt may take as long as the server hangs.
        if self._embeddings is None or self._lacking:
            return []
        texts = [embedded_text(change.document, chunk) for change in changed for chunk in change.chunks]
        vectors = await aembed_promptly(self._embeddings, texts) if texts else []
        if vectors:
            try:
                await self._aroom(len(vectors[0]))
            except PermanentError as error:
                log.warning("%s", error)
                return []
        return vectors

    async def _aroom(self, dense_size: int) -> Shard | None:
        """Return the shard, moved to one with room for such vectors if it has none; None: it is closed."""
        old = self._shard
        if old is None or old.dense_size == dense_size:
            return old
        shutil.rmtree(self._dense_path, ignore_errors=True)  # of a move that was interrupted
        new = await amove(old, self._dense_path, dense_size)
        await self._flush(new)
        self._shard = new
        old.close()
        shutil.rmtree(self._path)
        return new

    def _count_lacking(self, shard: Shard) -> None:
        self._lacking = 0 if self._embeddings is None else shard.count_marked(DUE)

    async def _replace(
        self, shard: Shard, change: Change, vectors: Sequence[list[float]], pacer: Pacer
    ) -> None:
        document = change.document
        old = shard.ids(document.tenant, document.id)
        if old:
            # If the replacement is interrupted, the document must not pass for a complete one.
            shard.blank_digest(point_id(document.tenant, document.id, 0))
        made: list[ShardPoint] = []
        for chunk in change.chunks:
            dense = vectors[chunk.number] if vectors else None
            words = self._encoder.document(document.title, chunk.text)
            identity = point_id(document.tenant, document.id, chunk.number)
            payload = to_payload(document, chunk)
            if chunk.number == 0:
                payload[DIGEST] = change.version
                if dense is None and self._embeddings is not None:
                    payload[VECTORS] = DUE
            made.append(ShardPoint(identity, words, dense, payload))
            await pacer.abreathe()
        for at in range(1, len(made), POINTS_PER_CALL):
            shard.upsert(made[at : at + POINTS_PER_CALL])
            await pacer.abreathe()
        await self._delete(shard, old.difference(point.id for point in made), pacer)
        # The first point carries the digest, and so goes in last.
        if made:
            shard.upsert(made[:1])
        self._replaced += len(old)

    async def _delete(self, shard: Shard, ids: set[str], pacer: Pacer) -> None:
        remaining = list(ids)
        for at in range(0, len(remaining), POINTS_PER_CALL):
            shard.delete(remaining[at : at + POINTS_PER_CALL])
            await pacer.abreathe()
        self._replaced += len(remaining)

    async def _reclaim(self, shard: Shard) -> None:
        if self._replaced >= REPLACED_PER_FLUSH:
            await self._flush(shard)

    async def _flush(self, shard: Shard) -> None:
        # The engine holds the GIL while it writes to the disk: a thread writes the pages first.
        await asyncio.to_thread(self._directory.sync)
        shard.flush()
        self._replaced = 0
