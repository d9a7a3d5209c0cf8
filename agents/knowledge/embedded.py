"""The embedded index: this process's own, on Qdrant's engine.

All work runs on the event loop, in short steps, because the engine holds the GIL (see `pacing`). A search
takes 0.3-0.9 ms of CPU (2,000-50,000 chunks), and up to 4 ms for the longest question; a thread would make
the loop wait as long. Only a save holds it for longer (0.1 s for 50,000 chunks), before ready and at the end.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import islice

from agents.components import Passage, Trail
from agents.documents.chunking import DEFAULT_SIZES, ChunkSizes
from agents.embeddings.meaning import Meaning
from agents.embeddings.protocol import Embeddings
from agents.errors import TransientError
from agents.knowledge import storage
from agents.knowledge.changes import Change, adigest, aprepare
from agents.knowledge.fusion import ALIKE, Fusion
from agents.knowledge.index import DEPENDENCY, VECTORS, DocumentName, Positions, embedded_text, point_id
from agents.knowledge.pacing import Pacer
from agents.knowledge.saved import read_positions, write_positions
from agents.knowledge.shard import Shard
from agents.knowledge.shard_home import ShardHome
from agents.knowledge.shard_vectors import (
    ShardBareDocuments,
    avectors_of,
)
from agents.knowledge.shard_writing import ShardWriter
from agents.knowledge.sparse import SparseEncoder, shorten
from agents.knowledge.vectors import DUE, REFUSED, Refusal, aembed_due, aembed_promptly
from schemas.document import Document

log = logging.getLogger(__name__)

SCHEME = 4
"""Grows when chunks, vectors or payload are made differently: an older index on disk is rebuilt."""

NAMES_AT_ONCE = 128
"""Points whose documents are read in one call of the engine: less than a millisecond."""


class EmbeddedIndex:
    """See `OwnIndex` and `EmbeddingIndex` in `index`. `open` makes it; one event loop uses it.

    With `embeddings`, a search also compares meanings (see `fusion`). While the embeddings'
    server is away, a search compares words alone, and documents come in without vectors.
    """

    def __init__(
        self,
        directory: storage.Directory,
        embeddings: Embeddings | None,
        fusion: Fusion = ALIKE,
        sizes: ChunkSizes = DEFAULT_SIZES,
    ) -> None:
        self._directory = directory
        self._sizes = sizes
        self._embeddings = embeddings
        self._fusion = fusion
        chunks = f"{sizes.max_tokens}-{sizes.overlap_tokens}"
        self._scheme = f"{SCHEME}/{chunks}/{embeddings.model if embeddings else ''}"
        self._positions, dead = read_positions(directory.path, self._scheme)
        self._encoder = SparseEncoder()
        self._writing = asyncio.Lock()
        self._writer = ShardWriter(directory, self._encoder, dense=embeddings is not None)
        self._writer.dead = dead
        self._meaning = Meaning(embeddings)
        self._closed = False
        self._remaking: asyncio.Task[None] | None = None
        self._home = ShardHome(directory, self._writer)
        self._bare = ShardBareDocuments(self._writing, lambda: self._shard, self._home.aroom)
        self._lacking = 0

    @classmethod
    def open(
        cls,
        path: str = "",
        embeddings: Embeddings | None = None,
        fusion: Fusion = ALIKE,
        sizes: ChunkSizes = DEFAULT_SIZES,
    ) -> "EmbeddedIndex":
        """Load the index in `path`, or begin an empty one; without a path, in a temporary directory.

        Blocks for up to a second (50,000 chunks): call it before the worker serves.

        Raises:
            OSError: the directory cannot be made or written.
            DependencyError: the engine cannot start there.
        """
        index = cls(storage.persistent(path) if path else storage.temporary(), embeddings, fusion, sizes)
        index._load()
        return index

    def __repr__(self) -> str:
        return f"<EmbeddedIndex {self._directory!r}>"

    @property
    def _shard(self) -> Shard | None:
        return self._home.shard

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

    async def aupsert(self, documents: Sequence[Document], begun: Callable[[], None] = lambda: None) -> None:
        """See `OwnIndex`. An unchanged document costs next to nothing."""
        latest = {(document.tenant, document.id): document for document in documents}
        pacer = Pacer()
        async with self._writing:
            changed: list[Change] = []
            for document in latest.values():
                await pacer.abreathe()
                version = await adigest(document, pacer)
                first = point_id(document.tenant, document.id, 0)
                if self._shard is None or self._shard.digest(first) != version:
                    changed.append(await aprepare(document, self._sizes, pacer))
                elif self._shard.field(first, VECTORS) == REFUSED:
                    self._shard.set_mark(first, DUE)  # written again, so that it is tried again
            vectors = iter(await self._dense(changed, pacer))
            if self._shard is not None:
                if changed:
                    begun()
                for change in changed:
                    own = list(islice(vectors, len(change.chunks)))
                    await self._writer.areplace(self._shard, change, own, pacer)
                await self._home.areclaim()
                self._count_lacking()

    async def adelete(self, tenant: str, document_id: str) -> None:
        """See `Index`."""
        async with self._writing:
            if self._shard is not None:
                await self._writer.adelete(self._shard, self._shard.ids(tenant, document_id), Pacer())
                await self._home.areclaim()
                self._count_lacking()

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
            self._count_lacking()

    async def arecheck(self) -> None:
        """See `EmbeddingIndex`."""
        async with self._writing:
            if self._shard is not None and self._embeddings is not None:
                self._shard.replace_marks(REFUSED, DUE)
                self._count_lacking()

    async def asearch(self, tenant: str, text: str, limit: int, trail: Trail | None = None) -> list[Passage]:
        """See `Index`."""
        vector = None if self._embeddings is None else await self._meaning.avector(shorten(text))
        if self._closed:
            raise TransientError(DEPENDENCY, "the index is closed")
        if self._shard is None:
            return []
        fits = vector is None or len(vector) == self._shard.dense_size
        if vector is not None and (self._lacking or not fits):
            self._meaning.lapses += 1
        if vector is not None and not fits:
            self._remake(len(vector))
            vector = None
        if vector is None:
            self._meaning.tell_words_alone(trail)
        return self._shard.search(tenant, self._encoder.query(text), vector, limit, self._fusion)

    async def acount(self) -> int:
        """See `Index`."""
        return 0 if self._shard is None else self._shard.count()

    async def asave(self, positions: Positions) -> None:
        """See `OwnIndex`."""
        async with self._writing:
            if self._closed:
                return
            if self._shard is not None:
                await self._writer.aflush(self._shard)
            await asyncio.to_thread(
                write_positions, self._directory.path, self._scheme, positions, self._writer.dead
            )
            self._positions = positions

    async def aclear(self) -> None:
        """See `OwnIndex`."""
        async with self._writing:
            self._reset()

    async def anames(self) -> set[DocumentName]:
        """See `OwnIndex`."""
        found: set[DocumentName] = set()
        pacer = Pacer()
        async with self._writing:
            after: str | None = None
            while self._shard is not None:
                names, after = self._shard.names(after, NAMES_AT_ONCE)
                found |= names
                if after is None:
                    break
                await pacer.abreathe()
        return found

    async def aclose(self) -> None:
        """See `Index`. Removes a temporary directory."""
        async with self._writing:
            if not self._closed:
                self._closed = True
                if self._remaking is not None:
                    self._remaking.cancel()
                self._home.close()
                await asyncio.to_thread(self._directory.release)

    def _load(self) -> None:
        if self._positions is None or not self._home.load():
            self._reset()
        self._count_lacking()

    def _reset(self) -> None:
        self._positions = None
        self._lacking = 0
        self._home.reset()

    async def _dense(self, changed: Sequence[Change], pacer: Pacer) -> list[list[float]]:
        """Return a vector for every chunk, in order; none while the embeddings are away, or not used."""
        # Behind documents that wait for theirs: each attempt may take as long as the server hangs.
        if self._embeddings is None or self._lacking or self._shard is None:
            return []
        texts = [embedded_text(change.document, chunk) for change in changed for chunk in change.chunks]
        names = [(change.document.tenant, change.document.id) for change in changed]
        vectors = await avectors_of(self._shard, names, pacer)
        missing = list(dict.fromkeys(text for text in texts if text not in vectors))
        made = await aembed_promptly(self._embeddings, missing) if missing else []
        if len(made) < len(missing):
            return []
        vectors.update(zip(missing, made, strict=True))
        if made and not await self._home.aroom(len(made[0])):
            return []
        size = self._shard.dense_size
        # Vectors that were kept have the old length if the shard was moved to another one.
        fit = all(len(vectors[text]) == size for text in texts)
        return [vectors[text] for text in texts] if fit else []

    def _remake(self, dense_size: int) -> None:
        """Make room for vectors of another length than the index has: the embeddings' model has changed."""
        if self._shard is None or self._shard.dense_size is None or self._remaking is not None:
            return

        async def remake() -> None:
            async with self._writing:
                await self._home.aroom(dense_size)
                self._count_lacking()

        self._remaking = asyncio.create_task(remake(), name="knowledge-remake")
        self._remaking.add_done_callback(self._remade)

    def _remade(self, task: asyncio.Task[None]) -> None:
        self._remaking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("the index cannot be moved to vectors of another length: %s", error)

    def _count_lacking(self) -> None:
        shard = self._shard
        if shard is not None:
            self._lacking = 0 if self._embeddings is None else shard.count_marked(DUE)
