"""Documents cut into chunks of whole sentences, lazily: a large one is cut piece by piece.

Every chunk's text is an exact substring of its document's, so that a quote found in a chunk is found
in the document. Sizes are in tokens as a language model counts them, estimated without its tokenizer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.sentences import sentence_spans

MAX_TOKENS = 512
OVERLAP_TOKENS = 64

WINDOW = 2_048
"""Characters that are searched for sentences at once (0.2 ms): sentencex's time grows with their square."""

TOKENS_PER_WORD = 1.3
CHARACTERS_PER_TOKEN = 6
"""Of text in words: for what has few spaces, such as URLs, tables and encoded data."""

# Scripts written without spaces between words, and Hangul, whose syllables are tokens of their own;
# with the punctuation that goes with them.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\U00020000-\U0003134f]"
)
_SPACE = re.compile(r"\s")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The `number`-th piece of a document, from 0; `start` is its place in the document's text."""

    number: int
    start: int
    text: str


def estimate_tokens(text: str) -> float:
    """About how many tokens a language model makes of `text`."""
    spaced, unspaced = (text, 0) if text.isascii() else _UNSPACED.subn(" ", text)
    words = len(spaced.split())
    return unspaced + max(words * TOKENS_PER_WORD, (len(spaced) - unspaced) / CHARACTERS_PER_TOKEN)


def chunk_text(
    text: str, max_tokens: int = MAX_TOKENS, overlap_tokens: int = OVERLAP_TOKENS
) -> Iterator[Chunk]:
    """Chunks of at most `max_tokens`, each beginning with up to `overlap_tokens` of the one before.

    Only a sentence that is longer than a chunk is ever split, at white space where there is any.
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
    """The last sentences that fit `budget`; never all of them, or the next chunk would hold this one."""
    kept = len(held)
    while kept > 1 and held[kept - 1][2] <= budget:
        kept -= 1
        budget -= held[kept][2]
    return held[kept:]


def _pieces(text: str, max_tokens: int) -> Iterator[Span]:
    """Sentences in order, those that are longer than a chunk cut into parts."""
    for start, end in _sentences(text):
        yield from _split(text, start, end, max_tokens)


def _sentences(text: str) -> Iterator[Span]:
    position = 0
    while position < len(text):
        window = text[position : position + WINDOW]
        spans = sentence_spans(window)
        last = position + len(window) == len(text)
        if not last and len(spans) > 1:
            # The window may have cut the last one short: it is read again with what follows it.
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
    """The end of the last white space between the middle of the span and its end, else its end."""
    for at in range(end, (start + end) // 2, -1):
        if _SPACE.match(text, at - 1):
            return at
    return end
