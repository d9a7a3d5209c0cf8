"""Finds the evidence for a question by words and, where a model in the process compares texts, by meaning.

Words come first: they cost nothing, and a sentence with the question's own words is rarely wrong. Vectors are
made where words find nothing or where their evidence is in doubt, within a budget.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agents.components import Passage
from agents.embeddings.comparing import Comparer
from agents.embeddings.likeness import Likeness
from agents.errors import DependencyError
from agents.models.asked_words import asked_words
from agents.models.asking import Asked
from agents.models.by_meaning import Doubt, choose, most_telling, words_of
from agents.models.evidence import PASSAGES_READ, SUPPORTED, Evidence, find_evidence

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
        """Return the units that fit the question best, best first; see `evidence.find_evidence`."""
        read = passages[:PASSAGES_READ]
        found = find_evidence(asked, read, limit, supported)
        if self.comparer is None or not read:
            return found
        until = min(self.until, asyncio.get_running_loop().time() + BUDGET_S)
        try:
            async with asyncio.timeout_at(until):
                return await self._abetter(self.comparer, asked, read, found)
        except (TimeoutError, DependencyError):
            return found

    async def _abetter(
        self, comparer: Comparer, asked: Asked, passages: Sequence[Passage], found: list[Evidence]
    ) -> list[Evidence]:
        doubt = Doubt(asked, passages, found[0]) if found else None
        if doubt is not None and doubt.is_settled(None, 0.0):
            return found
        words, others = asked_words(asked), words_of(passages)
        if not words:
            return found
        likeness = Likeness(words, others, await comparer.acompare(list(words), others), comparer.scale)
        told = most_telling(asked, passages, likeness)
        texts = [text for each in told for text in each.texts]
        if doubt is not None:
            texts += doubt.texts
        if not texts:
            return found
        [cosines] = await comparer.acompare([asked.text], texts)
        if doubt is not None and doubt.is_settled(likeness, max(cosines[-2:])):
            return found
        best = choose(told, cosines[: 2 * len(told)])
        if best is None:
            return found if doubt is not None and doubt.is_bearable(likeness, max(cosines[-2:])) else []
        # The same unit keeps what the words found beside it.
        return found if found and (best.passage, best.unit) == (found[0].passage, found[0].unit) else [best]
