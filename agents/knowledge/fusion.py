"""One ranking from two searches, by words and by meaning. Pure.

The scores are fused, not the ranks: a rank does not tell how much better the first passage is, and with it
this index lost to words alone. Both scores of a passage are brought to a scale from 0 to 1 for the question.

Words: the share of the best passage's BM25 score. If even that passage has only few of the question's terms,
as when a question in one language meets a document in another, all of them count for less.

Meaning: the share of the best passage's similarity, from that of unrelated passages on.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Point = TypeVar("Point", bound=Hashable)

CANDIDATES = 50
"""Passages that each of the two searches gives."""

COVERED = 0.4
"""The share of the question's terms, by weight, from which on the best passage's words count in full."""

WEIGHT = 0.5
"""The weight of meaning; that of words is the rest."""

_EVEN = 1e-6
"""The least difference between similarities that tells anything."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How two searches become one ranking.

    Attributes:
        weight: the weight of meaning, 0 to 1; that of words is the rest.
        floor: the least cosine of a passage that is found by its meaning alone.
        unrelated: the usual cosine of texts that have nothing to do with each other; None: unknown, so
            that the least one among a question's candidates stands for it.
    """

    weight: float = WEIGHT
    floor: float = -1.0
    unrelated: float | None = None

    def ranked(
        self,
        words: Sequence[tuple[Point, float]],
        meaning: Sequence[tuple[Point, float]],
        covered: float,
        limit: int,
    ) -> list[tuple[Point, float]]:
        """Return the best points with their scores, 0 to 1, best first.

        Args:
            words: the best points by BM25 with their scores, best first.
            meaning: likewise by cosine.
            covered: the share of the question's terms that the first point by words has (see `coverage`).
            limit: the most points returned.
        """
        scores: dict[Point, float] = {}
        for point, share in _by_words(words, covered):
            scores[point] = (1 - self.weight) * share
        for point, share in self._by_meaning(words, meaning):
            scores[point] = scores.get(point, 0.0) + self.weight * share
        # The order of the two rankings decides between equal scores.
        return sorted(scores.items(), key=lambda found: -found[1])[:limit]

    def _by_meaning(
        self, words: Sequence[tuple[Point, float]], meaning: Sequence[tuple[Point, float]]
    ) -> list[tuple[Point, float]]:
        if not meaning:
            return []
        best, least = meaning[0][1], meaning[-1][1]
        low = least if self.unrelated is None else min(self.unrelated, best)
        span = best - low
        found_by_words = {point for point, _ in words}
        return [
            (point, max(0.0, (cosine - low) / span) if span > _EVEN else 1.0)
            for point, cosine in meaning
            if cosine >= self.floor or point in found_by_words
        ]


ALIKE = Fusion()
"""For any model: both rankings count alike, and no passage is too far."""


def _by_words(words: Sequence[tuple[Point, float]], covered: float) -> list[tuple[Point, float]]:
    if not words or words[0][1] <= 0:
        return []
    scale = min(1.0, covered / COVERED) / words[0][1]
    return [(point, score * scale) for point, score in words]


def coverage(asked: Mapping[int, float], found: Mapping[int, float]) -> float:
    """Return the share of a question's terms, by their weights in it, that a passage has."""
    total = sum(asked.values())
    return sum(weight for term, weight in asked.items() if term in found) / total if total > 0 else 0.0
