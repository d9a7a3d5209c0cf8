"""The keys by which words of texts are compared, and how much each says. Pure."""

import re

from agents.language.folding import without_spelled_marks
from agents.language.number_words import DIGITS
from agents.language.terms import all_terms

STEM = 5
"""The first letters by which inflected forms of a word are recognised."""

_UNSPACED = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
# "1700s", "10th": the letters only say that it is a decade or a place in a row.
_COUNTED = re.compile(r"(\d+)(?:s|st|nd|rd|th|er|e|ème|º|ª)")
# The endings of plurals and tenses that are left within the first letters: "baked", "jahre", "jours".
_ENDING = re.compile(r"(?<=...)(?:e[dnrs]?|s)\Z")
# The Arabic article, and what is written before it in one word.
_ARTICLE = re.compile("^[وفبك]?ال(?=...)|^لل(?=...)")
_HIRAGANA = re.compile(r"[\u3040-\u309f]+")
_SHORT_WORDS = {1: 0.5, 2: 2.0, 3: 4.0, 4: 5.0}


def term_keys(text: str) -> set[str]:
    """Return the keys of a text's terms, and each character of scripts without spaces."""
    found = set(map(term_key, all_terms(text)))
    # A single character in a question must match inside the pairs of a text.
    return found.union(character for key in found if _UNSPACED.match(key) for character in key)


def term_key(term: str) -> str:
    """Return the key that inflected forms of a term share; that of a number in words is its digits."""
    if term[0].isdecimal():
        found = _COUNTED.fullmatch(term)
        return found[1] if found else term
    if number := DIGITS.get(term):
        return number
    bare = without_spelled_marks(_ARTICLE.sub("", term) if term[0] > "\u0600" else term)
    return _ENDING.sub("", bare[:STEM])


def term_weight(term: str) -> float:
    """Return the weight of a term by its length and script; at most 8."""
    if _HIRAGANA.fullmatch(term):
        return 0.5 * len(term)
    if _UNSPACED.match(term):
        return 2.0 * len(term)
    if any(character.isdecimal() for character in term):
        return float(max(4, min(len(term), 8)))
    return _SHORT_WORDS.get(len(term), float(min(len(term), 8)))
