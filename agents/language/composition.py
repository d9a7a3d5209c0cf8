"""Unicode normalisation in a time that grows with the length of the text and no faster. Pure.

Normalising sorts the combining marks of a character, in a time that grows with the square of their number:
32,000 marks on one letter block the process for 2 to 4 s. No writing system needs more than 30; see
"Stream-Safe Text Format" in Unicode Standard Annex 15.
"""

import unicodedata
from typing import Literal

MARKS_MAX = 32


def composed(form: Literal["NFC", "NFKC"], text: str) -> str:
    """Return the text in this form, or unchanged if a character has more than about `2 * MARKS_MAX` marks."""
    return text if text.isascii() or _piles_up(text) else unicodedata.normalize(form, text)


def _piles_up(text: str) -> bool:
    """Whether one of the text's successive pieces of `MARKS_MAX` characters holds nothing but marks."""
    mark = unicodedata.combining
    return any(
        mark(text[at]) and all(map(mark, text[at : at + MARKS_MAX]))
        for at in range(0, len(text) - MARKS_MAX + 1, MARKS_MAX)
    )
