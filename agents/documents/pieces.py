"""The pieces of a block that a chunk takes or leaves as a whole: sentences, items, rows, lines. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.documents.blocks import Block, Span
from agents.documents.tokens import estimate_tokens
from agents.language.sentences import sentence_spans

WINDOW = 2_048
"""Characters searched for sentences at once (0.2 ms): sentencex's time grows with their square."""

LENGTHENED = 4
"""A row or line of code may be so many times as long as a chunk before it is cut."""

LOOKED_AT = 32_768
"""Characters of a row or line that are looked at once."""

_SPACE = re.compile(r"\s")
_LINE = re.compile(r"[^\r\n]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of the text with its size in tokens."""

    start: int
    end: int
    tokens: float


def pieces(text: str, block: Block, max_tokens: int) -> Iterator[Piece]:
    """Yield the pieces of a block in order. They cover its words, and its marks go with them."""
    longest = max_tokens * LENGTHENED
    if block.kind == "table":
        yield from _rows(text, block, longest)
    elif block.kind == "code":
        for line in _LINE.finditer(text, block.start, block.end):
            yield from _split(text, line.start(), line.end(), longest)
    elif block.kind == "heading":
        yield from _split(text, block.start, block.end, max_tokens)
    else:
        start = block.start
        last = None
        for span in _sentences(text, *block.content):
            if last is not None:
                yield from _split(text, start, last, max_tokens)
                start = span[0]
            last = span[1]
        yield from _split(text, start, block.end, max_tokens)


def _rows(text: str, block: Block, longest: int) -> Iterator[Piece]:
    rows = list(block.rows)
    if block.header is not None and block.start == block.header.start:
        # The header goes with the first row: alone it says nothing.
        first = rows.pop(0).end if rows else block.end
        yield from _split(text, block.start, first, longest)
    for row in rows:
        yield from _split(text, row.start, row.end, longest)


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    position = start
    while position < end:
        window = text[position : min(position + WINDOW, end)]
        spans = sentence_spans(window)
        last = position + len(window) == end
        if not last and len(spans) > 1:
            # The window may have cut its last sentence short: the next window begins with it.
            *spans, (resume, _) = spans
        else:
            resume = len(window)
            if not last and spans:
                resume = _cut(text, position + spans[0][0], position + len(window)) - position
                spans = [(spans[0][0], resume)]
        for left, right in spans:
            yield position + left, position + right
        position += resume


def _split(text: str, start: int, end: int, max_tokens: int) -> Iterator[Piece]:
    while end - start > LOOKED_AT:  # it is long: to look at all of it again and again would take long
        middle = _cut(text, start, start + LOOKED_AT)
        yield from _split(text, start, middle, max_tokens)
        start = middle
    tokens = estimate_tokens(text[start:end])
    if tokens <= max_tokens or end - start < 2:
        if text[start:end].strip():
            yield Piece(start, end, tokens)
        return
    middle = _cut(text, start, (start + end) // 2)
    yield from _split(text, start, middle, max_tokens)
    yield from _split(text, middle, end, max_tokens)


def _cut(text: str, start: int, end: int) -> int:
    """Return the end of the last white space in the second half of the span, else the span's end."""
    for at in range(end, (start + end) // 2, -1):
        if _SPACE.match(text, at - 1):
            return at
    return end
