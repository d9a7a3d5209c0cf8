"""The lines of a paragraph: those that a writer broke, and those that the width of a page did. Pure."""

import re

from agents.documents.blocks import Span

_LINE = re.compile(r"[^\n]+")
_FIRST_WORD = re.compile(r"\s*([^\s]{1,40})")
_NAMED = re.compile(r"\s*(?:[-*+•·–]\s|[^\W\d_][^\n:：]{0,30}[:：]\s)")
_BROKEN = re.compile(r"(?: {2,}|\\|[:：]\s*)\Z")
_UNSPACED = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]\Z")


def joined_lines(text: str, start: int, end: int) -> list[Span]:
    """Return the spans of the lines of `text[start:end]`; lines that were wrapped are one.

    A line was wrapped if the first word of the next line had no room in it, or if that line begins in lower
    case. A line that begins with a name and a colon is one of its own.
    """
    lines = [found.span() for found in _LINE.finditer(text, start, end)]
    if len(lines) < 2:
        return lines
    width = max(right - left for left, right in lines)
    joined = [lines[0]]
    for line in lines[1:]:
        left, right = joined[-1]
        before = text[text.rfind("\n", left, right) + 1 if "\n" in text[left:right] else left : right]
        if _continues(before, text[slice(*line)], width):
            joined[-1] = (left, line[1])
        else:
            joined.append(line)
    return joined


def _continues(before: str, line: str, width: int) -> bool:
    if _BROKEN.search(before) or _NAMED.match(line):
        return False
    word = _FIRST_WORD.match(line)
    if word is None:
        return False
    first = word[1]
    if first[0].islower():
        return True
    room = 1 if _UNSPACED.search(before) else len(first) + 1
    return len(before.rstrip()) + room > width
