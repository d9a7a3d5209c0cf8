"""Qdrant's engine in the process, as far as an index needs it: one shard, synchronous calls.

Every call holds the GIL until it is done (measured), so that each one here is kept short.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import qdrant_edge as edge
from msgspec.structs import replace

from agents.components import Passage
from agents.errors import PermanentError, TransientError
from agents.knowledge.index import (
    DENSE,
    DEPENDENCY,
    DOCUMENT,
    FUSED_CANDIDATES,
    FUSION_K,
    LEXICAL,
    TENANT,
    to_passage,
)

PointId = int | UUID | str
"""As the engine has them; ours are UUIDs."""
DIGEST = "digest"
"""A field of a document's first point: what the version that is there in full comes to."""

OVERSAMPLING = 2.0
"""Candidates by quantized vectors for every one that is then scored by its full vector."""

KEPT_MAX = 2048
"""Chunks that are kept as passages: to read them from the engine costs as much as to search for them."""


@dataclass(frozen=True, slots=True)
class ShardPoint:
    """One chunk as it is stored; `dense` is None in a shard that has words alone."""

    id: str
    words: edge.SparseVector
    dense: list[float] | None
    payload: dict[str, object]


class Shard:
    """A shard on disk. Raises only `agents.errors.DependencyError`.

    The engine's optimizer is never called: it stops the process for seconds. Not much is lost by it.
    The one mutable segment that remains is searched faster than optimized ones; freed space is used
    again after `flush`; and dense vectors, which would want a graph, are quantized to four bits, scanned
    and rescored, 50,000 of them in about 2 ms.
    """

    def __init__(self, shard: edge.EdgeShard) -> None:
        self._shard = shard
        with _translated():
            found = shard.facet(edge.FacetRequest(key=TENANT, limit=2, exact=True))
        self._tenants = {str(hit.value) for hit in found.hits}
        # By point; questions that find the same chunk share its strings, too.
        self._kept: dict[PointId, Passage] = {}

    @classmethod
    def create(cls, path: Path, dense_size: int | None) -> "Shard":
        """A new one in a directory that does not exist yet; with dense vectors of `dense_size`, or none."""
        words = edge.EdgeSparseVectorParams(
            modifier=edge.Modifier.Idf,
            # A tenant with fewer chunks is scanned instead of looked up. At the default of 5,000 a question
            # takes four times as long, and the longest one 15 times (5 to 12 ms).
            full_scan_threshold=100,
            # Half the memory of Float32; recall is the same.
            datatype=edge.VectorStorageDatatype.Float16,
        )
        config = edge.EdgeConfig(
            vectors=None if dense_size is None else {DENSE: _dense_parameters(dense_size)},
            sparse_vectors={LEXICAL: words},
            # A pool of search threads costs 165-283 us of CPU a query where one thread takes 27.
            max_search_threads=1,
            # `documents` is the write-ahead log.
            wal_enabled=False,
        )
        with _translated():
            path.mkdir()
            shard = edge.EdgeShard.create(str(path), config)
            for field, tenant in ((TENANT, True), (DOCUMENT, False)):
                parameters = edge.KeywordIndexParams(is_tenant=tenant)
                shard.update(edge.UpdateOperation.create_field_index(field, parameters))
        return cls(shard)

    @classmethod
    def load(cls, path: Path) -> "Shard":
        """The one that is there; 0.8 s for 50,000 chunks."""
        with _translated():
            return cls(edge.EdgeShard.load(str(path)))

    def upsert(self, points: Sequence[ShardPoint]) -> None:
        """Write points, in place of those with the same ids."""
        self._kept.clear()
        self._tenants.update(str(point.payload[TENANT]) for point in points)
        made = [
            edge.Point(
                point.id,
                {LEXICAL: point.words} if point.dense is None else {LEXICAL: point.words, DENSE: point.dense},
                point.payload,
            )
            for point in points
        ]
        with _translated():
            self._shard.update(edge.UpdateOperation.upsert_points(made))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove points."""
        self._kept.clear()
        with _translated():
            self._shard.update(edge.UpdateOperation.delete_points(list(ids)))

    def digest(self, point: str) -> str:
        """The digest that a document's first point carries; "" where there is none."""
        with _translated():
            for record in self._shard.retrieve([point], with_payload=[DIGEST], with_vector=False):
                return str((record.payload or {}).get(DIGEST, ""))
        return ""

    def blank_digest(self, point: str) -> None:
        """Mark a document's first point: the document is about to be replaced."""
        with _translated():
            self._shard.update(edge.UpdateOperation.set_payload([point], {DIGEST: ""}))

    def ids(self, tenant: str, document_id: str) -> set[str]:
        """All points of a document."""
        request = edge.ScrollRequest(
            filter=edge.Filter(must=[_is(TENANT, tenant), _is(DOCUMENT, document_id)]),
            limit=1 << 30,
            with_payload=False,
        )
        with _translated():
            return {str(record.id) for record in self._shard.scroll(request)[0]}

    def search(
        self, tenant: str, words: edge.SparseVector, dense: list[float] | None, limit: int
    ) -> list[Passage]:
        """The tenant's best points, by words or by both rankings fused."""
        only = edge.Filter(must=[_is(TENANT, tenant)])
        # How rare a word is in other tenants' documents is theirs to know. Where there are no others the
        # whole is the same and costs 0.5 ms less (50,000 chunks).
        alone = len(self._tenants) <= 1
        idf = None if alone else edge.SearchParams(idf=edge.IdfParams(corpus=only))
        by_words = edge.Query.Nearest(words, using=LEXICAL)
        if dense is None:
            request = edge.QueryRequest(
                limit=limit, query=by_words, filter=only, params=idf, with_payload=False
            )
        else:
            by_meaning = edge.Query.Nearest(dense, using=DENSE)
            request = edge.QueryRequest(
                prefetches=[
                    edge.Prefetch(limit=FUSED_CANDIDATES, query=by_words, filter=only, params=idf),
                    edge.Prefetch(limit=FUSED_CANDIDATES, query=by_meaning, filter=only, params=_RESCORED),
                ],
                query=edge.Fusion.Rrf(k=FUSION_K),  # type: ignore[arg-type]  # the stub forgets that Rrf is a Fusion
                filter=only,
                limit=limit,
                with_payload=False,
            )
        with _translated():
            return self._passages([(point.id, point.score) for point in self._shard.query(request)])

    def _passages(self, found: Sequence[tuple[PointId, float]]) -> list[Passage]:
        kept = self._kept
        missing = [point for point, _ in found if point not in kept]
        if missing:
            if len(kept) + len(missing) > KEPT_MAX:
                kept.clear()
                missing = [point for point, _ in found]
            for record in self._shard.retrieve(missing, with_payload=True, with_vector=False):
                kept[record.id] = to_passage(record.payload or {}, 0.0)
        return [replace(kept[point], score=score) for point, score in found]

    def count(self) -> int:
        """How many points there are."""
        with _translated():
            return self._shard.count(edge.CountRequest(exact=True))

    def flush(self) -> None:
        """Put everything on disk, and let the space of what was deleted be used again.

        Takes 5-15 ms where the files' pages have been written before, and up to 0.1 s the first time.
        """
        with _translated():
            self._shard.flush()

    def close(self) -> None:
        """Flush and let go."""
        with _translated():
            self._shard.close()


_RESCORED = edge.SearchParams(
    quantization=edge.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
)


def _dense_parameters(size: int) -> edge.EdgeVectorParams:
    return edge.EdgeVectorParams(
        size=size,
        distance=edge.Distance.Cosine,
        quantization_config=edge.TurboQuantQuantizationConfig(bits=edge.TurboQuantBitSize.Bits4),
    )


def _is(field: str, value: str) -> edge.FieldCondition:
    return edge.FieldCondition(field, match=edge.MatchValue(value))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise PermanentError(DEPENDENCY, str(error)) from error
    except Exception as error:
        # The engine's own are of no finer class (a full disk, files gone); any other is a bug of ours.
        if type(error) is not Exception:
            raise
        raise TransientError(DEPENDENCY, str(error)) from error
