"""Haystack's in-memory retrieval beside ours: its BM25, the same vectors, and its three ways to join them.

It needs the bench environment. Defaults are kept: BM25L, joiners without weights, 10 documents of each.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.document import Document

CANDIDATES = 10

JOINS = {
    "by rank": "reciprocal_rank_fusion",
    "by scores": "distribution_based_rank_fusion",
    "by sum": "merge",
}


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
                    # As our index sees it: a document's title counts for all of its text.
                    content=f"{each.title}\n{each.text}",
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
