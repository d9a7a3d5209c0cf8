"""Qdrant's engine in the process, reduced to one shard and synchronous calls.

Every call holds the GIL until it ends (measured), so that each call here is short.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import qdrant_edge as edge

from agents.components import Passage
from agents.errors import PermanentError, TransientError
from agents.knowledge.fusion import Fusion
from agents.knowledge.index import (
    DENSE,
    DEPENDENCY,
    DIGEST,
    DOCUMENT,
    LEXICAL,
    TENANT,
    VECTORS,
    DocumentName,
)
from agents.knowledge.shard_search import ShardSearch


@dataclass(frozen=True, slots=True)
class ShardPoint:
    """One chunk as it is stored; `dense` is None where there is no vector, or none yet."""

    id: str
    words: edge.SparseVector
    dense: list[float] | None
    payload: dict[str, object]


class Shard:
    """A shard on disk, with `dense_size` numbers in a dense vector (None: without these).

    Raises only `agents.errors.DependencyError`.
    The engine's optimizer is never called, because it stops the process for seconds. The loss is small:
    the one mutable segment is searched faster than optimized ones; `flush` frees space; and dense vectors,
    which would need a graph, are quantized to four bits, scanned and rescored, 50,000 in about 2 ms.
    """

    def __init__(self, shard: edge.EdgeShard, dense_size: int | None) -> None:
        self._shard = shard
        self.dense_size = dense_size
        with _translated():
            found = shard.facet(edge.FacetRequest(key=TENANT, limit=2, exact=True))
        self._tenants = {str(hit.value) for hit in found.hits}
        self._search = ShardSearch(shard)

    @classmethod
    def create(cls, path: Path, dense_size: int | None) -> "Shard":
        """Create a shard at a path that does not exist yet; `dense_size` None: without dense vectors."""
        words = edge.EdgeSparseVectorParams(
            modifier=edge.Modifier.Idf,
            # A tenant with fewer chunks is scanned, not looked up. The default of 5,000 makes a question take
            # four times as long, and the longest one 15 times (5 to 12 ms).
            full_scan_threshold=100,
            # Half the memory of Float32, with the same recall.
            datatype=edge.VectorStorageDatatype.Float16,
        )
        config = edge.EdgeConfig(
            vectors=None if dense_size is None else {DENSE: _dense_parameters(dense_size)},
            sparse_vectors={LEXICAL: words},
            # A pool of search threads costs 165-283 us of CPU a query, one thread 27.
            max_search_threads=1,
            # `documents` is the write-ahead log.
            wal_enabled=False,
        )
        with _translated():
            path.mkdir()
            shard = edge.EdgeShard.create(str(path), config)
            for field, tenant in ((TENANT, True), (DOCUMENT, False), (VECTORS, False)):
                parameters = edge.KeywordIndexParams(is_tenant=tenant)
                shard.update(edge.UpdateOperation.create_field_index(field, parameters))
        return cls(shard, dense_size)

    @classmethod
    def load(cls, path: Path) -> "Shard":
        """Load an existing shard; 0.8 s for 50,000 chunks."""
        with _translated():
            shard = edge.EdgeShard.load(str(path))
            # A shard of 0.1.0 lacks this one; where it is there, nothing happens.
            shard.update(edge.UpdateOperation.create_field_index(VECTORS, edge.KeywordIndexParams()))
            return cls(shard, _dense_size(path))

    def upsert(self, points: Sequence[ShardPoint]) -> None:
        """Write points; each replaces the point with its id."""
        self._search.forget()
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
        self._search.forget()
        with _translated():
            self._shard.update(edge.UpdateOperation.delete_points(list(ids)))

    def digest(self, point: str) -> str:
        """Return the digest in a document's first point; "" if there is none."""
        return self.field(point, DIGEST)

    def blank_digest(self, point: str) -> None:
        """Empty the digest in a first point: its document is about to be replaced."""
        with _translated():
            self._shard.update(edge.UpdateOperation.set_payload([point], {DIGEST: ""}))

    def field(self, point: str, name: str) -> str:
        """Return a field of a point; "" if there is none."""
        with _translated():
            for record in self._shard.retrieve([point], with_payload=[name], with_vector=False):
                return str((record.payload or {}).get(name, ""))
        return ""

    def set_mark(self, point: str, mark: str) -> None:
        """Mark a document's vectors as missing, in its first point; "" takes the mark away."""
        with _translated():
            if mark:
                self._shard.update(edge.UpdateOperation.set_payload([point], {VECTORS: mark}))
            else:
                self._shard.update(edge.UpdateOperation.delete_payload([point], [VECTORS]))

    def replace_marks(self, old: str, new: str) -> None:
        """Give all documents that have one mark another one."""
        only = edge.Filter(must=[_is(VECTORS, old)])
        with _translated():
            self._shard.update(edge.UpdateOperation.set_payload_by_filter(only, {VECTORS: new}))

    def count_marked(self, mark: str) -> int:
        """Return the number of documents with this mark."""
        only = edge.Filter(must=[_is(VECTORS, mark)])
        with _translated():
            return self._shard.count(edge.CountRequest(exact=True, filter=only))

    def marked(self, mark: str, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return the payloads of the first points with this mark, and where to go on; None: no more."""
        request = edge.ScrollRequest(
            offset=after, limit=limit, filter=edge.Filter(must=[_is(VECTORS, mark)]), with_payload=True
        )
        with _translated():
            records, following = self._shard.scroll(request)
        return [record.payload or {} for record in records], None if following is None else str(following)

    def add_vectors(self, vectors: Mapping[str, list[float]]) -> None:
        """Give points their dense vectors."""
        made = [edge.PointVectors(point, {DENSE: vector}) for point, vector in vectors.items()]
        with _translated():
            self._shard.update(edge.UpdateOperation.update_vectors(made))

    def names(self, after: str | None, limit: int) -> tuple[set[DocumentName], str | None]:
        """Return the documents of some points, and where to go on; None: no more."""
        request = edge.ScrollRequest(
            offset=after, limit=limit, with_payload=[TENANT, DOCUMENT], with_vector=False
        )
        with _translated():
            records, following = self._shard.scroll(request)
        payloads = [record.payload or {} for record in records]
        names = {(str(payload[TENANT]), str(payload[DOCUMENT])) for payload in payloads}
        return names, None if following is None else str(following)

    def points(self, after: str | None, limit: int) -> tuple[list[ShardPoint], str | None]:
        """Return points as they are stored, and where to go on; None: no more."""
        request = edge.ScrollRequest(offset=after, limit=limit, with_payload=True, with_vector=True)
        with _translated():
            records, following = self._shard.scroll(request)
        return [_point(record) for record in records], None if following is None else str(following)

    def stored(self, ids: Sequence[str]) -> list[ShardPoint]:
        """Return these points as they are stored."""
        with _translated():
            return [
                _point(each) for each in self._shard.retrieve(list(ids), with_payload=True, with_vector=True)
            ]

    def ids(self, tenant: str, document_id: str) -> set[str]:
        """Return the ids of all points of a document."""
        return set(self.payloads(tenant, document_id, with_payload=False))

    def payloads(
        self, tenant: str, document_id: str, *, with_payload: bool = True
    ) -> dict[str, dict[str, Any]]:
        """Return the payload of each point of a document, by its id."""
        request = edge.ScrollRequest(
            filter=edge.Filter(must=[_is(TENANT, tenant), _is(DOCUMENT, document_id)]),
            limit=1 << 30,
            with_payload=with_payload,
        )
        with _translated():
            return {str(record.id): record.payload or {} for record in self._shard.scroll(request)[0]}

    def search(
        self, tenant: str, words: edge.SparseVector, dense: list[float] | None, limit: int, fusion: Fusion
    ) -> list[Passage]:
        """Return the tenant's best chunks, by words, or by words and meaning."""
        with _translated():
            return self._search.search(
                tenant, words, dense, limit, fusion=fusion, alone=len(self._tenants) <= 1
            )

    def count(self) -> int:
        """Return the number of points."""
        with _translated():
            return self._shard.count(edge.CountRequest(exact=True))

    def flush(self) -> None:
        """Write everything to disk and free the space of deleted points.

        Takes 5-15 ms if the files' pages have been written before, and up to 0.1 s the first time.
        """
        with _translated():
            self._shard.flush()

    def close(self) -> None:
        """Flush and close the shard; it cannot be used afterwards."""
        with _translated():
            self._shard.close()
        del self._shard, self._search  # the engine's memory goes with the last reference


def _point(record: edge.Record) -> ShardPoint:
    had = cast(dict[str, Any], record.vector)
    return ShardPoint(str(record.id), had[LEXICAL], had.get(DENSE), dict(record.payload or {}))


def _dense_size(path: Path) -> int | None:
    """Read the length of the dense vectors from the engine's description of the shard."""
    described = msgspec.json.decode((path / "edge_config.json").read_bytes())
    found = described.get("vectors", {}).get(DENSE)
    return None if found is None else int(found["size"])


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
        # The engine raises plain Exception (a full disk, lost files); any subclass is a bug in our code.
        if type(error) is not Exception:
            raise
        raise TransientError(DEPENDENCY, str(error)) from error
