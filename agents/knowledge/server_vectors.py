"""The documents of the index on a Qdrant server that lack their vectors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agents.errors import TransientError
from agents.knowledge.collection import Collection
from agents.knowledge.index import (
    DENSE,
    DEPENDENCY,
    DIGEST,
    DOCUMENT,
    NUMBER,
    TENANT,
    VECTORS,
    stored_embedded_text,
)
from agents.knowledge.qdrant_errors import translated
from agents.knowledge.vectors import DUE, PAGE, REFUSED, Bare

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.models import Filter

VECTORS_PER_REQUEST = 64
"""A request has about 1 MB; servers take 32 MB."""

CHUNKS_AT_ONCE = 256
"""Chunks of a document that are read in one request."""


class ServerBareDocuments:
    """See `agents.knowledge.vectors.BareDocuments`.

    Another worker may replace a document at any time, so that each change names the version that it is for.

    Args:
        client: the client library's.
        models: the client library's `models`.
        room: the collection named `collection`.
    """

    def __init__(self, client: "AsyncQdrantClient", models: Any, collection: str, room: Collection) -> None:
        self._client = client
        self._models = models
        self._collection = collection
        self._room = room

    async def acount(self) -> int:
        """Return the number of documents that are due."""
        with translated():
            found = await self._client.count(self._collection, self._matching({VECTORS: DUE}), exact=True)
        return found.count

    async def arecheck(self) -> None:
        """Mark the documents that were refused as due."""
        with translated():
            await self._client.set_payload(
                self._collection, {VECTORS: DUE}, points=self._matching({VECTORS: REFUSED}), wait=True
            )

    async def apage(self, after: str | None) -> tuple[Sequence[Bare], str | None]:
        """See `BareDocuments`."""
        with translated():
            firsts, following = await self._client.scroll(
                self._collection, self._matching({VECTORS: DUE}), limit=PAGE, offset=after, with_payload=True
            )
        found = []
        for first in firsts:
            payload = first.payload or {}
            tenant, document_id = str(payload[TENANT]), str(payload[DOCUMENT])
            version = str(payload.get(DIGEST, ""))
            chunks = await self._achunks(self._of(tenant, document_id, version))
            found.append(Bare(tenant, document_id, version, chunks))
        return found, None if following is None else str(following)

    async def akeep(self, bare: Bare, vectors: Sequence[list[float]]) -> None:
        """See `BareDocuments`."""
        models = self._models
        if not await self._room.aprepare(len(vectors[0])):
            raise TransientError(
                DEPENDENCY, "another worker has put vectors of another length into the collection"
            )
        only = self._of(bare.tenant, bare.document_id, bare.version)
        made = [
            models.PointVectors(id=point, vector={DENSE: vector})
            for point, vector in zip(bare.texts, vectors, strict=True)
        ]
        for at in range(0, len(made), VECTORS_PER_REQUEST):
            with translated():
                await self._client.update_vectors(
                    self._collection, made[at : at + VECTORS_PER_REQUEST], update_filter=only, wait=True
                )
        with translated():
            await self._client.delete_payload(self._collection, [VECTORS], points=only, wait=True)

    async def arefused(self, bare: Bare) -> None:
        """See `BareDocuments`."""
        only = self._of(bare.tenant, bare.document_id, bare.version, **{NUMBER: 0})
        with translated():
            await self._client.set_payload(self._collection, {VECTORS: REFUSED}, points=only, wait=True)

    async def _achunks(self, only: "Filter") -> dict[str, str]:
        chunks = [
            (int(payload[NUMBER]), point, stored_embedded_text(payload))
            async for point, payload in self._room.apoints(only, CHUNKS_AT_ONCE)
        ]
        return {point: text for _, point, text in sorted(chunks)}

    def _of(self, tenant: str, document_id: str, version: str, **more: Any) -> "Filter":
        models = self._models
        if version:
            same = self._is(DIGEST, version)
        else:  # 0.1.0 noted none
            same = models.IsEmptyCondition(is_empty=models.PayloadField(key=DIGEST))
        return self._matching({TENANT: tenant, DOCUMENT: document_id} | more, same)

    def _matching(self, fields: Mapping[str, str | int], *others: Any) -> "Filter":
        only: Filter = self._models.Filter(
            must=[*(self._is(field, value) for field, value in fields.items()), *others]
        )
        return only

    def _is(self, field: str, value: str | int) -> Any:
        return self._models.FieldCondition(key=field, match=self._models.MatchValue(value=value))
