"""Finds the sentences of the passages that answer a question, if any do. Pure; in any language.

A term weighs more if it is rare among the given sentences, and if it is long: in every language the
shortest words say the least (Zipf). Words are compared by their first letters, which replaces stemming in
inflected languages and does no harm in others.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from agents.components import Passage
from agents.language.folding import folded
from agents.language.sentences import sentence_spans
from agents.language.terms import all_terms, terms

PASSAGES_READ = 5
STEM = 5
"""The first letters by which inflected forms of a word are recognised."""
TOLD_BEFORE = 0.5
"""The share of a term's weight for a sentence without it, if an earlier sentence of the passage has it:
a text names its subject once."""
TOLD_IN_TITLE = 0.8
"""The same share, if the title has the term."""
RANK_COST = 0.1
"""A sentence's loss, of a score of at most 1, for each place that its passage is behind the first."""
RANK_COSTS = 2
"""The places that are counted."""
ACRONYM = 4.0
"""The least weight of a word in capitals."""
SECOND_AT_LEAST = 0.65
"""A further sentence is evidence if it has this share of the best sentence's score."""
SUBJECT = 0.5
"""The weight of the title's terms when a passage is tested for an answer: to name the subject is not to
answer."""
SUPPORTED = 0.35
"""The share of a question's weight that the best sentence and its passage must have (their mean)."""

_UNSPACED = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_LEAD = re.compile(r"\A#{1,6}\s|[?？؟]\W*\Z")
_ACRONYM = re.compile(r"(?<![A-Za-z0-9])[A-Z][A-Z0-9]{1,5}(?![A-Za-z0-9])")
_HIRAGANA = re.compile(r"[\u3040-\u309f]+")
_SHORT_WORDS = {1: 0.3, 2: 0.5, 3: 1.0, 4: 2.5}
ASKING = re.compile(
    "请问|为什么|什么|怎么样|怎么|怎样|如何|多少|多久|多长|多大|多远|多高|哪里|哪儿|哪个|哪些|哪一|哪|谁"
    "|何时|何地|请(?=告诉|说)|是否|能否|可否|可不可以|能不能|有没有|是不是|可以|应该|需要|我们|你们|他们|几|时候"
    "|請問|為什麼|什麼|怎麼|哪裡|哪個|誰|嗎|們"
    "|[吗呢吧啊的了是有在我你您它和与及或被把从对到为于以会能要个位这那就也都之其还]"
)
"""Chinese words that ask or only connect: without spaces they would form pairs with their neighbours that no
text has. In languages with spaces such words weigh little, because they are short."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence, `passages[passage].text[start:end]`, with its score, at most 1."""

    passage: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence with the question's terms in it (`own`) and before it in its passage (`before`)."""

    passage: int
    start: int
    end: int
    own: frozenset[str]
    before: frozenset[str]


def find_evidence(
    question: str, passages: Sequence[Passage], limit: int = 2, supported: float = SUPPORTED
) -> list[Evidence]:
    """Return the sentences that fit the question best, best first; none if all of them fit too little."""
    asked = asked_terms(question)
    read = passages[:PASSAGES_READ]
    titles = [asked.keys() & term_keys(passage.title) for passage in read]
    sentences = [
        sentence
        for number, passage in enumerate(read)
        for sentence in _sentences(number, passage.text, asked.keys())
    ]
    if not asked or not sentences:
        return []
    weights = _weights(asked, sentences)
    total = sum(weights.values())

    def fit(sentence: _Sentence) -> Evidence:
        title = titles[sentence.passage] - sentence.own
        before = sentence.before - sentence.own - title
        score = (
            _weigh(weights, sentence.own)
            + TOLD_IN_TITLE * _weigh(weights, title)
            + TOLD_BEFORE * _weigh(weights, before)
        )
        place = RANK_COST * min(sentence.passage, RANK_COSTS)
        return Evidence(sentence.passage, sentence.start, sentence.end, score / total - place)

    ranked = sorted(map(fit, sentences), key=lambda found: (-found.score, found.passage, found.start))
    best = ranked[0]
    if best.score <= 0 or coverage(asked, read[best.passage], (best.start, best.end)) < supported:
        return []
    return [best, *(found for found in ranked[1:limit] if found.score >= SECOND_AT_LEAST * best.score)]


def coverage(asked: Mapping[str, float], passage: Passage, span: tuple[int, int]) -> float:
    """Return the share of the question's weight, 0 to 1: the mean of a sentence's and its passage's."""
    title = asked.keys() & term_keys(passage.title)
    weights = {key: says * (SUBJECT if key in title else 1.0) for key, says in asked.items()}
    near = _weigh(weights, asked.keys() & term_keys(passage.text[span[0] : span[1]]))
    around = _weigh(weights, asked.keys() & term_keys(passage.text) | title)
    return (near + around) / (2 * sum(weights.values()))


def asked_terms(question: str) -> dict[str, float]:
    """Return the terms that an answer to the question would mention, with their weights."""
    weights = {term_key(term): term_weight(term) for term in terms(ASKING.sub(" ", folded(question)))}
    # The shortest words say the least, but acronyms are short and say much.
    for term in terms(" ".join(_ACRONYM.findall(question))):
        weights[term_key(term)] = max(weights.get(term_key(term), 0.0), ACRONYM)
    return weights


def _sentences(number: int, text: str, asked: Set[str]) -> list[_Sentence]:
    found = []
    before: frozenset[str] = frozenset()
    lead: frozenset[str] = frozenset()
    for start, end in sentence_spans(text):
        sentence = text[start:end]
        own = frozenset(asked & term_keys(sentence))
        if _LEAD.search(sentence):
            # A heading or a question has the asker's words; the sentence after it has the answer.
            lead = own
        else:
            found.append(_Sentence(number, start, end, own | lead, before))
            lead = frozenset()
        before |= own
    return found


def term_keys(text: str) -> set[str]:
    """Return the keys of a text's terms, and each character of scripts without spaces."""
    found = set(map(term_key, all_terms(text)))
    # A single character in a question must match inside the pairs of a text.
    return found.union(character for key in found if _UNSPACED.match(key) for character in key)


def term_key(term: str) -> str:
    """Return the key that inflected forms of a term share."""
    return term if term[0].isdecimal() else term[:STEM]


def term_weight(term: str) -> float:
    """Return the weight of a term by its length and script; at most 8."""
    if _HIRAGANA.fullmatch(term):
        return 0.5 * len(term)
    if _UNSPACED.match(term):
        return 2.0 * len(term)
    if any(character.isdecimal() for character in term):
        return float(max(4, min(len(term), 8)))
    return _SHORT_WORDS.get(len(term), float(min(len(term), 8)))


def _weights(asked: Mapping[str, float], sentences: Sequence[_Sentence]) -> dict[str, float]:
    having = Counter(key for sentence in sentences for key in sentence.own)
    count = len(sentences)
    return {
        key: says * math.log(1 + (count - having[key] + 0.5) / (having[key] + 0.5))
        for key, says in asked.items()
    }


def _weigh(weights: Mapping[str, float], keys: Set[str]) -> float:
    return sum(weights[key] for key in keys)
