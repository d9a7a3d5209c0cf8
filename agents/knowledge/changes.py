"""A document made ready to be indexed: its digest and its chunks, in steps."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agents.knowledge.chunking import Chunk, chunk_text
from agents.knowledge.pacing import Pacer
from schemas.document import Document

_HASHED_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Change:
    """A document that is new or not what it was; `version` is its digest."""

    document: Document
    version: str
    chunks: Sequence[Chunk]


async def adigest(document: Document, pacer: Pacer) -> str:
    """What is indexed of a document, as 32 characters: where they agree, nothing has to be done."""
    hashed = hashlib.blake2b(f"{len(document.title)}/{len(document.source)}/".encode(), digest_size=16)
    for part in (document.title, document.source, document.text):
        for at in range(0, len(part), _HASHED_AT_ONCE):
            hashed.update(part[at : at + _HASHED_AT_ONCE].encode(errors="surrogatepass"))
            await pacer.abreathe()
    return hashed.hexdigest()


async def achunks(document: Document, pacer: Pacer) -> list[Chunk]:
    """The document's chunks; none where its text is blank."""
    chunks: list[Chunk] = []
    for chunk in chunk_text(document.text):
        chunks.append(chunk)
        await pacer.abreathe()
    return chunks
