"""The index on a Qdrant server, shared by all workers; it stores the same points as the embedded index.

The first index that is made imports the client library, which takes 68 MB and 1.3 s.
"""

import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from yarl import URL

from agents.components import Passage, Trail
from agents.documents.chunking import DEFAULT_SIZES, ChunkSizes
from agents.embeddings.meaning import Meaning
from agents.embeddings.protocol import Embeddings
from agents.errors import PermanentError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.knowledge.changes import Change, aprepare
from agents.knowledge.collection import Collection
from agents.knowledge.fusion import ALIKE, Fusion
from agents.knowledge.index import (
    DENSE,
    DEPENDENCY,
    DIGEST,
    DOCUMENT,
    KEY,
    LEXICAL,
    NUMBER,
    TENANT,
    VECTORS,
    DocumentName,
    context,
    embedded_text,
    point_id,
    to_payload,
)
from agents.knowledge.pacing import Pacer
from agents.knowledge.qdrant_errors import translated
from agents.knowledge.server_search import ServerSearch
from agents.knowledge.server_vectors import ServerBareDocuments
from agents.knowledge.sparse import SparseEncoder, shorten
from agents.knowledge.vectors import DUE, Refusal, aembed_due, aembed_promptly
from schemas.document import Document

if TYPE_CHECKING:
    from qdrant_client.models import FieldCondition, PointStruct, UpdateOperation
    from qdrant_client.models import SparseVector as RestSparseVector
    from qdrant_edge import SparseVector

POINTS_PER_REQUEST = 64
"""A request has about 0.5 MB; servers take 32 MB."""

HELD_AT_ONCE = 256
"""Documents read in one request whose record keys were noted."""

PORT = 6333
"""The port of a URL that names none."""
TIMEOUT_S = 30
"""The limit of a request in seconds. The deadline of its stage ends a search sooner."""


class ServerIndex:
    """See `EmbeddingIndex` and `KeyedIndex` in `index`. The first document creates the collection.

    `tls` holds the trusted authorities (see `HttpPool`).
    """

    immediate = False

    def __init__(
        self,
        url: str,
        collection: str,
        api_key: str = "",
        embeddings: Embeddings | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        fusion: Fusion = ALIKE,
        sizes: ChunkSizes = DEFAULT_SIZES,
    ) -> None:
        import qdrant_client  # noqa: PLC0415 - see the module's docstring

        self._models = qdrant_client.models
        at = URL(url)
        at = at if at.explicit_port else at.with_port(PORT)
        self._pool = HttpPool(DEPENDENCY, allowed={endpoint(str(at))}, tls=tls)
        self._client = qdrant_client.AsyncQdrantClient(
            url=str(at),
            port=at.port,  # a URL leaves out the port of its scheme
            api_key=api_key or None,
            timeout=TIMEOUT_S,
            # The check is a blocking request from this constructor.
            check_compatibility=False,
            # httpx's own pool costs CPU with the square of its connections, and caps no response.
            transport=self._pool.transport(),
            trust_env=False,
        )
        self._name = f"the collection {collection!r} at {url}"
        self._collection = collection
        self._room = Collection(
            self._client, self._models, collection, told=self._name, dense=embeddings is not None
        )
        self._bare = ServerBareDocuments(self._client, self._models, collection, self._room)
        self._search = ServerSearch(self._client, self._models, collection, fusion)
        self._embeddings = embeddings
        self._sizes = sizes
        self._encoder = SparseEncoder()
        self._meaning = Meaning(embeddings)
        self._lacking = 0

    def __repr__(self) -> str:
        return f"<ServerIndex {self._name}>"

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
        """See `Index`."""
        latest = {(document.tenant, document.id): document for document in documents}
        pacer = Pacer()
        operations: list[UpdateOperation] = []
        points = 0
        bare = False
        for document in latest.values():
            change = await aprepare(document, self._sizes, pacer)
            chunks = change.chunks
            # Behind documents that wait for theirs: each attempt may take as long as the server hangs.
            dense: Sequence[list[float]] = []
            if self._embeddings is not None and chunks and not (self._lacking or bare):
                dense = await aembed_promptly(
                    self._embeddings, [embedded_text(change.document, chunk) for chunk in chunks]
                )
            bare = bare or bool(chunks and self._embeddings is not None and not dense)
            if chunks and not await self._room.aprepare(len(dense[0]) if dense else None):
                dense, bare = [], True
            made = await self._points(change, dense, pacer)
            for at in range(0, len(made), POINTS_PER_REQUEST):
                if points >= POINTS_PER_REQUEST:
                    await self._update(operations)
                    operations, points = [], 0
                group = made[at : at + POINTS_PER_REQUEST]
                operations.append(self._models.UpsertOperation(upsert=self._models.PointsList(points=group)))
                points += len(group)
            operations.append(self._removal(document.tenant, document.id, len(made)))
        await self._update(operations)
        if self._embeddings is not None and (bare or self._lacking or self._room.emptied):
            await self.acount_lacking()

    async def adelete(self, tenant: str, document_id: str) -> None:
        """See `Index`."""
        await self._update([self._removal(tenant, document_id, 0)])

    async def asearch(self, tenant: str, text: str, limit: int, trail: Trail | None = None) -> list[Passage]:
        """See `Index`."""
        vector = None if self._embeddings is None else await self._meaning.avector(shorten(text))
        if not await self._room.aready():
            return []
        words = self._sparse(self._encoder.query(text))
        if vector is not None and await self._room.amake_fit(len(vector)):
            await self.acount_lacking()
        fits = vector is None or len(vector) == self._room.dense_size
        if vector is not None and (self._lacking or not fits):
            self._meaning.lapses += 1
        if vector is None or not fits:
            self._meaning.tell_words_alone(trail)
        try:
            return await self._search.asearch(tenant, words, vector if fits else None, limit)
        except PermanentError as error:
            # Another worker may have made room for vectors of another length.
            if vector is None or error.status != HTTPStatus.BAD_REQUEST:
                raise
            await self._room.arefresh()
            self._meaning.lapses += 1
            self._meaning.tell_words_alone(trail)
            return await self._search.asearch(tenant, words, None, limit)

    async def acount(self) -> int:
        """See `Index`."""
        if not await self._room.aready():
            return 0
        with translated():
            return (await self._client.count(self._collection, exact=True)).count

    async def aclose(self) -> None:
        """See `Index`."""
        with translated():
            await self._client.close()
        await self._pool.aclose()

    async def acount_lacking(self) -> int:
        """See `EmbeddingIndex`."""
        if self._embeddings is not None and await self._room.aready():
            await self._room.arefresh()
            self._room.emptied = False
            self._lacking = await self._bare.acount()
        return self._lacking

    async def aembed_lacking(self) -> list[Refusal]:
        """See `EmbeddingIndex`."""
        if self._embeddings is None or not await self._room.aready():
            return []
        try:
            return await aembed_due(self._bare, self._embeddings)
        finally:
            await self.acount_lacking()

    async def arecheck(self) -> None:
        """See `EmbeddingIndex`."""
        if self._embeddings is not None and await self._room.aready():
            await self._bare.arecheck()
            await self.acount_lacking()

    async def ahold(self, keys: Mapping[DocumentName, str]) -> None:
        """See `KeyedIndex`."""
        models = self._models
        await self._update(
            [
                models.SetPayloadOperation(
                    set_payload=models.SetPayload(payload={KEY: key}, points=[point_id(*name, 0)])
                )
                for name, key in keys.items()
            ]
        )

    async def aheld(self) -> dict[DocumentName, str]:
        """See `KeyedIndex`."""
        if not await self._room.aready():
            return {}
        models = self._models
        noted = models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=KEY))])
        return {
            (str(payload[TENANT]), str(payload[DOCUMENT])): str(payload[KEY])
            async for _, payload in self._room.apoints(noted, HELD_AT_ONCE)
        }

    async def _points(
        self, change: Change, dense: Sequence[list[float]], pacer: Pacer
    ) -> list["PointStruct"]:
        document = change.document
        points = []
        for chunk in change.chunks:
            words = self._sparse(self._encoder.document(context(document, chunk), chunk.text))
            vector: dict[str, Any] = {LEXICAL: words}
            identity = point_id(document.tenant, document.id, chunk.number)
            payload = to_payload(document, chunk) | {DIGEST: change.version}
            if dense:
                vector[DENSE] = dense[chunk.number]
            elif self._embeddings is not None and chunk.number == 0:
                payload[VECTORS] = DUE
            points.append(self._models.PointStruct(id=identity, vector=vector, payload=payload))
            await pacer.abreathe()
        # The first one last: its mark tells that vectors of all the others are missing.
        return points[1:] + points[:1]

    async def _update(self, operations: Sequence["UpdateOperation"]) -> None:
        # Without a collection there is nothing to remove either.
        if operations and await self._room.aready():
            try:
                with translated():
                    await self._client.batch_update_points(self._collection, operations, wait=True)
            except PermanentError:
                await self._room.arefresh()  # see `asearch`
                raise

    def _removal(self, tenant: str, document_id: str, kept: int) -> "UpdateOperation":
        """Return an operation that removes a document's chunks from number `kept` on."""
        models = self._models
        beyond = models.FieldCondition(key=NUMBER, range=models.Range(gte=kept))
        which = models.Filter(must=[self._is(TENANT, tenant), self._is(DOCUMENT, document_id), beyond])
        operation: UpdateOperation = models.DeleteOperation(delete=models.FilterSelector(filter=which))
        return operation

    def _is(self, field: str, value: str) -> "FieldCondition":
        return self._models.FieldCondition(key=field, match=self._models.MatchValue(value=value))

    def _sparse(self, vector: "SparseVector") -> "RestSparseVector":
        return self._models.SparseVector(indices=vector.indices, values=vector.values)
