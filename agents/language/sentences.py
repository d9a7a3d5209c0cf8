"""Sentence boundaries and the terms of a text, in any mix of languages. Pure.

The scripts in the text decide, not a declared language.
"""

import re

import sentencex

from agents.language.composition import composed

_SPACES = dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")
_NEWLINES = dict.fromkeys((0x85, 0x2028, 0x2029), "\n")
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "?")
# sentencex 1.0 panics (a BaseException) if an abbreviation follows white space of more than one byte in
# UTF-8, such as the ideographic space. One character replaces one, so that offsets stay.
_ONE_BYTE_SPACES = {**_SPACES, **_NEWLINES, **_SURROGATES}

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
_TERMS = re.compile(rf"(?P<run>[{_UNSPACED}]+)|(?:[^\W_{_UNSPACED}]|[{_MARKS}])+")
_ASCII_TERMS = re.compile(r"[a-z0-9]+")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of each sentence, in order, without the white space around it; none is empty."""
    prepared = text if text.isascii() else text.translate(_ONE_BYTE_SPACES)
    spans: list[tuple[int, int]] = []
    start = 0
    # The language code selects abbreviations only: every one knows the terminators of all scripts.
    for sentence in sentencex.segment("en", prepared):
        end = start + len(sentence)
        bare = sentence.strip()
        if bare:
            left = start + sentence.index(bare)
            spans.append((left, left + len(bare)))
        start = end
    return spans


def terms(text: str) -> list[str]:
    """Return the words in lower case; of a script without spaces, the overlapping character pairs.

    A single character alone is a term. Compatible forms are one term: `２０１０` is `2010`.
    """
    if text.isascii():
        return _ASCII_TERMS.findall(text.lower())
    found: list[str] = []
    for match in _TERMS.finditer(composed("NFKC", text).lower()):
        word = match.group()
        if match.lastgroup == "run" and len(word) > 2:
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word)
    return found
