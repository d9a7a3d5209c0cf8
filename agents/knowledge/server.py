"""The index on a Qdrant server, shared by all workers; it stores the same points as the embedded index.

The first index that is made imports the client library, which takes 68 MB and 1.3 s.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from yarl import URL

from agents.components import Passage
from agents.errors import (
    DependencyError,
    PermanentError,
    ThrottledError,
    TransientError,
    error_of_status,
)
from agents.http.client import RefusedError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.http.status import retry_after_s
from agents.knowledge.changes import achunks
from agents.knowledge.embeddings import Embeddings, Meaning
from agents.knowledge.index import (
    DENSE,
    DEPENDENCY,
    DOCUMENT,
    FUSED_CANDIDATES,
    FUSION_K,
    LEXICAL,
    NUMBER,
    TENANT,
    embedded_text,
    point_id,
    to_passage,
    to_payload,
)
from agents.knowledge.pacing import Pacer
from agents.knowledge.sparse import SparseEncoder, shorten
from schemas.document import Document

if TYPE_CHECKING:
    from qdrant_client.http.models import CollectionParams
    from qdrant_client.models import FieldCondition, PointStruct, UpdateOperation
    from qdrant_client.models import SparseVector as RestSparseVector
    from qdrant_edge import SparseVector

POINTS_PER_REQUEST = 64
"""A request has about 0.5 MB; servers take 32 MB."""

PORT = 6333
"""The port of a URL that names none."""
TIMEOUT_S = 30
"""The limit of a request in seconds. The deadline of its stage ends a search sooner."""


class ServerIndex:
    """See `agents.knowledge.index.Index`. The first use creates the collection if there is none.

    An existing collection must have the vectors that the index needs, else every call raises a
    `PermanentError` that says so. `tls` holds the trusted authorities (see `HttpPool`).
    """

    immediate = False

    def __init__(
        self,
        url: str,
        collection: str,
        api_key: str = "",
        embeddings: Embeddings | None = None,
        tls: ssl.SSLContext | None = None,
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
        self._embeddings = embeddings
        self._encoder = SparseEncoder()
        self._preparing = asyncio.Lock()
        self._meaning = Meaning(embeddings)
        self._ready = asyncio.Event()

    def __repr__(self) -> str:
        return f"<ServerIndex {self._name}>"

    @property
    def weakened(self) -> bool:
        """See `Index`."""
        return self._meaning.in_trouble

    @property
    def lapses(self) -> int:
        """See `Index`."""
        return self._meaning.lapses

    async def aupsert(self, documents: Sequence[Document]) -> None:
        """See `Index`."""
        latest = {(document.tenant, document.id): document for document in documents}
        pacer = Pacer()
        operations: list[UpdateOperation] = []
        points = 0
        for document in latest.values():
            made = await self._points(document, pacer)
            for at in range(0, len(made), POINTS_PER_REQUEST):
                if points >= POINTS_PER_REQUEST:
                    await self._update(operations)
                    operations, points = [], 0
                group = made[at : at + POINTS_PER_REQUEST]
                operations.append(self._models.UpsertOperation(upsert=self._models.PointsList(points=group)))
                points += len(group)
            operations.append(self._removal(document.tenant, document.id, len(made)))
        await self._update(operations)

    async def adelete(self, tenant: str, document_id: str) -> None:
        """See `Index`."""
        await self._update([self._removal(tenant, document_id, 0)])

    async def asearch(self, tenant: str, text: str, limit: int) -> list[Passage]:
        """See `Index`."""
        vector = None if self._embeddings is None else await self._meaning.avector(shorten(text))
        if not await self._prepare(vector):
            return []
        models = self._models
        only = models.Filter(must=[self._is(TENANT, tenant)])
        # The rarity of words in other tenants' documents must not show in a score.
        own = models.SearchParams(idf=models.IdfCorpusParams(corpus=only))
        words = self._sparse(self._encoder.query(text))
        query: dict[str, Any]
        if vector is None:
            query = {"query": words, "using": LEXICAL, "query_filter": only, "search_params": own}
        else:
            by_words = models.Prefetch(
                query=words, using=LEXICAL, filter=only, params=own, limit=FUSED_CANDIDATES
            )
            by_meaning = models.Prefetch(query=vector, using=DENSE, filter=only, limit=FUSED_CANDIDATES)
            fused = models.RrfQuery(rrf=models.Rrf(k=FUSION_K))
            query = {"prefetch": [by_words, by_meaning], "query": fused, "query_filter": only}
        with _translated():
            found = await self._client.query_points(self._collection, limit=limit, with_payload=True, **query)
        return [to_passage(point.payload or {}, point.score) for point in found.points]

    async def acount(self) -> int:
        """See `Index`."""
        if not await self._prepare(None):
            return 0
        with _translated():
            return (await self._client.count(self._collection, exact=True)).count

    async def aclose(self) -> None:
        """See `Index`."""
        with _translated():
            await self._client.close()
        await self._pool.aclose()

    async def _points(self, document: Document, pacer: Pacer) -> list["PointStruct"]:
        chunks = await achunks(document, pacer)
        dense: list[list[float]] = []
        if self._embeddings is not None and chunks:
            dense = await self._embeddings.aembed([embedded_text(document, chunk) for chunk in chunks])
        if chunks:
            await self._prepare(dense[0] if dense else None)
        points = []
        for chunk in chunks:
            words = self._sparse(self._encoder.document(document.title, chunk.text))
            vector: dict[str, Any] = {LEXICAL: words}
            if dense:
                vector[DENSE] = dense[chunk.number]
            identity = point_id(document.tenant, document.id, chunk.number)
            payload = to_payload(document, chunk)
            points.append(self._models.PointStruct(id=identity, vector=vector, payload=payload))
            await pacer.abreathe()
        return points

    async def _update(self, operations: Sequence["UpdateOperation"]) -> None:
        # Without a collection there is nothing to remove either.
        if operations and await self._prepare(None):
            with _translated():
                await self._client.batch_update_points(self._collection, operations, wait=True)

    def _removal(self, tenant: str, document_id: str, kept: int) -> "UpdateOperation":
        """Return an operation that removes a document's chunks from number `kept` on."""
        models = self._models
        beyond = models.FieldCondition(key=NUMBER, range=models.Range(gte=kept))
        which = models.Filter(must=[self._is(TENANT, tenant), self._is(DOCUMENT, document_id), beyond])
        operation: UpdateOperation = models.DeleteOperation(delete=models.FilterSelector(filter=which))
        return operation

    async def _prepare(self, vector: list[float] | None) -> bool:
        """Check the collection, or create it once its vectors' length is known; False: there is none yet."""
        if self._ready.is_set():
            return True
        async with self._preparing:
            if self._ready.is_set():
                return True
            with _translated():
                exists = await self._client.collection_exists(self._collection)
            if not exists:
                if self._embeddings is not None and vector is None:
                    return False
                await self._create(vector)
            with _translated():
                found = await self._client.get_collection(self._collection)
            self._check(found.config.params, vector)
            for field, tenant in ((TENANT, True), (DOCUMENT, False)):
                schema = self._models.KeywordIndexParams(
                    type=self._models.KeywordIndexType.KEYWORD, is_tenant=tenant
                )
                with _translated():
                    await self._client.create_payload_index(self._collection, field, schema, wait=True)
            self._ready.set()
        return True

    async def _create(self, vector: list[float] | None) -> None:
        models = self._models
        dense = {}
        if vector is not None:
            dense[DENSE] = models.VectorParams(size=len(vector), distance=models.Distance.COSINE)
        words = models.SparseVectorParams(modifier=models.Modifier.IDF)
        try:
            with _translated():
                await self._client.create_collection(
                    self._collection, vectors_config=dense, sparse_vectors_config={LEXICAL: words}
                )
        except DependencyError as error:
            # Another worker was quicker; its collection is checked like any other.
            if error.status != HTTPStatus.CONFLICT:
                raise

    def _check(self, found: "CollectionParams", vector: list[float] | None) -> None:
        words = (found.sparse_vectors or {}).get(LEXICAL)
        problem = ""
        if words is None or words.modifier != self._models.Modifier.IDF:
            problem = f"no sparse vector {LEXICAL!r} with the modifier IDF"
        elif self._embeddings is not None:
            dense = found.vectors.get(DENSE) if isinstance(found.vectors, dict) else None
            if dense is None:
                problem = f"no dense vector {DENSE!r}"
            elif vector is not None and dense.size != len(vector):
                problem = f"dense vectors of {dense.size} numbers, but the embeddings have {len(vector)}"
        if problem:
            raise PermanentError(
                DEPENDENCY, f"{self._name} has {problem}: name another one in KOTAE_KNOWLEDGE__COLLECTION"
            )

    def _is(self, field: str, value: str) -> "FieldCondition":
        return self._models.FieldCondition(key=field, match=self._models.MatchValue(value=value))

    def _sparse(self, vector: "SparseVector") -> "RestSparseVector":
        return self._models.SparseVector(indices=vector.indices, values=vector.values)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Translate the client's errors into `DependencyError`."""
    from qdrant_client.common.client_exceptions import (  # noqa: PLC0415 - loaded by now
        QdrantException,
        ResourceExhaustedResponse,
    )
    from qdrant_client.http.exceptions import (  # noqa: PLC0415 - loaded by now
        ResponseHandlingException,
        UnexpectedResponse,
    )

    try:
        yield
    except ResourceExhaustedResponse as error:
        raise ThrottledError(DEPENDENCY, str(error), retry_after_s=error.retry_after_s) from error
    except QdrantException as error:  # 429 with a date in place of seconds
        raise ThrottledError(DEPENDENCY, str(error)) from error
    except UnexpectedResponse as error:
        status = error.status_code or 0
        message = f"HTTP {status}: {error.content[:200].decode(errors='replace')}"
        wait_s = retry_after_s(error.headers.get("Retry-After"), datetime.now(UTC))
        raise error_of_status(DEPENDENCY, message, status, wait_s) from error
    except ResponseHandlingException as error:
        if isinstance(error.source, RefusedError):
            raise PermanentError(DEPENDENCY, str(error.source)) from error
        raise TransientError(DEPENDENCY, f"no usable answer: {error.source!r}") from error
