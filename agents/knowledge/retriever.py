"""Retrieval from an index."""

from collections.abc import Sequence

from agents.components import Call, Passage
from agents.knowledge.index import Index
from schemas.question import Question


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
        found = await self._index.asearch(question.tenant, question.text, self._top_k, call.trail)
        # A concurrent search may have lapsed instead: then this answer is not cached, and no more.
        if self._index.lapses != lapses and call.trail is not None:
            call.trail.found_less()
        return found
