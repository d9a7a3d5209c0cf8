"""Cuts documents into chunks of whole sentences, lazily: a large document is cut piece by piece.

A chunk's text is an exact substring of its document's, so that a quote from a chunk is also in the
document. Sizes are in tokens as a language model counts them, estimated without its tokenizer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.language.sentences import sentence_spans

MAX_TOKENS = 512
OVERLAP_TOKENS = 64

WINDOW = 2_048
"""Characters searched for sentences at once (0.2 ms): sentencex's time grows with their square."""

TOKENS_PER_WORD = 1.3
CHARACTERS_PER_TOKEN = 6
"""Limits the estimate of text with few spaces, such as URLs, tables and encoded data."""

# Scripts without spaces between words, and Hangul, whose syllables are tokens; with their punctuation.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\U00020000-\U0003134f]"
)
_SPACE = re.compile(r"\s")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document; `number` counts from 0, `start` is its place in the document's text."""

    number: int
    start: int
    text: str


def estimate_tokens(text: str) -> float:
    """Return about how many tokens a language model makes of `text`."""
    spaced, unspaced = (text, 0) if text.isascii() else _UNSPACED.subn(" ", text)
    words = len(spaced.split())
    return unspaced + max(words * TOKENS_PER_WORD, (len(spaced) - unspaced) / CHARACTERS_PER_TOKEN)


def chunk_text(
    text: str, max_tokens: int = MAX_TOKENS, overlap_tokens: int = OVERLAP_TOKENS
) -> Iterator[Chunk]:
    """Yield chunks of at most `max_tokens`, each starting with up to `overlap_tokens` of the one before.

    Only a sentence that is longer than a chunk is split, at white space if it has any.
    """
    number = 0
    held: list[tuple[int, int, float]] = []
    size = 0.0
    for start, end in _pieces(text, max_tokens):
        tokens = estimate_tokens(text[start:end])
        if held and size + tokens > max_tokens:
            yield Chunk(number, held[0][0], text[held[0][0] : held[-1][1]])
            number += 1
            held = _overlap(held, min(overlap_tokens, max_tokens - tokens))
            size = sum(piece[2] for piece in held)
        held.append((start, end, tokens))
        size += tokens
    if held:
        yield Chunk(number, held[0][0], text[held[0][0] : held[-1][1]])


def _overlap(held: list[tuple[int, int, float]], budget: float) -> list[tuple[int, int, float]]:
    """Return the last sentences that fit `budget`, never all: the next chunk would repeat this one."""
    kept = len(held)
    while kept > 1 and held[kept - 1][2] <= budget:
        kept -= 1
        budget -= held[kept][2]
    return held[kept:]


def _pieces(text: str, max_tokens: int) -> Iterator[Span]:
    """Yield the sentences in order; sentences that are longer than a chunk come in parts."""
    for start, end in _sentences(text):
        yield from _split(text, start, end, max_tokens)


def _sentences(text: str) -> Iterator[Span]:
    position = 0
    while position < len(text):
        window = text[position : position + WINDOW]
        spans = sentence_spans(window)
        last = position + len(window) == len(text)
        if not last and len(spans) > 1:
            # The window may have cut its last sentence short: the next window begins with it.
            *spans, (resume, _) = spans
        else:
            resume = len(window)
            if not last and spans:
                resume = _cut(text, position + spans[0][0], position + len(window)) - position
                spans = [(spans[0][0], resume)]
        for start, end in spans:
            yield position + start, position + end
        position += resume


def _split(text: str, start: int, end: int, max_tokens: int) -> Iterator[Span]:
    if estimate_tokens(text[start:end]) <= max_tokens or end - start < 2:
        if text[start:end].strip():
            yield start, end
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
