"""The interface of an index, and what every implementation of it stores in the same way."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from agents.components import Passage
from agents.knowledge.chunking import Chunk
from agents.knowledge.version import Mark
from schemas.document import Document

DEPENDENCY = "knowledge"
"""The index's name in errors."""

LEXICAL, DENSE = "bm25", "dense"
"""The names of a point's vectors."""

TENANT, DOCUMENT, NUMBER = "tenant", "document", "number"
TITLE, SOURCE, TEXT = "title", "source", "text"
"""The fields of a point's payload."""

FUSED_CANDIDATES = 50
"""How many passages each of the two searches puts up for fusion by rank."""

FUSION_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

_NAMESPACE = uuid.UUID("0f4c3f0e-6f0b-5d5c-9f57-2f2d8a1f7a10")


class Index(Protocol):
    """Chunks of documents, found by what they say. Raises only `agents.errors.DependencyError`.

    A tenant is part of every operation: neither passages nor term statistics of another tenant
    show in a result.
    """

    @property
    def immediate(self) -> bool:
        """Whether a search never waits for anything."""
        ...

    @property
    def weakened(self) -> bool:
        """Whether searches find less than they could, because what they need besides is away."""
        ...

    @property
    def lapses(self) -> int:
        """How many searches found less than they could have, so far."""
        ...

    async def aupsert(self, documents: Sequence[Document]) -> None:
        """Replace whole documents: nothing of an earlier version is left when this returns."""
        ...

    async def adelete(self, tenant: str, document_id: str) -> None:
        """Remove a document; one that is not there is no error."""
        ...

    async def asearch(self, tenant: str, text: str, limit: int) -> list[Passage]:
        """The passages that fit best, best first; empty where no term is shared."""
        ...

    async def acount(self) -> int:
        """How many chunks it holds, of all tenants."""
        ...

    async def aclose(self) -> None:
        """Let go of what it holds; it cannot be used afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Positions:
    """Up to where an index has read `topic`.

    `offsets` gives the next offset to read of each partition; `saved_at` is in unix seconds; `marks`, by
    tenant and partition, names the version of each tenant's knowledge (see `agents.knowledge.version`).
    """

    topic: str
    offsets: Mapping[int, int] = field(default_factory=dict)
    saved_at: float = 0.0
    marks: Mapping[str, Mapping[int, Mark]] = field(default_factory=dict)


@runtime_checkable
class OwnIndex(Index, Protocol):
    """An index of this process alone, which knows how far it has been filled."""

    @property
    def positions(self) -> Positions | None:
        """What was saved when it was opened; None: it was empty."""
        ...

    async def asave(self, positions: Positions) -> None:
        """Put everything upserted so far on disk, then the positions, atomically."""
        ...

    async def aclear(self) -> None:
        """Forget every document and position."""
        ...


def point_id(tenant: str, document_id: str, number: int) -> str:
    """The id of a chunk's point: the same chunk always has the same."""
    # Lengths rather than a separator: no two different triples give the same name.
    return str(uuid.uuid5(_NAMESPACE, f"{len(tenant)}/{tenant}/{len(document_id)}/{document_id}/{number}"))


def to_payload(document: Document, chunk: Chunk) -> dict[str, object]:
    """What a chunk's point carries."""
    return {
        TENANT: document.tenant,
        DOCUMENT: document.id,
        NUMBER: chunk.number,
        TITLE: document.title,
        SOURCE: document.source,
        TEXT: chunk.text,
    }


def to_passage(payload: Mapping[str, object], score: float) -> Passage:
    """A point's payload as a passage; its chunk's id is `<document id>#<number>`."""
    document_id = str(payload[DOCUMENT])
    return Passage(
        chunk_id=f"{document_id}#{payload[NUMBER]}",
        document_id=document_id,
        title=str(payload[TITLE]),
        source=str(payload[SOURCE]),
        text=str(payload[TEXT]),
        score=score,
    )


def embedded_text(document: Document, chunk: Chunk) -> str:
    """What a dense vector is made of: the chunk with its document's title, as BM25 sees it."""
    return f"{document.title}\n{chunk.text}" if document.title else chunk.text
