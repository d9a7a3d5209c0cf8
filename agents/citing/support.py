"""The support of a statement: the share of its telling words and numbers that a quote has. Pure.

Words that only connect do not count. A number that the quote does not have leaves the statement unsupported,
however many words they share. Between two languages numbers are compared, and words by their likeness if a
model in the process measures it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from agents.components import Passage
from agents.documents.units import Unit, units_of
from agents.embeddings.likeness import Likeness
from agents.language.detection import language_of
from agents.language.folding import folded
from agents.language.keys import term_key
from agents.language.number_words import DIGITS
from agents.language.numbers import NUMBER, readings
from agents.language.stop_words import stop_words
from agents.language.terms import terms

SUPPORTED = 0.5
"""The least support of a statement that counts as supported."""
WITHOUT_NUMBER = 0.4
"""The most support of a statement with a number that the quote does not have."""
OTHER_LANGUAGE = 0.6
"""The support by a quote in another language that has all the statement's numbers."""
NEARBY = 0.5
"""The weight of a word that only the rest of the passage has."""
NUMBER_WEIGHS = 2.0
"""The weight of a number; a word's is 1."""

SHORT, LONG = 512, 16_384
"""Characters of a sentence or title, and of a passage, whose contents are kept: 3 million at most in all."""

_NUMBER = re.compile(NUMBER)
_ENUMERATION = re.compile(r"^\s*(?:\d{1,3}[.)]|#+)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Content:
    """The telling words of a text by their keys, and its numbers, each in every form it may be written."""

    words: frozenset[str]
    numbers: tuple[frozenset[str], ...]

    @property
    def forms(self) -> frozenset[str]:
        """The forms of all numbers."""
        return frozenset().union(*self.numbers)


def content_of(text: str) -> Content:
    """Return the content of a text, without the words that only connect."""
    if len(text) <= SHORT:
        return _content_of_short(text)
    return _content_of_long(text) if len(text) <= LONG else _read(text)


@lru_cache(maxsize=2048)
def _content_of_short(text: str) -> Content:
    return _read(text)


@lru_cache(maxsize=128)
def _content_of_long(text: str) -> Content:
    return _read(text)


def _read(text: str) -> Content:
    text = _ENUMERATION.sub(" ", text)
    found = terms(text)
    light = stop_words(text)
    words = frozenset(
        term_key(term)
        for term in found
        if term not in light and term not in DIGITS and not term[0].isdecimal()
    )
    numbers = [_forms(number) for number in _NUMBER.findall(folded(text))]
    numbers += [frozenset({DIGITS[term]}) for term in found if term in DIGITS]
    return Content(words, tuple(numbers))


def _forms(number: str) -> frozenset[str]:
    certain, possible = readings(number)
    return frozenset(reading.lstrip("0") or "0" for reading in (*certain, *possible))


def missing_numbers(text: str, given: frozenset[str]) -> list[str]:
    """Return the numbers of a text, in digits, that are not among those given; 0 and 1 always are.

    Of Chinese numbers those of one character are left out, like `two` in other languages.
    """
    text = _ENUMERATION.sub(" ", text)
    found = dict.fromkeys(_NUMBER.findall(folded(text)))
    return [
        number
        for number in found
        if (len(number) > 1 or number in text) and not _forms(number) & (given | {"0", "1"})
    ]


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of a passage, its support for a statement, and the share of the statement's terms in it."""

    text: str
    support: float
    score: float


def best_quote(said: str, passage: Passage, likeness: Likeness | None = None) -> Quote:
    """Return the unit of the passage that supports the statement most.

    `likeness`: which words of the answer mean words of another language.
    """
    asked = content_of(said)
    around = content_of(passage.text).words
    spoken = frozenset(terms(said))
    best = Quote("", -1.0, -1.0)
    for unit in _quotable(passage):
        meant = likeness.strengths(unit.said) if likeness is not None else {}
        measured = _measure(asked, unit, around, meant)
        score = len(spoken & unit.terms) / len(spoken) if spoken else 0.0
        if (measured, score) > (best.support, best.score):
            best = Quote(unit.text, measured, score)
    support = max(best.support, 0.0)
    if support < SUPPORTED and asked.numbers:
        given = content_of(best.text).forms
        if all(number & given for number in asked.numbers) and language_of(said) != language_of(passage.text):
            support = OTHER_LANGUAGE
    return Quote(best.text, round(support, 3), round(max(best.score, 0.0), 3))


@dataclass(frozen=True, slots=True)
class _Quotable:
    """A unit with the words and numbers that support a statement: its own, and those above it.

    `said` is its text below the words that are lent to it; `terms` are those of its text.
    """

    text: str
    said: str
    terms: frozenset[str]
    words: frozenset[str]
    forms: frozenset[str]


def _quotable(passage: Passage) -> tuple[_Quotable, ...]:
    above = "\n".join((passage.title, *passage.headings))
    if len(passage.text) > LONG:
        return _read_quotable(passage.text, passage.lead, above)
    return _kept_quotable(passage.text, passage.lead, above)


def _read_quotable(text: str, lead: str, above: str) -> tuple[_Quotable, ...]:
    title = content_of(above)
    found = []
    for unit in units_of(text, lead) or _whole(text):
        lent = " ".join(unit.lent)
        contents = (content_of(unit.text), content_of(lent), title)
        found.append(
            _Quotable(
                unit.text,
                f"{lent}\n{unit.text}",
                frozenset(terms(unit.text)),
                frozenset().union(*(each.words for each in contents)),
                frozenset().union(*(each.forms for each in contents)),
            )
        )
    return tuple(found)


_kept_quotable = lru_cache(maxsize=256)(_read_quotable)
"""Answers rest on the same passages again and again."""


def _whole(text: str) -> tuple[Unit, ...]:
    bare = text.strip()
    return (Unit("sentence", text.find(bare), bare),) if bare else ()


def _measure(asked: Content, unit: _Quotable, around: frozenset[str], meant: Mapping[str, float]) -> float:
    total = len(asked.words) + NUMBER_WEIGHS * len(asked.numbers)
    if not total:
        return 0.0
    missing = asked.words - unit.words
    found = float(len(asked.words) - len(missing))
    if meant:
        found += sum(max(meant.get(word, 0.0), NEARBY * (word in around)) for word in missing)
    elif missing:
        found += NEARBY * len(missing & around)
    met = sum(1 for number in asked.numbers if number & unit.forms)
    share = (found + NUMBER_WEIGHS * met) / total
    return min(share, WITHOUT_NUMBER) if met < len(asked.numbers) else share
