"""Fakes for the knowledge: an embeddings model, and the index of a vector store."""

import math
import zlib
from collections.abc import Sequence
from typing import Any

from agents.components import Passage, Trail
from agents.errors import TransientError
from agents.language.terms import terms
from schemas.document import Document
from streams.assembly.stores import VectorStore

MEANINGS = (
    ("car", "automobile", "vehicle", "汽车"),
    ("price", "cost", "expensive", "价格"),
    ("doctor", "physician", "医生"),
    ("house", "home", "房子"),
)

OTHERS = 60


class MeaningList:
    """Implements `agents.embeddings.protocol.Embeddings`: a dimension a meaning, some for other terms.

    Words that share a meaning, by a list, get vectors that are near.
    """

    model = "meanings"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.away = False

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.away:
            raise TransientError("embeddings", "connection refused")
        self.texts += texts
        return [_vector(text.lower()) for text in texts]

    async def aembed_search(self, text: str) -> list[float]:
        [vector] = await self.aembed([text])
        return vector


def _vector(text: str) -> list[float]:
    weights = [3.0 * sum(text.count(word) for word in words) for words in MEANINGS] + [0.0] * OTHERS
    for term in terms(text):
        weights[len(MEANINGS) + zlib.crc32(term.encode()) % OTHERS] += 1.0
    length = math.sqrt(sum(weight * weight for weight in weights)) or 1.0
    return [weight / length for weight in weights]


class ListIndex:
    """Implements `agents.knowledge.index.Index` as a server would: a document is a chunk, in a dict."""

    weakened = closed = False
    lapses = 0

    def __init__(self, *, immediate: bool = False) -> None:
        self.immediate = immediate
        self.documents: dict[tuple[str, str], Document] = {}

    async def aupsert(self, documents: Sequence[Document]) -> None:
        self.documents |= {(document.tenant, document.id): document for document in documents}

    async def adelete(self, tenant: str, document_id: str) -> None:
        self.documents.pop((tenant, document_id), None)

    async def asearch(self, tenant: str, text: str, limit: int, trail: Trail | None = None) -> list[Passage]:
        wanted = set(terms(text))
        found = [
            Passage(f"{each.id}#0", each.id, each.title, each.source, each.text, score)
            for each in self.documents.values()
            if each.tenant == tenant and (score := float(len(wanted & set(terms(each.text)))))
        ]
        return sorted(found, key=lambda passage: -passage.score)[:limit]

    async def acount(self) -> int:
        return len(self.documents)

    async def aclose(self) -> None:
        self.closed = True


def list_store(index: ListIndex, **fields: Any) -> VectorStore:
    """A registry's entry, which any settings select, for an index as a server of workers has it."""
    entry: dict[str, Any] = {
        "name": "list",
        "selected": lambda _: True,
        "open": lambda _: index,
        "shared": True,
        "remote": True,
        "identity": lambda knowledge: (knowledge.collection,),
    }
    return VectorStore(**(entry | fields))
