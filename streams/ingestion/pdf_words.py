"""Words of a page with their places, and the lines that they make. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

EAST_ASIAN = re.compile(r"[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef]")
SPACED_MIN = 5
"""Letters that stand alone in a line, at least, for it to be spaced out."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its box, from the page's top left corner."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    size: float
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Words side by side without a gap between them that a column or table would have."""

    words: Sequence[Word]

    @property
    def text(self) -> str:
        """Its words."""
        return " ".join(word.text for word in self.words)

    @property
    def left(self) -> float:
        """Its left edge."""
        return self.words[0].left

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.words[-1].right

    @property
    def top(self) -> float:
        """Its upper edge."""
        return min(word.top for word in self.words)

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return max(word.bottom for word in self.words)

    @property
    def size(self) -> float:
        """The size of its largest letters."""
        return max(word.size for word in self.words)

    @property
    def bold(self) -> bool:
        """Whether all of it is bold."""
        return all(word.bold for word in self.words)


def closed_up(words: Sequence[Word]) -> Sequence[Word]:
    """Return the words of a line; in one that is spaced out (`T I T L E`) the letters make words."""
    letters = sum(len(word.text) == 1 and word.text.isalpha() for word in words)
    if (
        letters < SPACED_MIN
        or letters < 0.8 * len(words)
        or any(map(EAST_ASIAN.match, (w.text for w in words)))
    ):
        return words
    usual = median(after.left - before.right for before, after in pairwise(words))
    made = [words[0]]
    for before, word in pairwise(words):
        if word.left - before.right <= 1.5 * usual:
            made[-1] = replace(made[-1], text=made[-1].text + word.text, right=word.right)
        else:
            made.append(word)
    return made
