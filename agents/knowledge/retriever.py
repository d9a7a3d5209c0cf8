"""Retrieval from an index. A follow-up question is searched together with the turn before it."""

import asyncio
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from agents.components import Call, Passage
from agents.knowledge.index import Index
from agents.language.sentences import terms
from schemas.question import Question

FOLLOW_UP_TERMS = 8
"""A question in a conversation may be a follow-up if it has at most this many different terms."""

LEANT_ON = 600
"""Characters of the user's last turn that are searched with a follow-up."""

HISTORY_WEIGHT = 0.35
"""The weight of a passage's score for the last turn; its score for the question counts 1.

Measured with XQuAD's English questions: the first passage answers 0.91 of follow-ups without names (0.58
without history), and 0.91 of questions that open a new subject (0.94 without). A weight of 0.5 gives 0.94
and 0.87, a weight of 0.2 gives 0.82 and 0.93.
"""

CANDIDATES = 20
"""Passages of each of the two searches that are weighed against each other."""


class IndexRetriever:
    """Implements `agents.components.Retriever`.

    A short question in a conversation ("and how much is it?") starts two searches, for itself and for the
    user's last turn. Passages that both searches find come first.
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
        found = await self._found(question)
        # A concurrent search may have lapsed instead: then this answer is not cached, and no more.
        if self._index.lapses != lapses and call.trail is not None:
            call.trail.found_less()
        return found

    async def _found(self, question: Question) -> Sequence[Passage]:
        before = last_turn(question) if question.history else ""
        if not before:
            return await self._index.asearch(question.tenant, question.text, self._top_k)
        candidates = max(CANDIDATES, self._top_k)
        search = partial(self._index.asearch, question.tenant, limit=candidates)
        if self.immediate:
            asked, said = await search(question.text), await search(before)
        else:
            asked, said = await asyncio.gather(search(question.text), search(before))
        return weigh(asked, said)[: self._top_k]


def last_turn(question: Question) -> str:
    """Return the user's last turn if the question may be a follow-up to it, else ""."""
    if len(set(terms(question.text[:LEANT_ON]))) > FOLLOW_UP_TERMS:
        return ""
    said = (turn.content for turn in reversed(question.history) if turn.role == "user")
    return next((content for content in said if content != question.text), "")[:LEANT_ON]


def weigh(asked: Sequence[Passage], said: Sequence[Passage]) -> list[Passage]:
    """Merge both results into one ranking, by the weighted sum of the scores."""
    found = {passage.chunk_id: passage for passage in asked}
    for passage in said:
        own = found.get(passage.chunk_id)
        score = HISTORY_WEIGHT * passage.score + (own.score if own else 0.0)
        found[passage.chunk_id] = replace(passage, score=score)
    return sorted(found.values(), key=lambda passage: -passage.score)
