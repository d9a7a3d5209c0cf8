"""The terms of a text, by which it is searched and compared, in any mix of languages. Pure.

The scripts in the text decide, not a declared language.
"""

import re

from agents.language.folding import bare_words, folded
from agents.language.numbers import NUMBER, readings

_UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han, Kana
    "\uac00-\ud7a3"  # Hangul: spaced, but its particles cling to the words
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece"  # Thai, Lao
    "\u1000-\u1049\u1050-\u109d\u1780-\u17d3"  # Myanmar, Khmer
    "\U00020000-\U0003134f"  # the rarer Han
)
# `\w` does not match the marks that write vowels in many scripts; a word must not break at them.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962-\u0963\u0980-\u0dff\u200c\u200d"
)
_LETTER = rf"(?:[^\W\d_{_UNSPACED}]|[{_MARKS}])"
# A word takes the digits that follow it (`mp3`), but not those of a decimal or a version (`python3.11`).
_TERMS = re.compile(rf"{NUMBER}|[{_UNSPACED}]+|{_LETTER}(?:{_LETTER}|[0-9]+(?![.,]?[0-9]))*|\d+")
_ASCII_TERMS = re.compile(rf"{NUMBER}|[a-z](?:[a-z]|[0-9]+(?![.,]?[0-9]))*")
_ASCII_WORDS = re.compile("[a-z]+")
_DIGIT = re.compile("[0-9]")
_RUN = re.compile(f"[{_UNSPACED}]")
_FIRST_UNSPACED = "\u0e01"


def terms(text: str) -> list[str]:
    """Return the folded words and numbers; of a script without spaces, the overlapping character pairs.

    A single character alone is a term. `3,5` and `3.5` are one term, `35` is another.
    """
    return _terms(text, others=False)


def all_terms(text: str) -> list[str]:
    """Return also the terms by which somebody may mean a word or a number of the text.

    Words are also without their marks, which some leave out: `kundigung` beside `kuendigung`. `1.250` is
    1,250 as well as a decimal, and `12 300` are two numbers or one.
    """
    found = _terms(text, others=True)
    return found if text.isascii() else found + bare_words(text)


def _terms(text: str, *, others: bool) -> list[str]:
    text = folded(text)
    if text.isascii():
        if not _DIGIT.search(text):
            return _ASCII_WORDS.findall(text)
        words = _ASCII_TERMS.findall(text)
    else:
        words = _TERMS.findall(text)
    found: list[str] = []
    for word in words:
        if "0" <= word[0] <= "9":
            certain, possible = readings(word)
            found += certain
            if others:
                found += possible
        elif word[0] >= _FIRST_UNSPACED and len(word) > 2 and _RUN.match(word):
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word)
    return found
