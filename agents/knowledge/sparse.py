"""Texts as BM25 vectors, the same for every index: words by Qdrant's own model, the rest here.

Numbers, because its tokenizer leaves out whatever is digits alone: years, versions, amounts. With them
recall@1 on XQuAD's English questions is 0.946, without 0.937.

Han, Kana and Hangul are indexed as overlapping pairs of characters, which is how Lucene's CJK
analyzer does it, and not by the dictionaries that Qdrant's tokenizer has for them: these take 66 MB of
memory and stop the process for 0.14 s at the first Chinese and again at the first Japanese text. They
find no more for it. On headings and removed sentences of two Chinese documentation sites (1,474 and
1,090), with the same expected length of 128 for both, recall@5 is 0.66 and 0.60, 0.45 and 0.46 by pairs,
0.66 and 0.61, 0.42 and 0.44 by dictionaries, and which is ahead changes with that length.
"""

import re
import zlib
from collections import Counter
from functools import lru_cache

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

from agents.composition import composed
from agents.knowledge.chunking import estimate_tokens

QUERY_TOKENS = 128
"""How much of a question is searched for; of a longer one its beginning and its end, in halves.

Twice as much takes up to 7 ms of 50,000 chunks, and the event loop should not wait for more than 5.
"""

K, B = 1.2, 0.75
"""BM25's saturation and length normalisation: the model's defaults, also for pairs."""

AVERAGE_WORDS, AVERAGE_PAIRS = 256.0, 128.0
"""Expected length of a chunk: the model's default for words. For pairs 64, 100, 128 and 256 differ by up
to 0.04 in recall@5 on the sites above, mostly in favour of the shorter ones."""

SINGLE_WEIGHT = 0.25
"""What a single character counts for in a question, against 1 for a pair or a word."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_RUN = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff]+"
)


class SparseEncoder:
    """Makes the vectors. Pure but for the model it holds, whose weights for a text never change."""

    def __init__(self) -> None:
        self._words = Bm25(Bm25Config(tokenizer=TokenizerType.Multilingual, k=K, b=B, avg_len=AVERAGE_WORDS))

    def document(self, title: str, text: str) -> SparseVector:
        """A chunk with its document's title, weighted by how often each term is in it."""
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
        """What a question asks for: every term once. Costs at most about 1 ms, however long it is."""
        # Shortened again: one compatible form can stand for up to 18 characters.
        rest, counts = _own_terms(shorten(_normalized(shorten(text))))
        words = self._words.embed_query(rest)
        if not counts:
            return words
        weights = dict.fromkeys(words.indices, 1.0)
        for term in counts:
            weights[_index(term)] = SINGLE_WEIGHT if _is_single(term) else 1.0
        return SparseVector(list(weights), list(weights.values()))


def shorten(text: str, tokens: int = QUERY_TOKENS) -> str:
    """`text` if it is short, else its beginning and end: where people put what they ask."""
    # No text has more tokens than characters, so that short ones are not counted.
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
    """Compatible forms as one: half-width Kana are Kana, full-width digits are digits."""
    return composed("NFKC", text)


def _own_terms(text: str) -> tuple[str, Counter[str]]:
    """The text without its East Asian runs; and what is counted here: their characters and pairs, numbers."""
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
    # Qdrant's model hashes words to 31 bits too; a hash shared by two terms is rare and harmless.
    return zlib.crc32(term.encode()) & 0x7FFFFFFF
