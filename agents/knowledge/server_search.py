"""Searches on a Qdrant server. Both rankings come in one request, and are fused as in the embedded index.

The server's own fusions are by rank (RRF), which loses how much better the first passage is, or by scores
over their mean and deviation (DBSF), which know neither a floor nor how many of the question's terms were
found.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agents.components import Passage
from agents.knowledge.fusion import CANDIDATES, Fusion, coverage
from agents.knowledge.index import DENSE, LEXICAL, TENANT, to_passage
from agents.knowledge.qdrant_errors import translated

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.models import QueryResponse, SparseVector


class ServerSearch:
    """Searches one collection. Raises only `agents.errors.DependencyError`.

    Args:
        client: the client library's.
        models: the client library's `models`.
        collection: its name.
        fusion: how words and meaning become one ranking.
    """

    def __init__(self, client: "AsyncQdrantClient", models: Any, collection: str, fusion: Fusion) -> None:
        self._client = client
        self._models = models
        self._collection = collection
        self._fusion = fusion

    async def asearch(
        self, tenant: str, words: "SparseVector", dense: list[float] | None, limit: int
    ) -> list[Passage]:
        """Return the tenant's best chunks, by words, or by words and meaning."""
        models = self._models
        only = models.Filter(must=[models.FieldCondition(key=TENANT, match=models.MatchValue(value=tenant))])
        # The rarity of words in other tenants' documents must not show in a score.
        own = models.SearchParams(idf=models.IdfCorpusParams(corpus=only))
        by_words = {"query": words, "using": LEXICAL, "filter": only, "params": own}
        if dense is None:
            request = models.QueryRequest(**by_words, limit=limit, with_payload=True)
            [found] = await self._aquery([request])
            return [to_passage(point.payload or {}, point.score) for point in found.points]
        said, best, meant = await self._aquery(
            [
                models.QueryRequest(**by_words, limit=CANDIDATES),
                models.QueryRequest(**by_words, limit=1, with_vector=[LEXICAL]),
                models.QueryRequest(query=dense, using=DENSE, filter=only, limit=CANDIDATES),
            ]
        )
        asked = dict(zip(words.indices, words.values, strict=True))
        ranked = self._fusion.ranked(_scores(said), _scores(meant), coverage(asked, _terms(best)), limit)
        return await self._apassages(ranked)

    async def _aquery(self, requests: Sequence[Any]) -> "list[QueryResponse]":
        with translated():
            return await self._client.query_batch_points(self._collection, requests)

    async def _apassages(self, ranked: Sequence[tuple[str, float]]) -> list[Passage]:
        if not ranked:
            return []
        with translated():
            records = await self._client.retrieve(
                self._collection, [point for point, _ in ranked], with_payload=True
            )
        payloads = {str(record.id): record.payload or {} for record in records}
        # A point may have been removed meanwhile.
        return [to_passage(payloads[point], score) for point, score in ranked if point in payloads]


def _scores(found: "QueryResponse") -> list[tuple[str, float]]:
    return [(str(point.id), point.score) for point in found.points]


def _terms(found: "QueryResponse") -> dict[int, float]:
    for point in found.points:
        vector: Any = (point.vector or {})[LEXICAL]  # type: ignore[call-overload]  # by name: it was asked for so
        return dict(zip(vector.indices, vector.values, strict=True))
    return {}
