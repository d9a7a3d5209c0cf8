"""The registry of vector stores: the settings choose one, every other module asks the chosen entry.

A new store takes three things: a module that implements `agents.knowledge.index.Index`, its fields in
`streams.settings.model.Knowledge`, and one entry in `STORES`.
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.documents.chunking import ChunkSizes
from agents.embeddings.protocol import Embeddings
from agents.errors import DependencyError
from agents.http.pool import HttpPool
from agents.knowledge.fusion import ALIKE, Fusion
from agents.knowledge.index import Index
from streams.settings.errors import OperatorError
from streams.settings.model import Knowledge


@dataclass(frozen=True, slots=True)
class StoreParts:
    """The parts that a store may be opened with; None: the settings name none.

    Attributes:
        knowledge: the settings that select and describe the store.
        embeddings: makes dense vectors.
        tls: the authorities that are trusted besides the system's.
        fusion: how rankings by words and by meaning become one.
    """

    knowledge: Knowledge
    embeddings: Embeddings | None
    tls: ssl.SSLContext | None
    fusion: Fusion = ALIKE


@dataclass(frozen=True, slots=True)
class Inspection:
    """The parts that a store may be looked at with.

    Attributes:
        knowledge: the settings that select and describe the store.
        pool: the connections to its address.
        dense: whether embeddings are set, so that its index needs dense vectors.
    """

    knowledge: Knowledge
    pool: HttpPool
    dense: bool


@dataclass(frozen=True, slots=True)
class Inspected:
    """The state of a store in words, and the length of its dense vectors if it has some."""

    told: str
    vector_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStore:
    """An entry of the registry.

    Attributes:
        name: unique in the registry; part of every cache key.
        selected: tells whether the settings select this store.
        open: opens the index. It may block while a saved index is loaded, and raises `OperatorError`
            where an operator has to mend something.
        shared: True: all workers fill one index together, as one consumer group. False: each worker
            fills an index of its own, which is an `agents.knowledge.index.OwnIndex`.
        remote: a search is a call to a server and needs a guard.
        identity: the settings that tell one index of this store from another, for cache keys; no secrets.
        inspect: looks at the index for `kotae check` and changes nothing; None: there is nothing to look at.
    """

    name: str
    selected: Callable[[Knowledge], bool]
    open: Callable[[StoreParts], Index]
    shared: bool
    remote: bool
    identity: Callable[[Knowledge], tuple[str, ...]]
    inspect: Callable[[Inspection], Awaitable[Inspected]] | None = None

    def group(self, worker_group: str) -> str | None:
        """The consumer group that fills a shared index; None: each worker reads for itself."""
        return f"{worker_group}.knowledge" if self.shared else None


def choose_store(knowledge: Knowledge, stores: Sequence[VectorStore]) -> VectorStore:
    """Return the first of `stores` that the settings select."""
    return next(store for store in stores if store.selected(knowledge))


def _open_qdrant(parts: StoreParts) -> Index:
    # Imported only where a server is used: its client costs 68 MB and a second.
    from agents.knowledge.server import ServerIndex  # noqa: PLC0415

    knowledge = parts.knowledge
    return ServerIndex(
        knowledge.qdrant_url,
        knowledge.collection,
        api_key=knowledge.qdrant_api_key,
        embeddings=parts.embeddings,
        tls=parts.tls,
        fusion=parts.fusion,
        sizes=_sizes(knowledge),
    )


def _open_embedded(parts: StoreParts) -> Index:
    from agents.knowledge.embedded import EmbeddedIndex  # noqa: PLC0415 - likewise, 4 MB

    path = parts.knowledge.path
    try:
        return EmbeddedIndex.open(path, parts.embeddings, parts.fusion, _sizes(parts.knowledge))
    except (OSError, DependencyError) as error:
        raise OperatorError(
            f"the index cannot be opened in {path or 'a temporary directory'}: {error}; "
            "name another directory in KOTAE_KNOWLEDGE__PATH"
        ) from error


def _sizes(knowledge: Knowledge) -> ChunkSizes:
    return ChunkSizes(knowledge.chunk_tokens, knowledge.chunk_overlap_tokens)


async def _inspect_qdrant(inspection: Inspection) -> Inspected:
    from agents.knowledge.inspection import avector_length  # noqa: PLC0415 - it loads httpx, which no worker needs

    knowledge = inspection.knowledge
    length = await avector_length(
        inspection.pool,
        knowledge.qdrant_url,
        knowledge.collection,
        knowledge.qdrant_api_key,
        dense=inspection.dense,
    )
    told = "" if length is None else f", vectors of {length} numbers"
    return Inspected(f"Qdrant answers, collection {knowledge.collection}{told}", length)


async def _inspect_embedded(inspection: Inspection) -> Inspected:
    path = inspection.knowledge.path
    if not path:
        return Inspected("embedded, built anew at each start")
    return await asyncio.to_thread(_look_at_directory, Path(path))


def _look_at_directory(path: Path) -> Inspected:
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OperatorError(
            f"the directory {path} cannot be written: name another directory in KOTAE_KNOWLEDGE__PATH"
        )
    return Inspected(f"embedded, in {path}")


STORES = (
    VectorStore(
        name="qdrant",
        selected=lambda knowledge: bool(knowledge.qdrant_url),
        open=_open_qdrant,
        shared=True,
        remote=True,
        identity=lambda knowledge: (knowledge.qdrant_url, knowledge.collection),
        inspect=_inspect_qdrant,
    ),
    VectorStore(
        name="embedded",
        selected=lambda _: True,
        open=_open_embedded,
        shared=False,
        remote=False,
        identity=lambda _: (),
        inspect=_inspect_embedded,
    ),
)
"""Tried in this order; the last entry takes any settings."""
