"""Pieces of long words, by which parts of a compound are found: `Garantie` in `Waschmaschinengarantie`. Pure.

No dictionary takes the words apart: every five letters in a row are a piece. A splitter would need one of
several megabytes for each language, and a compound is as often a new word as not.
"""

import re

from agents.language.detection import recognised

PIECE = 5
"""The letters of a piece; a shorter word has none."""
LONG = 10
"""The least letters of a word that has pieces in a text whose language nothing tells, such as a name."""
COMPOUNDING = frozenset({"de", "nl", "da", "nb", "sv", "fi", "hu"})
"""Languages that write compounds in one word. Texts of others have no pieces."""
ASKED = 96
"""The most pieces of a question, those of its first words: a search takes longer for each."""
TELLING = 200
"""The characters at a text's beginning that tell its language."""

_WORDS = re.compile(f"[a-z]{{{PIECE},40}}")
_UNSPACED = re.compile(
    f"[\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u1049\u1050-\u109d\u1780-\u17d3]{{{PIECE},}}"
)
"""Runs of Thai, Lao, Myanmar and Khmer, which have no spaces between words."""
_LONG_WORDS = re.compile(f"[a-z]{{{LONG},40}}")


def pieces(folded: str, original: str) -> set[str]:
    """Return the pieces of a text that is searched, given in its folded form too."""
    language = recognised(original[:TELLING])
    if language in COMPOUNDING:
        words = _WORDS.findall(folded)
    else:
        words = [] if language else _LONG_WORDS.findall(folded)
    return {piece for word in {*words, *_UNSPACED.findall(folded)} for piece in _pieces(word)}


def asked_pieces(folded: str, original: str) -> dict[str, float]:
    """Return the pieces of a question's words, with the share that each has of its word."""
    shares: dict[str, float] = {}
    # Few English texts have pieces, but most questions are English: to look for them would only cost.
    if recognised(original[:TELLING]) == "en":
        return shares
    for word in _WORDS.findall(folded):
        found = _pieces(word)
        if len(shares) + len(found) > ASKED:
            return shares
        shares.update(dict.fromkeys(found, 1 / len(found)))
    for run in _UNSPACED.findall(folded):
        shares.update(dict.fromkeys(_pieces(run)[: ASKED - len(shares)], 1 / PIECE))
    return shares


def _pieces(word: str) -> list[str]:
    return [word[at : at + PIECE] for at in range(len(word) - PIECE + 1)]
