"""Prepares a document to be indexed: its digest and its chunks, in short steps."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from agents.documents.chunking import Chunk, ChunkSizes, cut
from agents.documents.plain import plain_text, takes_long
from agents.knowledge.pacing import Pacer, ThreadPacer
from schemas.document import Document

_HASHED_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Change:
    """A document that is new or has changed; `version` is its digest.

    `document` has the title of its front matter or page if it names none itself.
    """

    document: Document
    version: str
    chunks: Sequence[Chunk]


async def adigest(document: Document, pacer: Pacer) -> str:
    """Return 32 characters for the indexed parts of a document; equal digests mean nothing to do."""
    hashed = hashlib.blake2b(
        f"{len(document.title)}/{len(document.source)}/{document.format}".encode(), digest_size=16
    )
    for part in (document.title, document.source, document.text):
        for at in range(0, len(part), _HASHED_AT_ONCE):
            hashed.update(part[at : at + _HASHED_AT_ONCE].encode(errors="surrogatepass"))
            await pacer.abreathe()
    return hashed.hexdigest()


async def aprepare(document: Document, sizes: ChunkSizes, pacer: Pacer) -> Change:
    """Cut the document into chunks; none if its text is blank."""
    version = await adigest(document, pacer)
    if takes_long(document):
        plain = await asyncio.to_thread(plain_text, document, ThreadPacer())
    else:
        plain = plain_text(document)
    chunks: list[Chunk] = []
    for chunk in cut(plain, sizes):
        if chunk is not None:
            chunks.append(chunk)
        await pacer.abreathe()
    titled = document if document.title or not plain.title else replace(document, title=plain.title)
    return Change(titled, version, chunks)
