"""The comparison of texts by meaning, for a question that waits: cosines of a model's vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Scale:
    """The cosines of a model's vectors for two words: below `unrelated` none says anything of the other.

    At `same` and above they mean the same, as a word and its translation do.
    """

    unrelated: float
    same: float

    def strength(self, cosine: float) -> float:
        """Return how much two words of this cosine mean the same, from 0 to 1."""
        return min(1.0, max(0.0, (cosine - self.unrelated) / (self.same - self.unrelated)))


class Comparer(Protocol):
    """Compares texts by meaning, across languages. Raises only `agents.errors.DependencyError`."""

    @property
    def scale(self) -> Scale:
        """The scale of cosines between words."""
        ...

    async def acompare(self, left: Sequence[str], right: Sequence[str]) -> list[list[float]]:
        """Return the cosines, a row for each text of `left` with a column for each of `right`."""
        ...
