"""Sentence boundaries, in any mix of languages. Pure.

The scripts in the text decide, not a declared language.
"""

import re

import sentencex

from agents.language.boundaries import is_end

_SPACES = dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")
_NEWLINES = dict.fromkeys((0x85, 0x2028, 0x2029), "\n")
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "?")
# sentencex 1.0 panics (a BaseException) if an abbreviation follows white space of more than one byte in
# UTF-8, such as the ideographic space. One character replaces one, so that offsets stay.
_ONE_BYTE_SPACES = {**_SPACES, **_NEWLINES, **_SURROGATES}
_NOTE = re.compile("(?:[\u00b9\u00b2\u00b3\u2070\u2074-\u2079]+|\\[[^\\[\\]\n]{1,24}\\])+")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of each sentence, in order, without the white space around it; none is empty."""
    prepared = text if text.isascii() else text.translate(_ONE_BYTE_SPACES)
    spans: list[tuple[int, int]] = []
    start = 0
    # The language code selects abbreviations only: every one knows the terminators of all scripts. The
    # abbreviations of other languages are known to `boundaries`.
    for sentence in sentencex.segment("en", prepared):
        end = start + len(sentence)
        bare = sentence.strip()
        if bare:
            left = start + sentence.index(bare)
            right = left + len(bare)
            if spans and spans[-1][1] == left and (note := _NOTE.match(text, left)):
                # The mark of a note belongs to the sentence before it.
                spans[-1] = (spans[-1][0], note.end())
                bare = text[note.end() : right].lstrip()
                left = right - len(bare)
            if not bare:
                start = end
                continue
            if spans and not is_end(text, *spans[-1], left):
                left = spans.pop()[0]
            spans.append((left, right))
        start = end
    return spans
