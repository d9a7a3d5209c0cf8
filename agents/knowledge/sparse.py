"""BM25 vectors of texts, the same for every index. Qdrant's model makes those of words, this module the rest.

Numbers: the model's tokenizer leaves out terms of digits alone, such as years, versions and amounts. With
numbers, recall@1 on XQuAD's English questions is 0.946, without them 0.937.

Han, Kana and Hangul: overlapping pairs of characters are indexed, as in Lucene's CJK analyzer. The
dictionaries of Qdrant's tokenizer take 66 MB of memory, and stop the process for 0.14 s at the first
Chinese and again at the first Japanese text, but find no more. On headings and removed sentences of two
Chinese documentation sites (1,474 and 1,090), with the same expected length of 128 for both, recall@5 is
0.66 and 0.60, 0.45 and 0.46 by pairs, 0.66 and 0.61, 0.42 and 0.44 by dictionaries; which of the two is
ahead changes with that length.
"""

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

from agents.documents.tokens import estimate_tokens
from agents.language.folding import folded_with_bare, respelled
from agents.language.numbers import NUMBER, readings
from agents.language.subwords import asked_pieces, pieces

QUERY_TOKENS = 128
"""Tokens of a question that are searched for: of a longer question its beginning and its end, in halves.

With twice as many a search of 50,000 chunks takes up to 7 ms; the event loop should wait for at most 5.
"""

K, B = 1.2, 0.75
"""BM25's saturation and length normalisation: the model's defaults, for pairs too."""

AVERAGE_WORDS, AVERAGE_PAIRS = 256.0, 128.0
"""The expected length of a chunk: for words the model's default. For pairs, 64, 100, 128 and 256 differ by
up to 0.04 in recall@5 on the sites above, mostly in favour of the shorter lengths."""

SINGLE_WEIGHT = 0.25
"""The weight of a single character in a question; a pair or a word weighs 1."""

POSSIBLE_WEIGHT = 0.5
"""The weight of a term that a word or number only may be meant by, in a text as in a question."""

PIECES_WEIGHT = 1.0
"""The weight of all pieces of a word together, beside the word's own.

Of 1,682 sentences taken out of German manual pages, the rest of their paragraph is found first for 0.247
without pieces, 0.262 with half this weight, 0.269 with all. English texts have none: XQuAD's recall stays as
it is."""

_NUMBER = re.compile(rf"{NUMBER}(?P<unit>[^\W\d_]{{0,4}}(?![^\W_]))?")
_MARKABLE = re.compile("[a-z]*[aou][a-z]*")
_RUN = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff]+"
)


class SparseEncoder:
    """Makes the vectors. Pure but for the model in it, whose weights for a text never change."""

    def __init__(self) -> None:
        self._words = Bm25(Bm25Config(tokenizer=TokenizerType.Multilingual, k=K, b=B, avg_len=AVERAGE_WORDS))

    def document(self, above: str, text: str) -> SparseVector:
        """Return the vector of a chunk with the words above it (its title); frequent terms weigh more."""
        read, bare = folded_with_bare(f"{above}\n{text}" if above else text)
        own = _own_terms(read)
        words = self._words.embed_document(own.rest)
        possible = self._possible(own, bare)
        parts = pieces(own.rest, text)
        if not (own.counts or possible or parts):
            return words
        indices, values = words.indices, words.values
        weights = dict(zip(indices, values, strict=True))
        pairs = sum(times for term, times in own.counts.items() if _is_pair(term))
        length = len(indices) / AVERAGE_WORDS + pairs / AVERAGE_PAIRS
        damping = K * (1 - B + B * length)
        for term, times in own.counts.items():
            weights[_index(term)] = times * (K + 1) / (times + damping)
        for index in possible:
            weights.setdefault(index, POSSIBLE_WEIGHT * (K + 1) / (1 + damping))
        once = (K + 1) / (1 + damping)
        for piece in parts:
            weights.setdefault(_piece_index(piece), once)
        return SparseVector(list(weights), list(weights.values()))

    def query(self, text: str) -> SparseVector:
        """Return the vector of a question, each term once. Takes at most about 1 ms, for any length."""
        read, bare = folded_with_bare(shorten(text))
        # Shortened again: folding turns one character into up to 18.
        own = _own_terms(shorten(read))
        words = self._words.embed_query(own.rest)
        parts = asked_pieces(own.rest, text)
        # A German word has pieces; nobody knows how the asker writes its marks, or the text did.
        written = (
            [other for word in _MARKABLE.findall(own.rest) for other in respelled(word)] if parts else []
        )
        possible = self._possible(own, bare + written)
        if not (own.counts or possible or parts):
            return words
        weights = dict.fromkeys(words.indices, 1.0)
        for term in own.counts:
            weights[_index(term)] = SINGLE_WEIGHT if _is_single(term) else 1.0
        for index in possible:
            weights.setdefault(index, POSSIBLE_WEIGHT)
        for piece, share in parts.items():
            weights.setdefault(_piece_index(piece), PIECES_WEIGHT * share)
        return SparseVector(list(weights), list(weights.values()))

    def _possible(self, own: "_Own", bare: list[str]) -> list[int]:
        """Return the indices of words without their marks, and of the other readings of numbers."""
        indices = [_index(term) for term in own.possible]
        return indices + self._words.embed_query(" ".join(bare)).indices if bare else indices


def shorten(text: str, tokens: int = QUERY_TOKENS) -> str:
    """Return `text` if it is short, else its beginning and end, where people put the question."""
    # A text never has more tokens than characters, so that a short one need not be counted.
    if len(text) <= tokens or (len(text) <= 8 * tokens and estimate_tokens(text) <= tokens):
        return text
    half = tokens // 2
    return f"{_fitting(text, half)}\n{_fitting(text[::-1], half)[::-1]}"


def _fitting(text: str, tokens: int) -> str:
    size = 8 * tokens
    while (estimated := estimate_tokens(text[:size])) > tokens:
        size = int(size * tokens / estimated * 0.95)
    cut = text[:size]
    return cut if cut.isspace() or " " not in cut else cut[: cut.rindex(" ")]


@dataclass(frozen=True, slots=True)
class _Own:
    """A text's terms that are not the model's: counts of those that it has, others that it may have."""

    rest: str
    """The text for the model."""
    counts: Counter[str]
    possible: list[str]


def _own_terms(text: str) -> _Own:
    """Take numbers, and the characters and pairs of East Asian runs, out of a folded text."""
    counts: Counter[str] = Counter()
    possible: list[str] = []

    def take(number: re.Match[str]) -> str:
        unit = number["unit"]
        written = number[0].removesuffix(unit or "")
        certain, others = readings(written)
        for term in certain:
            counts[term] += 1
        possible.extend(others)
        # `5kg` is read as `5 kg`, but `5g` and `mp3` are words of their own.
        plain = written.isdigit()
        if plain and (unit is None or len(unit) == 1 or _after_letter(number)):
            return number[0]
        return f" {unit or ''}"

    rest = _NUMBER.sub(take, text)
    if text.isascii():
        return _Own(rest, counts, possible)
    runs = _RUN.findall(rest)
    for run in runs:
        counts.update(run)
        counts.update(map(str.__add__, run, run[1:]))
    return _Own(_RUN.sub(" ", rest) if runs else rest, counts, possible)


def _after_letter(found: re.Match[str]) -> bool:
    return found.start() > 0 and found.string[found.start() - 1].isalpha()


def _is_pair(term: str) -> bool:
    return len(term) == 2 and term.isalpha()


def _is_single(term: str) -> bool:
    return len(term) == 1 and not term.isdigit()


@lru_cache(maxsize=1 << 15)
def _index(term: str) -> int:
    # Qdrant's model also hashes words to 31 bits; two terms rarely share a hash, and do no harm then.
    return zlib.crc32(term.encode()) & 0x7FFFFFFF


def _piece_index(piece: str) -> int:
    # Not cached: they are many. Another start than a term's keeps `wasch` in a compound apart from the word.
    return zlib.crc32(piece.encode(), 1) & 0x7FFFFFFF
