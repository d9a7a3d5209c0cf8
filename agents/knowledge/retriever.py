"""Retrieval from an index."""

from collections.abc import Sequence

from agents.components import Call, Passage, Trail
from agents.knowledge.copies import without_copies
from agents.knowledge.index import Index
from schemas.question import Question

DEEPER, DEEPEST = 4, 1_280
"""A search whose passages say the same is repeated for so many times as many, up to so many."""


class IndexRetriever:
    """Implements `agents.components.Retriever`.

    A question must stand alone: the pipeline rewrites one that leans on its history.
    """

    def __init__(self, index: Index, top_k: int) -> None:
        self._index = index
        self._top_k = top_k

    @property
    def immediate(self) -> bool:
        """Whether a retrieval never waits (see `agents.graph.Stage`)."""
        return self._index.immediate

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        """See `Retriever`."""
        lapses = self._index.lapses
        found = await self._different(question, call.trail)
        # A concurrent search may have lapsed instead: then this answer is not cached, and no more.
        if self._index.lapses != lapses and call.trail is not None:
            call.trail.found_less()
        return found

    async def _different(self, question: Question, trail: Trail | None) -> Sequence[Passage]:
        """Return the best passages that differ: copies of one text must not take the place of others."""
        limit = self._top_k
        while True:
            found = await self._index.asearch(question.tenant, question.text, limit, trail)
            different = without_copies(found)
            if len(different) >= self._top_k or len(found) < limit or limit >= DEEPEST:
                return different[: self._top_k]
            limit = min(limit * DEEPER, DEEPEST)
