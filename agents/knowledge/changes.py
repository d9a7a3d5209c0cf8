"""Prepares a document to be indexed: its digest and its chunks, in short steps."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agents.knowledge.chunking import Chunk, chunk_text
from agents.knowledge.pacing import Pacer
from schemas.document import Document

_HASHED_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Change:
    """A document that is new or has changed; `version` is its digest."""

    document: Document
    version: str
    chunks: Sequence[Chunk]


async def adigest(document: Document, pacer: Pacer) -> str:
    """Return 32 characters for the indexed parts of a document; equal digests mean nothing to do."""
    hashed = hashlib.blake2b(f"{len(document.title)}/{len(document.source)}/".encode(), digest_size=16)
    for part in (document.title, document.source, document.text):
        for at in range(0, len(part), _HASHED_AT_ONCE):
            hashed.update(part[at : at + _HASHED_AT_ONCE].encode(errors="surrogatepass"))
            await pacer.abreathe()
    return hashed.hexdigest()


async def achunks(document: Document, pacer: Pacer) -> list[Chunk]:
    """Cut the document into chunks; none if its text is blank."""
    chunks: list[Chunk] = []
    for chunk in chunk_text(document.text):
        chunks.append(chunk)
        await pacer.abreathe()
    return chunks
