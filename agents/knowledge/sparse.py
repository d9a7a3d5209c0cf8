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
from functools import lru_cache

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

from agents.knowledge.chunking import estimate_tokens
from agents.language.composition import composed

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

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_RUN = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff]+"
)


class SparseEncoder:
    """Makes the vectors. Pure but for the model in it, whose weights for a text never change."""

    def __init__(self) -> None:
        self._words = Bm25(Bm25Config(tokenizer=TokenizerType.Multilingual, k=K, b=B, avg_len=AVERAGE_WORDS))

    def document(self, title: str, text: str) -> SparseVector:
        """Return the vector of a chunk with its document's title; frequent terms weigh more."""
        rest, counts = _own_terms(_normalized(f"{title}\n{text}" if title else text))
        words = self._words.embed_document(rest)
        if not counts:
            return words
        indices, values = words.indices, words.values
        weights = dict(zip(indices, values, strict=True))
        pairs = sum(times for term, times in counts.items() if _is_pair(term))
        length = len(indices) / AVERAGE_WORDS + pairs / AVERAGE_PAIRS
        damping = K * (1 - B + B * length)
        for term, times in counts.items():
            weights[_index(term)] = times * (K + 1) / (times + damping)
        return SparseVector(list(weights), list(weights.values()))

    def query(self, text: str) -> SparseVector:
        """Return the vector of a question, each term once. Takes at most about 1 ms, for any length."""
        # Shortened again: normalisation turns one character into up to 18.
        rest, counts = _own_terms(shorten(_normalized(shorten(text))))
        words = self._words.embed_query(rest)
        if not counts:
            return words
        weights = dict.fromkeys(words.indices, 1.0)
        for term in counts:
            weights[_index(term)] = SINGLE_WEIGHT if _is_single(term) else 1.0
        return SparseVector(list(weights), list(weights.values()))


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


def _normalized(text: str) -> str:
    """Replace compatibility forms: half-width Kana become Kana, full-width digits become digits."""
    return composed("NFKC", text)


def _own_terms(text: str) -> tuple[str, Counter[str]]:
    """Return the text without East Asian runs, and counts of numbers and the runs' characters and pairs."""
    counts: Counter[str] = Counter()
    for number in _NUMBER.findall(text):
        counts[number.replace(",", "").replace(".", "")] += 1
    if text.isascii():
        return text, counts
    runs = _RUN.findall(text)
    for run in runs:
        counts.update(run)
        counts.update(map(str.__add__, run, run[1:]))
    return (_RUN.sub(" ", text) if runs else text), counts


def _is_pair(term: str) -> bool:
    return len(term) == 2 and not term.isdigit()


def _is_single(term: str) -> bool:
    return len(term) == 1 and not term.isdigit()


@lru_cache(maxsize=1 << 15)
def _index(term: str) -> int:
    # Qdrant's model also hashes words to 31 bits; two terms rarely share a hash, and do no harm then.
    return zlib.crc32(term.encode()) & 0x7FFFFFFF
