"""The registry of vector stores: the settings choose one, every other module asks the chosen entry.

A new store takes three things: a module that implements `agents.knowledge.index.Index`, its fields in
`streams.settings.model.Knowledge`, and one entry in `STORES`.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.errors import DependencyError
from agents.knowledge.embeddings import Embeddings
from agents.knowledge.index import Index
from streams.settings.errors import OperatorError
from streams.settings.model import Knowledge


@dataclass(frozen=True, slots=True)
class StoreParts:
    """The parts that a store may be opened with; None: the settings name none.

    Attributes:
        knowledge: the settings that select and describe the store.
        embeddings: makes dense vectors, behind its guard.
        tls: the authorities that are trusted besides the system's.
    """

    knowledge: Knowledge
    embeddings: Embeddings | None
    tls: ssl.SSLContext | None


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
    """

    name: str
    selected: Callable[[Knowledge], bool]
    open: Callable[[StoreParts], Index]
    shared: bool
    remote: bool
    identity: Callable[[Knowledge], tuple[str, ...]]

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
    )


def _open_embedded(parts: StoreParts) -> Index:
    from agents.knowledge.embedded import EmbeddedIndex  # noqa: PLC0415 - likewise, 4 MB

    path = parts.knowledge.path
    try:
        return EmbeddedIndex.open(path, parts.embeddings)
    except (OSError, DependencyError) as error:
        raise OperatorError(
            f"the index cannot be opened in {path or 'a temporary directory'}: {error}; "
            "name another directory in KOTAE_KNOWLEDGE__PATH"
        ) from error


STORES = (
    VectorStore(
        name="qdrant",
        selected=lambda knowledge: bool(knowledge.qdrant_url),
        open=_open_qdrant,
        shared=True,
        remote=True,
        identity=lambda knowledge: (knowledge.qdrant_url, knowledge.collection),
    ),
    VectorStore(
        name="embedded",
        selected=lambda _: True,
        open=_open_embedded,
        shared=False,
        remote=False,
        identity=lambda _: (),
    ),
)
"""Tried in this order; the last entry takes any settings."""
