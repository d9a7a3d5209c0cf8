"""Haystack's in-memory retrieval beside ours: its BM25, the same vectors, and its three ways to join them.

Haystack is in the bench environment alone. Its defaults are kept: BM25L, joiners without weights, 10
documents of each.
"""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from schemas.document import Document

CANDIDATES = 10
BATCH = 64

JOINS = {
    "by rank": "reciprocal_rank_fusion",
    "by scores": "distribution_based_rank_fusion",
    "by sum": "merge",
}


def has_peers() -> bool:
    return find_spec("haystack") is not None


async def searched(
    embeddings: Any, documents: Sequence[Document], texts: Sequence[str], limit: int
) -> dict[str, list[list[str]]]:
    """Search every text with Haystack; return the best documents' ids, by the name of each way to search.

    `embeddings` are the product's own, so that both have the same vectors; None: BM25 alone.
    """
    vectors: dict[str, list[float]] = {}
    asked: list[list[float] | None] = [None] * len(texts)
    if embeddings is not None:
        for start in range(0, len(documents), BATCH):
            batch = documents[start : start + BATCH]
            made = await embeddings.aembed([_text(each) for each in batch])
            vectors |= {each.id: vector for each, vector in zip(batch, made, strict=True)}
        asked = [await embeddings.aembed_search(text) for text in texts]
    haystack = HaystackRetrieval(documents, vectors)
    found = [haystack.search(text, vector, limit) for text, vector in zip(texts, asked, strict=True)]
    return {f"Haystack {way}": [each[way] for each in found] for way in (found[0] if found else ())}


def _text(document: Document) -> str:
    """The text as our index sees it: a document's title counts for all of it."""
    return f"{document.title}\n{document.text}"


class HaystackRetrieval:
    """The documents in Haystack's store; `vectors` are by document id, none for BM25 alone.

    Raises:
        ImportError: haystack-ai is not installed here.
    """

    def __init__(self, documents: Sequence[Document], vectors: Mapping[str, Sequence[float]]) -> None:
        os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
        from haystack import Document as HaystackDocument
        from haystack.components.joiners import DocumentJoiner
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        self._joiners = {name: DocumentJoiner(join_mode=mode) for name, mode in JOINS.items()}
        self._store = InMemoryDocumentStore(embedding_similarity_function="cosine")
        self._store.write_documents(
            [
                HaystackDocument(
                    id=each.id,
                    content=_text(each),
                    embedding=list(vectors[each.id]) if vectors else None,
                )
                for each in documents
            ]
        )

    def search(self, text: str, vector: Sequence[float] | None, limit: int) -> dict[str, list[str]]:
        """The ids of the best documents, by the name of each way to find them."""
        # Scaled, because sums of scores of different sizes would be the larger one's alone.
        words = self._store.bm25_retrieval(text, top_k=CANDIDATES, scale_score=True)
        found: dict[str, list[Any]] = {"BM25": words}
        if vector is not None:
            meant = self._store.embedding_retrieval(list(vector), top_k=CANDIDATES, scale_score=True)
            found["dense"] = meant
            found |= {
                name: joiner.run(documents=[words, meant])["documents"]
                for name, joiner in self._joiners.items()
            }
        return {name: [document.id for document in documents[:limit]] for name, documents in found.items()}
