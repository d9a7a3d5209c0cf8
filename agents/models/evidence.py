"""Finds the units of the passages that answer a question, if any do. Pure; in any language.

A term weighs more if it is rare among the given units, and if it is long: in every language the shortest
words say the least (Zipf). Words are compared by their first letters, which replaces stemming in inflected
languages and does no harm in others.

A unit must be about the question's subject: its own words, those that headings lend it, its document's title
or the sentences before it in its section must have the names, numbers and codes of the question.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from agents.components import Passage
from agents.documents.units import Unit, units_of
from agents.embeddings.likeness import Likeness
from agents.language.keys import term_key, term_keys
from agents.language.number_words import has_number
from agents.language.stop_words import stop_words
from agents.models.asking import LIGHT, Asked, pairs_of
from agents.models.codes import Code

PASSAGES_READ = 5
LENT = 0.9
"""The share of a term's weight for a unit without it, if a heading, a lead or a table's header has it."""
TOLD_IN_TITLE = 0.8
"""The same share, if the title or a heading above the passage has it."""
TOLD_BEFORE = 0.5
"""The same share, if an earlier unit of the section has it: a text names its subject once."""
RANK_COST = 0.1
"""A unit's loss, of a score of at most 1, for each place that its passage is behind the first."""
RANK_COSTS = 2
"""The places that are counted."""
SECOND_AT_LEAST = 0.5
"""A further sentence is evidence if it has this share of the best one's score."""
SUBJECT = 0.5
"""The weight of the title's terms when a unit is tested: to name the subject is not to answer."""
SUPPORTED = 0.35
"""The share of a question's weight that the best unit and its passage must have (their mean)."""
DOUBTED = 0.5
"""The same share if a name of the question is missing, or if two passages were found before."""
HALF_DOUBTED = 0.42
"""The same share if the unit has one telling term of several."""
WITHOUT_NUMBER = 0.7
"""The share of its score that is left to a unit without a number where the question asks for one."""
OTHER_KIND = 0.4
"""The same for code where no code is asked for, and for a whole list where one item answers."""
LATIN_MIN = 0.2
"""The share of Latin letters in a text that writes names as they are."""
MEANT = 0.5
"""A word of this likeness to an asked one counts as that one when a unit's subject is tested."""

_LATIN = re.compile("[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A unit of `passages[passage]` with its score, at most 1."""

    passage: int
    unit: Unit
    score: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A unit with the question's terms in its own words, in those lent to it, and in those before it."""

    passage: int
    unit: Unit
    own: frozenset[str]
    lent: frozenset[str]
    before: frozenset[str]


class Search:
    """The units of some passages, compared with a question by their words, and by a likeness of words."""

    def __init__(self, asked: Asked, passages: Sequence[Passage], likeness: Likeness | None = None) -> None:
        self._asked = asked
        self._keys = asked.weights.keys()
        self._likeness = likeness
        self._passages = passages
        self._titles = [self._said(" ".join((passage.title, *passage.headings))) for passage in passages]
        self._whole = [
            self._said(passage.text) | title for passage, title in zip(passages, self._titles, strict=True)
        ]
        self._telling = frozenset(key for key, weight in asked.weights.items() if weight > LIGHT)
        # A name that another script writes otherwise cannot be met there: "Minato" is みなと.
        self._foreign = {
            number
            for number, passage in enumerate(passages)
            if likeness is not None and _writes_otherwise(passage.text)
        }
        self._named = [_title_keys(passage.title) for passage in passages]
        self._subjects = [title & self._telling for title in self._titles]
        self._candidates = [
            candidate for number, passage in enumerate(passages) for candidate in self._read(number, passage)
        ]

    def about(self) -> Iterator[tuple[int, Unit]]:
        """Yield the units that are about the question's subject, each with the number of its passage."""
        for each in self._candidates:
            if self._is_about(each):
                yield each.passage, each.unit

    def ranked(self) -> list[Evidence]:
        """Return the units that are about the question's subject, those that fit it best first."""
        return [found for found, _ in self._scored] if self._keys and self._candidates else []

    def evidence(self, limit: int, supported: float) -> list[Evidence]:
        """Return the units that fit the question best, best first; none if all of them fit too little.

        `supported`: the share of the question's weight, 0 to 1, that the best one and its passage must have.
        """
        if not self._keys or not self._candidates:
            return []
        scored = self._scored
        if not scored or scored[0][0].score <= 0 or not self._supports(scored[0][1], supported):
            return []
        best = scored[0][0]
        found = [best]
        for other, _ in scored[1:]:
            if len(found) == limit or other.score < SECOND_AT_LEAST * best.score:
                break
            if adds(best, other):
                found.append(other)
        return found

    @cached_property
    def _scored(self) -> list[tuple[Evidence, _Candidate]]:
        weights = _weights(self._asked.weights, self._candidates)
        total = sum(weights.values())
        scored = [
            (Evidence(each.passage, each.unit, self._fit(each, weights) / total - self._cost(each)), each)
            for each in self._candidates
            if self._is_about(each)
        ]
        scored.sort(key=lambda found: (-found[0].score, found[0].passage, found[0].unit.start))
        return scored

    def _said(self, text: str) -> frozenset[str]:
        """Return the keys of the question that a text has, or words that mean the same."""
        said = frozenset(self._keys & term_keys(text))
        if self._likeness is None:
            return said
        return said.union(key for key, much in self._likeness.strengths(text).items() if much >= MEANT)

    def _read(self, number: int, passage: Passage) -> Iterator[_Candidate]:
        before: frozenset[str] = frozenset()
        section = -1
        lent_keys: dict[tuple[str, ...], frozenset[str]] = {}
        for unit in units_of(passage.text, passage.lead):
            if unit.section != section:
                before, section = frozenset(), unit.section
            # A list is chosen for what is said of it as a whole, not for what one of its items says.
            own = self._said(" ".join(unit.header) if unit.kind == "list" else unit.text)
            lent = lent_keys.get(unit.lent)
            if lent is None:
                lent = lent_keys[unit.lent] = self._said(" ".join(unit.lent))
            yield _Candidate(number, unit, own, lent, before)
            before |= own

    def _cost(self, candidate: _Candidate) -> float:
        return RANK_COST * min(candidate.passage, RANK_COSTS)

    def _fit(self, candidate: _Candidate, weights: Mapping[str, float]) -> float:
        lent = candidate.lent - candidate.own
        title = self._titles[candidate.passage] - candidate.own - lent
        before = candidate.before - candidate.own - lent - title
        score = (
            _weigh(weights, candidate.own)
            + LENT * _weigh(weights, lent)
            + TOLD_IN_TITLE * _weigh(weights, title)
            + TOLD_BEFORE * _weigh(weights, before)
        )
        unit = candidate.unit
        if self._asked.wanted == "number" and not has_number(unit.text):
            score *= WITHOUT_NUMBER
        if (unit.kind == "code") != (self._asked.wanted == "code") and unit.kind == "code":
            score *= OTHER_KIND
        return score

    def _is_about(self, candidate: _Candidate) -> bool:
        """Whether a unit is about the question's subject: its numbers and codes, half of its names at least.

        A unit is not about it if the title of a sibling document names it, and the unit's own does not.
        """
        about = self._about(candidate)
        whole = self._whole[candidate.passage]
        asked = self._asked
        if candidate.passage not in self._foreign and 2 * len(asked.names & about) < len(asked.names):
            return False
        if not all(self._names_code(candidate, code) for code in asked.codes):
            return False
        if any(self._is_of_sibling(candidate.passage, *pair) for pair in asked.pairs):
            return False
        if candidate.unit.kind == "row" and not candidate.own & self._telling:
            # The header alone would choose any row.
            return False
        return not any(
            title - about - whole
            for number, title in enumerate(self._subjects)
            if number != candidate.passage
            and (title & asked.names or self._are_twins(number, candidate.passage))
        )

    def _is_of_sibling(self, number: int, one: str, two: str) -> bool:
        """Whether a passage lacks one of two names side by side, and its titles have another in its place."""
        has = self._whole[number]
        if (one in has) == (two in has):
            return False
        place = 0 if one in has else 1
        passage = self._passages[number]
        return any(
            pair[place] == (one, two)[place]
            for title in (passage.title, *passage.headings)
            for pair in pairs_of(title)
        )

    def _are_twins(self, first: int, second: int) -> bool:
        """Whether the titles of two passages share a word, as those of two versions of one thing do."""
        return bool(self._named[first] & self._named[second])

    def _names_code(self, candidate: _Candidate, code: Code) -> bool:
        """Whether a unit, its headings or title name a code; else its passage, if they name no sibling."""
        passage, unit = self._passages[candidate.passage], candidate.unit
        above = "\n".join((passage.title, *passage.headings, *unit.lent))
        if code.here.search(unit.text) or code.here.search(above):
            return True
        if code.sibling.search(f"{above}\n{unit.text}" if code.is_compound else above):
            return False
        return code.here.search(passage.text) is not None

    def _about(self, candidate: _Candidate) -> frozenset[str]:
        return candidate.own | candidate.lent | candidate.before | self._titles[candidate.passage]

    def _supports(self, candidate: _Candidate, supported: float) -> bool:
        """Whether a unit and its passage have so much of the question that they answer it."""
        title = self._titles[candidate.passage]
        near = (candidate.own | candidate.lent) & self._telling
        if self._telling - title and not near - title:
            return False
        needed = supported
        if self._asked.names - self._about(candidate) or candidate.passage > 1:
            needed = max(needed, DOUBTED)
        elif len(near) < 2 <= len(self._telling):
            needed = max(needed, HALF_DOUBTED)
        return self._coverage(candidate) >= needed

    def _coverage(self, candidate: _Candidate) -> float:
        """Return the share of the question's weight, 0 to 1: the mean of a unit's and its passage's."""
        title = self._titles[candidate.passage]
        weights = {
            key: says * (SUBJECT if key in title else 1.0) for key, says in self._asked.weights.items()
        }
        near = _weigh(weights, candidate.own | candidate.lent)
        around = _weigh(weights, self._whole[candidate.passage])
        return (near + around) / (2 * sum(weights.values()))


def _writes_otherwise(text: str) -> bool:
    """Whether a text is hardly written in Latin letters, in which names of a question are known."""
    return len(_LATIN.findall(text)) < LATIN_MIN * len(text)


def _title_keys(title: str) -> set[str]:
    return term_keys(title) - set(map(term_key, stop_words(title)))


def adds(best: Evidence, other: Evidence) -> bool:
    """Whether another unit goes with the best one: a sentence of its passage, or an item of its list."""
    if best.passage != other.passage or best.unit.kind != other.unit.kind:
        return False
    if best.unit.kind == "item":
        return best.unit.lent == other.unit.lent
    return best.unit.kind == "sentence"


def _weights(asked: Mapping[str, float], candidates: Sequence[_Candidate]) -> dict[str, float]:
    having = Counter(key for candidate in candidates for key in candidate.own | candidate.lent)
    count = len(candidates)
    return {
        key: says * math.log(1 + (count - having[key] + 0.5) / (having[key] + 0.5))
        for key, says in asked.items()
    }


def _weigh(weights: Mapping[str, float], keys: Set[str]) -> float:
    return sum(weights[key] for key in keys)
