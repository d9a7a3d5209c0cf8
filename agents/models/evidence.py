"""Which sentences of the passages answer a question, and whether any does. Pure; in any language.

Terms are weighted by their rarity among the sentences at hand and by their length: in every
language the words that say the least are the shortest (Zipf). Words are compared by their first
letters, which stands in for stemming in inflected languages and costs others nothing.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from agents.components import Passage
from agents.sentences import sentence_spans, terms

PASSAGES_READ = 5
STEM = 5
"""Letters by which inflected forms of a word are recognised as one."""
TOLD_BEFORE = 0.5
"""What a term counts for a sentence that does not have it, where one before it in the passage does:
a text names its subject once."""
TOLD_IN_TITLE = 0.8
"""The same for the title's terms."""
RANK_COST = 0.1
"""What a sentence loses for each of the first places of its passage in the ranking, of at most 1."""
RANK_COSTS = 2
ACRONYM = 4.0
"""What a word in capitals says at least."""
SECOND_AT_LEAST = 0.65
"""A further sentence is evidence when its score is this share of the best one's."""
SUBJECT = 0.5
"""What the title's terms count for when it is asked whether a passage answers: naming the subject is not
answering."""
SUPPORTED = 0.35
"""Share of a question's weight that must be in the best sentence and its passage (their mean)."""

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
"""Chinese words that ask, or only bind: without spaces they would be glued to their neighbours, in pairs
that no text has. Where words are spaced, their shortness is enough."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence: `passages[passage].text[start:end]`, and how well it fits, at most 1."""

    passage: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class _Sentence:
    """Of the question's terms: `own` are the sentence's, `before` those of its passage until then."""

    passage: int
    start: int
    end: int
    own: frozenset[str]
    before: frozenset[str]


def find_evidence(
    question: str, passages: Sequence[Passage], limit: int = 2, supported: float = SUPPORTED
) -> list[Evidence]:
    """The sentences that fit the question best, best first; none where too little of it is in them."""
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
    """The mean share of the question's weight in a sentence and in its passage with the title, 0 to 1."""
    title = asked.keys() & term_keys(passage.title)
    weights = {key: says * (SUBJECT if key in title else 1.0) for key, says in asked.items()}
    near = _weigh(weights, asked.keys() & term_keys(passage.text[span[0] : span[1]]))
    around = _weigh(weights, asked.keys() & term_keys(passage.text) | title)
    return (near + around) / (2 * sum(weights.values()))


def asked_terms(question: str) -> dict[str, float]:
    """What a text would have to mention to answer the question, and how much each term says."""
    weights = {term_key(term): term_weight(term) for term in terms(ASKING.sub(" ", question))}
    # The shortest words say the least, but for those that are short because they say much.
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
            # A heading or a question has the asker's words but not the answer: what follows it has.
            lead = own
        else:
            found.append(_Sentence(number, start, end, own | lead, before))
            lead = frozenset()
        before |= own
    return found


def term_keys(text: str) -> set[str]:
    """The keys of a text's terms, and of each character in scripts without spaces."""
    found = set(map(term_key, terms(text)))
    # A single character of a question must be found inside the pairs of a text.
    return found.union(character for key in found if _UNSPACED.match(key) for character in key)


def term_key(term: str) -> str:
    """What inflected forms of a term have in common."""
    return term if term[0].isdecimal() else term[:STEM]


def term_weight(term: str) -> float:
    """How much a term says by itself, from its length and script; 8 is the most."""
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
