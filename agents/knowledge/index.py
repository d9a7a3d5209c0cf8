"""The interface of an index, and the points that the indexes on Qdrant store alike."""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable

from agents.components import Passage, Trail
from agents.documents.chunking import Chunk
from agents.knowledge.vectors import Refusal
from agents.knowledge.version import Mark
from agents.language.composition import composed
from schemas.document import Document

DEPENDENCY = "knowledge"
"""The index's name in errors and guards."""

LEXICAL, DENSE = "bm25", "dense"
"""The names of a point's vectors."""

TENANT, DOCUMENT, NUMBER = "tenant", "document", "number"
TITLE, SOURCE, TEXT = "title", "source", "text"
START, HEADINGS, LEAD, SAME = "start", "headings", "lead", "same"
"""The fields of a point's payload."""

DIGEST, VECTORS, KEY = "digest", "vectors", "key"
"""Fields of a document's first point: the digest of the version that is complete; the mark of vectors that
are missing (see `vectors`); the record key that holds the document, if that is another than its own."""

DocumentName = tuple[str, str]
"""A document's tenant and id."""

_NAMESPACE = uuid.UUID("0f4c3f0e-6f0b-5d5c-9f57-2f2d8a1f7a10")


class Index(Protocol):
    """Finds chunks of documents by their content. Raises only `agents.errors.DependencyError`.

    Every operation names a tenant: a result shows neither passages nor term statistics of another tenant.
    """

    @property
    def immediate(self) -> bool:
        """Whether a search never waits for anything."""
        ...

    @property
    def weakened(self) -> bool:
        """Whether searches find less than they could, because a part is away, such as the embeddings."""
        ...

    @property
    def lapses(self) -> int:
        """The number of searches, so far, that found less than they could have."""
        ...

    async def aupsert(self, documents: Sequence[Document]) -> None:
        """Replace whole documents. Nothing of an earlier version is left when this returns."""
        ...

    async def adelete(self, tenant: str, document_id: str) -> None:
        """Remove a document. A document that is not there is no error."""
        ...

    async def asearch(self, tenant: str, text: str, limit: int, trail: Trail | None = None) -> list[Passage]:
        """Return the best passages, best first.

        There are none if no chunk shares a term with the text, or (with embeddings) is near in meaning.
        `trail` is told if words alone were searched because the embeddings are away.
        """
        ...

    async def acount(self) -> int:
        """Return the number of chunks of all tenants."""
        ...

    async def aclose(self) -> None:
        """Release everything; the index cannot be used afterwards."""
        ...


@runtime_checkable
class EmbeddingIndex(Index, Protocol):
    """An index that takes documents while the embeddings are away, and adds their vectors later."""

    @property
    def lacking(self) -> int:
        """The documents without vectors, as last counted; those that the embeddings refuse are left out."""
        ...

    async def acount_lacking(self) -> int:
        """Count the documents without vectors, which other processes may have changed."""
        ...

    async def aembed_lacking(self) -> list[Refusal]:
        """Make the vectors that are missing (see `vectors.aembed_due`)."""
        ...

    async def arecheck(self) -> None:
        """Let the documents that the embeddings refused be tried again."""
        ...


@runtime_checkable
class KeyedIndex(Index, Protocol):
    """An index that workers share, and that keeps under which record key a document came."""

    async def ahold(self, keys: Mapping[DocumentName, str]) -> None:
        """Note the record keys of documents, just upserted, that are held by other keys than their own."""
        ...

    async def aheld(self) -> dict[DocumentName, str]:
        """Return the record keys noted, by document."""
        ...


@dataclass(frozen=True, slots=True)
class Positions:
    """How far an index has read `topic`.

    Attributes:
        offsets: the next offset to read, by partition.
        saved_at: unix seconds, when the index held all that the topic held.
        whole: whether the index holds what the offsets say; if not, all of the topic has to be read.
        marks: the version of each tenant's knowledge, by tenant and partition (see `version`).
        held: the documents held by record keys other than their own, by tenant and id.
        skipped: the records that were skipped, each as `/state` tells it.
    """

    topic: str
    offsets: Mapping[int, int] = field(default_factory=dict)
    saved_at: float = 0.0
    marks: Mapping[str, Mapping[int, Mark]] = field(default_factory=dict)
    held: Mapping[DocumentName, str] = field(default_factory=dict)
    skipped: Sequence[Mapping[str, object]] = ()
    whole: bool = True


@runtime_checkable
class OwnIndex(Index, Protocol):
    """An index of this process alone. It keeps how far it has been filled."""

    async def aupsert(self, documents: Sequence[Document], begun: Callable[[], None] = lambda: None) -> None:
        """See `Index`. `begun` is called right before the first change, when chunks and vectors are made."""
        ...

    @property
    def positions(self) -> Positions | None:
        """The positions that were last saved; None: it was opened empty, or has been cleared."""
        ...

    async def asave(self, positions: Positions) -> None:
        """Write everything upserted so far to disk, then the positions, atomically."""
        ...

    async def aclear(self) -> None:
        """Remove every document and the positions."""
        ...

    async def anames(self) -> set[DocumentName]:
        """Return the name of every document of which the index holds anything."""
        ...


def point_id(tenant: str, document_id: str, number: int) -> str:
    """Return the id of a chunk's point; a chunk always has the same one."""
    # Lengths in place of a separator: two different triples never give the same name.
    return str(uuid.uuid5(_NAMESPACE, f"{len(tenant)}/{tenant}/{len(document_id)}/{document_id}/{number}"))


def to_payload(document: Document, chunk: Chunk) -> dict[str, object]:
    """Return the payload of a chunk's point."""
    return {
        TENANT: document.tenant,
        DOCUMENT: document.id,
        NUMBER: chunk.number,
        TITLE: document.title,
        SOURCE: document.source,
        TEXT: chunk.text,
        START: chunk.start,
        HEADINGS: list(chunk.headings),
        LEAD: chunk.lead,
        SAME: likeness(chunk),
    }


def likeness(chunk: Chunk) -> str:
    """Return what chunks have in common that say the same, whatever their case, blanks and Unicode forms."""
    said = "\n".join((*chunk.headings, chunk.lead, chunk.text))
    words = composed("NFKC", said).casefold().split()
    return hashlib.blake2b(" ".join(words).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def to_passage(payload: Mapping[str, object], score: float) -> Passage:
    """Turn a point's payload into a passage; its chunk's id is `<document id>#<number>`."""
    document_id = str(payload[DOCUMENT])
    return Passage(
        chunk_id=f"{document_id}#{payload[NUMBER]}",
        document_id=document_id,
        title=str(payload[TITLE]),
        source=str(payload[SOURCE]),
        text=str(payload[TEXT]),
        score=score,
        start=int(cast(int, payload.get(START, 0))),
        headings=tuple(cast(Sequence[str], payload.get(HEADINGS, ()))),
        lead=str(payload.get(LEAD, "")),
        likeness=str(payload.get(SAME, "")),
    )


def context(document: Document, chunk: Chunk) -> str:
    """Return the words that are searched with a chunk besides its text: title, headings, table header."""
    return _context(document.title, chunk.headings, chunk.lead)


def embedded_text(document: Document, chunk: Chunk) -> str:
    """Return the text for a dense vector: the chunk with its context, as BM25 sees it."""
    return _beneath(context(document, chunk), chunk.text)


def stored_embedded_text(payload: Mapping[str, object]) -> str:
    """Return the same text for a chunk that is in the index."""
    headings = cast(Sequence[str], payload.get(HEADINGS, ()))
    above = _context(str(payload[TITLE]), headings, str(payload.get(LEAD, "")))
    return _beneath(above, str(payload[TEXT]))


def _context(title: str, headings: Sequence[str], lead: str) -> str:
    return "\n".join(part for part in (title, *headings, lead) if part)


def _beneath(above: str, text: str) -> str:
    return f"{above}\n{text}" if above else text
