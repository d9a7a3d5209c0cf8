"""An answer in another language than its sources: which of its words mean theirs."""

import asyncio
from collections.abc import Mapping, Sequence

from agents.citing.marks import read_marks
from agents.components import Passage
from agents.embeddings.comparing import Comparer
from agents.embeddings.likeness import LONG_PIECE, Likeness, comparable_words, words_of
from agents.errors import DependencyError
from agents.language.detection import language_of
from agents.language.keys import term_key
from agents.language.terms import terms

BUDGET_S = 1.0
"""Seconds for the vectors of an answer's words and its sources'."""
WORDS_MAX = 1_000
"""Words that are compared on each side."""


async def aread_across(
    text: str, passages: Sequence[Passage], comparer: Comparer, until: float
) -> Likeness | None:
    """Return which words of an answer the passages that it cites mean; None where they share its language.

    None also if the vectors are not there in time: `until`, in seconds of the event loop's clock.
    """
    foreign = _foreign(text, passages)
    if not foreign:
        return None
    words = _said(text)
    others = words_of(foreign)[:WORDS_MAX]
    if not words or not others:
        return None
    try:
        async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + BUDGET_S)):
            cosines = await comparer.acompare(list(words), others)
    except (TimeoutError, DependencyError):
        return None
    return Likeness(words, others, cosines, comparer.scale)


def _foreign(text: str, passages: Sequence[Passage]) -> list[Passage]:
    _, marks = read_marks(text, [passage.text for passage in passages])
    cited = sorted({number for mark in marks for number in mark.numbers})
    if not cited:
        return []
    own = language_of(text)
    return [passage for number in cited if language_of((passage := passages[number - 1]).text) != own]


def _said(text: str) -> Mapping[str, frozenset[str]]:
    words = comparable_words(text, LONG_PIECE)[:WORDS_MAX]
    return {word: frozenset(map(term_key, terms(word))) for word in words}
