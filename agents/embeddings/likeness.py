"""The likeness of words: which words of a text mean a word of a question or an answer, in any language. Pure.

words = comparable_words(text)
likeness = Likeness(asked, words, cosines, scale)      # cosines: a row for each word of `asked`
likeness.strengths(text)                               # of each asked key, from 0 to 1
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from agents.components import Passage
from agents.embeddings.comparing import Scale
from agents.language.folding import folded
from agents.language.stop_words import stop_words

SHORTEST = 3
"""Letters of a word that is compared; shorter ones connect, or are codes."""
PAIR, LONG_PIECE = 2, 4
"""Characters of the pieces of Chinese writing that are compared: nothing shows where its words begin. Texts
have pairs alone: longer ones treble the cost, and answer 37 instead of 34 of 100 questions of XQuAD."""
LONGEST = 40
"""Characters of a word that is compared: longer ones are addresses and keys."""
RUN_MAX = 200
"""Characters of one run of Chinese writing that are compared."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_WORDS = re.compile(
    r"[\u30a0-\u30ff]+|[\u3400-\u9fff]+|[\uac00-\ud7a3]+"
    # Hiragana only binds words together.
    r"|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+"
)

Strengths = dict[str, float]
"""How much a text says of each asked key, from 0 to 1; keys of which it says nothing are missing."""


@lru_cache(maxsize=256)
def comparable_words(text: str, longest: int = PAIR) -> tuple[str, ...]:
    """Return the words of a text that may mean another, each once.

    Of Chinese writing it returns all pieces of up to `longest` characters.
    """
    return tuple(dict.fromkeys(_words(text, stop_words(text), longest)))


def words_of(passages: Sequence[Passage]) -> list[str]:
    """Return all words of passages, their titles and headings that may mean another, each once."""
    return list(
        dict.fromkeys(
            word
            for passage in passages
            for text in (passage.text, " ".join((passage.title, *passage.headings)))
            for word in comparable_words(text)
        )
    )


class Likeness:
    """The words of some texts that mean words of another.

    Args:
        asked: the other text's words with the keys that each stands for.
        others: the words of the texts.
        cosines: a row for each word of `asked`, with a column for each of `others`.
        scale: what the cosines mean.
    """

    def __init__(
        self,
        asked: Mapping[str, frozenset[str]],
        others: Sequence[str],
        cosines: Sequence[Sequence[float]],
        scale: Scale,
    ) -> None:
        self._meant: dict[str, Strengths] = {}
        for keys, row in zip(asked.values(), cosines, strict=True):
            for other, cosine in zip(others, row, strict=True):
                if cosine > scale.unrelated:
                    _raise(self._meant.setdefault(other, {}), dict.fromkeys(keys, scale.strength(cosine)))

    def strengths(self, text: str) -> Strengths:
        """Return how much the words of a text mean each asked key, by likeness alone."""
        found: Strengths = {}
        for word in comparable_words(text):
            if word in self._meant:
                _raise(found, self._meant[word])
        return found


def _raise(strengths: Strengths, others: Mapping[str, float]) -> None:
    for key, strength in others.items():
        if strength > strengths.get(key, 0.0):
            strengths[key] = strength


def _words(text: str, light: frozenset[str], longest: int) -> Iterator[str]:
    for found in _WORDS.finditer(text):
        word = found[0]
        if _HAN.match(word):
            run = word[:RUN_MAX]
            for length in range(PAIR, longest + 1):
                yield from (run[start : start + length] for start in range(len(run) - length + 1))
        elif SHORTEST <= len(word) <= LONGEST and folded(word) not in light:
            yield word
