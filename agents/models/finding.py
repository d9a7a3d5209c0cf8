"""Finds the evidence for a question by words and, where a model in the process compares texts, by meaning.

Words come first: they cost nothing, and a sentence with the question's own words is rarely wrong. Vectors are
made where words find nothing or where their evidence is in doubt, within a budget.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agents.components import Passage
from agents.embeddings.comparing import Comparer
from agents.embeddings.likeness import Likeness, words_of
from agents.errors import DependencyError
from agents.models.asked_words import asked_words
from agents.models.asking import Asked
from agents.models.by_meaning import SUPPORTED as SETTLED
from agents.models.by_meaning import choose, most_telling
from agents.models.evidence import PASSAGES_READ, SUPPORTED, Evidence, Search

BUDGET_S = 3.0
"""Seconds for a question's vectors. Some hundred words and twenty sentences take 0.1-0.2 s of a core if none
of them is remembered, and others may ask at the same time."""


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds evidence. Without a `comparer` by words alone.

    Attributes:
        until: the moment at which the evidence must be there, in seconds of the event loop's clock.
    """

    comparer: Comparer | None
    until: float

    async def afind(
        self, asked: Asked, passages: Sequence[Passage], limit: int = 2, supported: float = SUPPORTED
    ) -> list[Evidence]:
        """Return the units that fit the question best, best first; see `evidence.Search.evidence`."""
        read = passages[:PASSAGES_READ]
        by_words = Search(asked, read)
        found = by_words.evidence(limit, supported)
        if self.comparer is None or not read or (found and found[0].score >= SETTLED):
            return found
        until = min(self.until, asyncio.get_running_loop().time() + BUDGET_S)
        try:
            async with asyncio.timeout_at(until):
                return await self._acompared(self.comparer, asked, read, by_words.ranked(), limit)
        except (TimeoutError, DependencyError):
            return found

    async def _acompared(
        self,
        comparer: Comparer,
        asked: Asked,
        passages: Sequence[Passage],
        ranked: Sequence[Evidence],
        limit: int,
    ) -> list[Evidence]:
        words, others = asked_words(asked), words_of(passages)
        likeness = Likeness(words, others, await comparer.acompare(list(words), others), comparer.scale)
        told = most_telling(asked, passages, ranked, likeness)
        if not told:
            return []
        [cosines] = await comparer.acompare([asked.text], [text for each in told for text in each.texts])
        return choose(told, cosines, limit)
