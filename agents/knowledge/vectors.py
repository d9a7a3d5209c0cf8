"""Makes the vectors of documents that came into the index without them, while their server was away.

A document's first chunk is marked in the index as long as its vectors are missing, so that a restart
knows it. The mark goes when all vectors of the document are there.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.embeddings.protocol import Embeddings
from agents.errors import DependencyError, PermanentError

log = logging.getLogger(__name__)

CONTROL_TEXT = "The keeper lights the lamp at dusk."
"""Any embeddings server takes it: one that refuses it refuses us, and not a text."""

OWN_FAULTS = frozenset({400, 413, 422})
"""The HTTP statuses by which a server may mean a text. Any other is trouble of the server or its settings."""

DUE, REFUSED = "due", "refused"
"""The marks of a document without vectors: they are to be made, or the embeddings refuse its text."""

PROMPTLY_S = 30.0
"""How long documents wait for their vectors before they are indexed by words."""

PAGE = 16
"""Documents whose chunks are read at once."""


class RefusedTextError(PermanentError):
    """The server embeds other texts, but not this one."""


@dataclass(frozen=True, slots=True)
class Bare:
    """A document in the index without its vectors.

    Attributes:
        version: the digest of its text; vectors are kept only if it is still the same when they are made.
        texts: the texts to embed, one for each chunk, by the chunk's point.
    """

    tenant: str
    document_id: str
    version: str
    texts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that is found by its words alone, because the embeddings refuse its text."""

    tenant: str
    document_id: str
    reason: str


class BareDocuments(Protocol):
    """The documents of an index that lack their vectors."""

    async def apage(self, after: str | None) -> tuple[Sequence[Bare], str | None]:
        """Return up to `PAGE` documents that are due, and where to go on; None: no more."""
        ...

    async def akeep(self, bare: Bare, vectors: Sequence[list[float]]) -> None:
        """Add the vectors and take the mark away; do neither if the document has changed meanwhile."""
        ...

    async def arefused(self, bare: Bare) -> None:
        """Mark the document as refused, unless it has changed meanwhile."""
        ...


async def aembed_due(documents: BareDocuments, embeddings: Embeddings) -> list[Refusal]:
    """Make the vectors of all documents that are due, and return those that the server refuses.

    A document for which the server fails, though it embeds the control text, stays due; the others go on.

    Raises:
        DependencyError: the server cannot be used now, or failed for some document.
    """
    refusals: list[Refusal] = []
    failure: DependencyError | None = None
    after: str | None = None
    while True:
        page, after = await documents.apage(after)
        for bare in page:
            try:
                vectors = await aembed_document(embeddings, list(bare.texts.values()))
            except RefusedTextError as error:
                await documents.arefused(bare)
                refusals.append(Refusal(bare.tenant, bare.document_id, str(error)))
            except DependencyError as error:
                # If this fails, too, the document is not the cause.
                await embeddings.aembed([CONTROL_TEXT])
                failure = error
            else:
                await documents.akeep(bare, vectors)
        if after is None:
            break
    if failure is not None and not refusals:
        raise failure
    return refusals


async def aembed_promptly(embeddings: Embeddings, texts: Sequence[str]) -> list[list[float]]:
    """Return the texts' vectors; none if that fails or takes long: they are made later, then."""
    try:
        async with asyncio.timeout(PROMPTLY_S):
            return await embeddings.aembed(texts)
    except TimeoutError:
        log.info("documents are found by words alone for now: no vectors within %g s", PROMPTLY_S)
    except DependencyError as error:
        log.info("documents are found by words alone for now: %s", error)
    return []


async def aembed_document(embeddings: Embeddings, texts: Sequence[str]) -> list[list[float]]:
    """Return the vectors of a document's chunks.

    Raises:
        RefusedTextError: the server refuses a text of this document, and no other.
        DependencyError: anything else, which is no fault of the document.
    """
    try:
        return await embeddings.aembed(texts)
    except DependencyError as error:
        if error.status not in OWN_FAULTS:
            raise
    # Each alone: a server may refuse too many texts at once.
    return [await _aembed_alone(embeddings, text) for text in texts]


async def _aembed_alone(embeddings: Embeddings, text: str) -> list[float]:
    await embeddings.aembed([CONTROL_TEXT])
    try:
        [vector] = await embeddings.aembed([text])
    except DependencyError as error:
        if error.status not in OWN_FAULTS:
            raise
        await embeddings.aembed([CONTROL_TEXT])
        raise RefusedTextError(error.dependency, error.message, status=error.status) from error
    return vector
