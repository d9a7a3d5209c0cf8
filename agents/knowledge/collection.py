"""The collection of the index on a Qdrant server: created, checked, and given room for vectors."""

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from agents.errors import DependencyError, PermanentError, TransientError
from agents.knowledge.index import DENSE, DEPENDENCY, DOCUMENT, KEY, LEXICAL, NUMBER, TENANT, VECTORS
from agents.knowledge.qdrant_errors import translated
from agents.knowledge.vectors import DUE

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.http.models import CollectionParams
    from qdrant_client.models import Filter

log = logging.getLogger(__name__)

GROWS_SINCE = (1, 18)
"""The first version of the server that adds a vector to a collection, and removes one."""


class Collection:
    """A collection by its name. Raises only `agents.errors.DependencyError`.

    An existing collection must have the vector of words that the index needs, else every call raises a
    `PermanentError` that says so.

    Args:
        client: the client library's.
        models: the client library's `models`.
        told: names the collection in errors.
        dense: whether documents get dense vectors.
    """

    def __init__(
        self, client: "AsyncQdrantClient", models: Any, name: str, *, told: str, dense: bool
    ) -> None:
        self._client = client
        self._models = models
        self._name = name
        self._told = told
        self._dense = dense
        self._preparing = asyncio.Lock()
        self._ready = False
        # Whether vectors of this process have fitted.
        self._agreed = False
        self.emptied = False
        """Whether this process has removed vectors, since the documents without vectors were counted."""
        self.dense_size: int | None = None
        """The length of its dense vectors, as last seen; None: it has none yet."""

    async def apoints(self, only: "Filter", at_once: int) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield the id and payload of each point that matches, `at_once` a request."""
        after: Any = None
        while True:
            with translated():
                records, after = await self._client.scroll(
                    self._name, only, limit=at_once, offset=after, with_payload=True
                )
            for record in records:
                yield str(record.id), record.payload or {}
            if after is None:
                return

    async def aready(self) -> bool:
        """Whether there is a collection; it is checked when it is seen first."""
        if self._ready:
            return True
        async with self._preparing:
            if not self._ready:
                with translated():
                    exists = await self._client.collection_exists(self._name)
                if exists:
                    await self._amake_ready()
        return self._ready

    async def aprepare(self, dense_size: int | None) -> bool:
        """Make sure that there is a collection; return whether it has room for vectors of this length.

        `dense_size` is None for documents without vectors. Vectors of another length are removed, and made
        anew from the texts: the embeddings' model has changed. But if this process has seen the collection
        with its own length before, another worker has a newer model, and has its way.
        """
        if self._ready and dense_size in {None, self.dense_size}:
            return True
        async with self._preparing:
            if not self._ready:
                with translated():
                    exists = await self._client.collection_exists(self._name)
                if not exists:
                    await self._acreate(dense_size)
                await self._amake_ready()
            if dense_size is None:
                return True
            if self.dense_size not in {None, dense_size} and not self._agreed:
                await self._aempty(dense_size)
            if self.dense_size is None:
                await self._agrow(dense_size)
            self._agreed = self._agreed or self.dense_size == dense_size
            return self.dense_size == dense_size

    async def amake_fit(self, dense_size: int) -> bool:
        """Remove vectors of another length, for a search; return whether that was done. Raises nothing."""
        if self._agreed or self.dense_size in {None, dense_size}:
            return False
        try:
            return await self.aprepare(dense_size)
        except DependencyError as error:
            log.info("a search uses words alone: %s", error)
            return False

    async def arefresh(self) -> None:
        """See whether another worker has made room for dense vectors, or for longer or shorter ones."""
        if self._ready and self._dense:
            self._check(await self._adescribed())

    async def _aempty(self, dense_size: int) -> None:
        """Remove the dense vectors, which have another length."""
        self._check(await self._adescribed())
        if self.dense_size in {None, dense_size}:
            return  # another worker was quicker
        if not await self._agrows():
            raise self._unfit(
                f"dense vectors of {self.dense_size} numbers, but the embeddings have {dense_size}"
            )
        log.warning(
            "%s has vectors of %d numbers, but the embeddings make %d: all are made anew, "
            "and documents are found by words alone until then",
            self._told,
            self.dense_size,
            dense_size,
        )
        with translated():
            await self._client.delete_vector_name(self._name, DENSE)
        self.dense_size = None
        self.emptied = True

    async def _amake_ready(self) -> None:
        self._check(await self._adescribed())
        for field in (TENANT, DOCUMENT, VECTORS, KEY):
            schema = self._models.KeywordIndexParams(
                type=self._models.KeywordIndexType.KEYWORD, is_tenant=field == TENANT
            )
            with translated():
                await self._client.create_payload_index(self._name, field, schema, wait=True)
        self._ready = True

    async def _adescribed(self) -> "CollectionParams":
        with translated():
            return (await self._client.get_collection(self._name)).config.params

    async def _acreate(self, dense_size: int | None) -> None:
        models = self._models
        dense = {}
        if dense_size is not None:
            dense[DENSE] = models.VectorParams(size=dense_size, distance=models.Distance.COSINE)
        elif self._dense and not await self._agrows():
            raise TransientError(
                DEPENDENCY,
                f"{self._told} cannot be made before the embeddings' server answers: "
                f"a Qdrant server older than {'.'.join(map(str, GROWS_SINCE))} adds no vectors later",
            )
        words = models.SparseVectorParams(modifier=models.Modifier.IDF)
        try:
            with translated():
                await self._client.create_collection(
                    self._name, vectors_config=dense, sparse_vectors_config={LEXICAL: words}
                )
        except DependencyError as error:
            # Another worker was quicker; its collection is checked like any other.
            if error.status != HTTPStatus.CONFLICT:
                raise

    async def _agrow(self, dense_size: int) -> None:
        models = self._models
        if not await self._agrows():
            raise self._unfit(f"no dense vector {DENSE!r}")
        # First, because its documents are found by words alone from now on, whatever happens.
        first = models.FieldCondition(key=NUMBER, match=models.MatchValue(value=0))
        room = models.DenseVectorNameConfig(
            dense=models.DenseVectorConfig(size=dense_size, distance=models.Distance.COSINE)
        )
        with translated():
            await self._client.set_payload(
                self._name, {VECTORS: DUE}, points=models.Filter(must=[first]), wait=True
            )
        try:
            with translated():
                await self._client.create_vector_name(self._name, DENSE, room)
        except DependencyError:
            self._check(await self._adescribed())
            if self.dense_size is None:  # else another worker was quicker
                raise
        self._check(await self._adescribed())

    async def _agrows(self) -> bool:
        with translated():
            version = (await self._client.info()).version
        return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) >= GROWS_SINCE

    def _check(self, found: "CollectionParams") -> None:
        words = (found.sparse_vectors or {}).get(LEXICAL)
        if words is None or words.modifier != self._models.Modifier.IDF:
            raise self._unfit(f"no sparse vector {LEXICAL!r} with the modifier IDF")
        dense = found.vectors.get(DENSE) if isinstance(found.vectors, dict) else None
        self.dense_size = None if dense is None else dense.size

    def _unfit(self, problem: str) -> PermanentError:
        return PermanentError(
            DEPENDENCY, f"{self._told} has {problem}: name another one in KOTAE_KNOWLEDGE__COLLECTION"
        )
