"""Unicode normalisation whose cost grows with the length of a text and no faster. Pure.

Putting the marks of one character in order takes the square of their number: of 32,000 on one letter, 2 to
4 s, during which nothing else happens. No writing system needs more than 30; see "Stream-Safe Text Format"
in Unicode Standard Annex 15.
"""

import unicodedata
from typing import Literal

MARKS_MAX = 32


def composed(form: Literal["NFC", "NFKC"], text: str) -> str:
    """The text in this form; as it is, where a character in it has more than about `2 * MARKS_MAX` marks."""
    return text if text.isascii() or _piles_up(text) else unicodedata.normalize(form, text)


def _piles_up(text: str) -> bool:
    """Whether one of the pieces of `MARKS_MAX` characters, one after another, is all marks."""
    mark = unicodedata.combining
    return any(
        mark(text[at]) and all(map(mark, text[at : at + MARKS_MAX]))
        for at in range(0, len(text) - MARKS_MAX + 1, MARKS_MAX)
    )
