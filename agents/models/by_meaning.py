"""Finds the unit of the passages that answers a question by meaning, where its words find none. Pure.

A unit's score is the share of the question that it tells, by words that mean the asked ones, and the cosine
of both as a whole. Neither separates right from wrong alone: a sentence about the subject has a high cosine
and tells nothing of what is asked; a heading may have the words by chance. The thresholds were chosen on
questions of XQuAD about paragraphs in other languages, and on paragraphs that do not answer them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.components import Passage
from agents.documents.units import Unit, shown_text, units_of
from agents.embeddings.likeness import Likeness, Strengths, comparable_words
from agents.language.keys import term_keys
from agents.language.number_words import has_number
from agents.models.asked_words import telling_keys
from agents.models.asking import Asked
from agents.models.evidence import LENT, TOLD_BEFORE, TOLD_IN_TITLE, Evidence, Search

COMPARED = 10
"""Units whose vectors are compared: those that tell most of the question."""
SUPPORTED = 0.9
"""The least sum of the told share, 0 to 1, the cosine, and the lead over the next unit."""
LEAD_MAX = 0.3
"""The most of a lead that counts."""
SOUGHT = 0.4
"""The least share of what is asked besides the subject, which the title names."""
SETTLED = 0.9
"""The least sum of share and cosine of a unit that words found, for other units not to be looked at."""
BEARABLE = 0.82
"""The least sum for it to answer where no other unit does."""
RANK_COST = 0.05
"""A unit's loss for each place that its passage is behind the first."""

_TOLD = ("sentence", "item", "row")


@dataclass(frozen=True, slots=True)
class Told:
    """A unit with the share of the question that it tells, and of what is asked besides the subject."""

    passage: int
    unit: Unit
    share: float
    sought: float

    @property
    def texts(self) -> tuple[str, str]:
        """The unit's texts that are compared with the question."""
        return texts_of(self.unit)


def texts_of(unit: Unit) -> tuple[str, str]:
    """Return a unit's text as it is compared: alone, and below what is said above it."""
    text = told_text(unit)
    return text, " ".join((*unit.lent[-1:], text))


def told_text(unit: Unit) -> str:
    """Return the text of a unit by which it is compared; a row with its header."""
    if unit.kind != "row":
        return shown_text(unit)
    names = unit.header if len(unit.header) == len(unit.cells) else ("",) * len(unit.cells)
    return ", ".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(names, unit.cells, strict=True)
    )


def words_of(passages: Sequence[Passage]) -> list[str]:
    """Return all words of the passages, their titles and headings that may mean a word of a question."""
    return list(
        dict.fromkeys(
            word
            for passage in passages
            for text in (passage.text, " ".join((passage.title, *passage.headings)))
            for word in comparable_words(text)
        )
    )


def most_telling(asked: Asked, passages: Sequence[Passage], likeness: Likeness) -> list[Told]:
    """Return the units about the question's subject that tell most of it, the most telling first."""
    keys = telling_keys(asked)
    if not keys:
        return []
    search = Search(asked, passages, likeness)
    candidates = [
        (passage, unit)
        for passage, unit in search.about()
        if unit.kind in _TOLD and (asked.wanted != "number" or has_number(unit.text))
    ]
    reader = _Reader(asked, keys, likeness, passages)
    told = reader.read(candidates)
    told.sort(key=lambda each: (-each.share, each.passage, each.unit.start))
    return told[:COMPARED]


def choose(told: Sequence[Told], cosines: Sequence[float]) -> Evidence | None:
    """Return the best unit as evidence, if it is enough; `cosines`: for the `texts` of each unit."""
    scored = []
    for number, each in enumerate(told):
        alone, below = cosines[2 * number : 2 * number + 2]
        scored.append((each.share + (alone + max(alone, below)) / 2 - RANK_COST * each.passage, number))
    if not scored:
        return None
    scored.sort(key=lambda each: (-each[0], each[1]))
    score, number = scored[0]
    lead = min(LEAD_MAX, score - scored[1][0]) if len(scored) > 1 else LEAD_MAX
    best = told[number]
    if best.sought < SOUGHT or score + lead < SUPPORTED:
        return None
    return Evidence(best.passage, best.unit, min(1.0, score))


class Doubt:
    """The doubt whether a unit that words found answers the question.

    Its words may be those of the subject alone. So its share of the question, with likeness counted, and the
    cosine of both must be high together.
    """

    def __init__(self, asked: Asked, passages: Sequence[Passage], found: Evidence) -> None:
        self._asked = asked
        self._passages = passages
        self._found = found

    @property
    def texts(self) -> tuple[str, str]:
        """The unit's texts that are compared with the question."""
        return texts_of(self._found.unit)

    def is_settled(self, likeness: Likeness | None, cosine: float) -> bool:
        """Whether the unit answers, whatever else does."""
        return self._share(likeness) + cosine >= SETTLED

    def is_bearable(self, likeness: Likeness | None, cosine: float) -> bool:
        """Whether the unit may answer if no other one does."""
        return self._share(likeness) + cosine >= BEARABLE

    def _share(self, likeness: Likeness | None) -> float:
        keys = telling_keys(self._asked)
        if not keys:
            return 1.0
        reader = _Reader(self._asked, keys, likeness, self._passages)
        return reader.share_with_title(self._found.passage, self._found.unit)


class _Reader:
    """Measures how much units tell of a question."""

    def __init__(
        self, asked: Asked, keys: Sequence[str], likeness: Likeness | None, passages: Sequence[Passage]
    ) -> None:
        self._keys = keys
        self._weights = {key: asked.weights[key] for key in keys}
        self._likeness = likeness
        self._passages = passages
        self._known: dict[str, Strengths] = {}
        self._titles = [self._told(" ".join((each.title, *each.headings))) for each in passages]

    def read(self, candidates: Sequence[tuple[int, Unit]]) -> list[Told]:
        """Return the units with the shares that they tell."""
        near = [self._near(unit) for _, unit in candidates]
        weights = self._rarity(near)
        total = sum(weights.values())
        whole = [self._told(each.text) for each in self._passages]
        before = [self._befores(each) for each in self._passages]
        told = []
        for (passage, unit), own in zip(candidates, near, strict=True):
            share = self._share(own, self._titles[passage], before[passage].get(unit.start, {}), weights)
            told.append(Told(passage, unit, share / total, self._sought(passage, own, whole[passage])))
        return told

    def share_with_title(self, passage: int, unit: Unit) -> float:
        """Return the share of the question that a unit and its document's title tell, 0 to 1."""
        near, title = self._near(unit), self._titles[passage]
        told = sum(weight * max(near[key], title.get(key, 0.0)) for key, weight in self._weights.items())
        return told / sum(self._weights.values())

    def _told(self, text: str) -> Strengths:
        if text not in self._known:
            has = term_keys(text)
            met = {key: 1.0 for key in self._keys if key in has}
            meant = self._likeness.strengths(text) if self._likeness is not None else {}
            self._known[text] = meant | met
        return self._known[text]

    def _near(self, unit: Unit) -> Strengths:
        """Return how much a unit says of each key, itself and by what is said above it."""
        lent = self._told(" ".join(unit.lent))
        own = self._told(" ".join(unit.cells) if unit.kind == "row" else told_text(unit))
        return {key: max(own.get(key, 0.0), LENT * lent.get(key, 0.0)) for key in self._keys}

    def _befores(self, passage: Passage) -> dict[int, Strengths]:
        """Return for each unit, by its place, what the units before it in its section say."""
        found: dict[int, Strengths] = {}
        said: Strengths = {}
        section = -1
        for unit in units_of(passage.text):
            if unit.section != section:
                said, section = {}, unit.section
            found.setdefault(unit.start, said)
            own = self._told(told_text(unit))
            said = {key: max(said.get(key, 0.0), own.get(key, 0.0)) for key in {**said, **own}}
        return found

    def _rarity(self, near: Sequence[Strengths]) -> dict[str, float]:
        count = len(near)
        having = {key: sum(each[key] for each in near) for key in self._keys}
        return {
            key: weight * math.log(1 + (count - having[key] + 0.5) / (having[key] + 0.5))
            for key, weight in self._weights.items()
        }

    def _share(
        self, near: Strengths, title: Strengths, before: Strengths, weights: Mapping[str, float]
    ) -> float:
        return sum(
            weight * max(near[key], TOLD_IN_TITLE * title.get(key, 0.0), TOLD_BEFORE * before.get(key, 0.0))
            for key, weight in weights.items()
        )

    def _sought(self, passage: int, near: Strengths, whole: Strengths) -> float:
        """Return the share of what is asked besides the subject: the mean of a unit's and its passage's."""
        title = self._titles[passage]
        left = {key: weight * (1.0 - title.get(key, 0.0)) for key, weight in self._weights.items()}
        total = sum(left.values())
        if total < 0.3 * min(self._weights.values()):
            return 1.0
        own = sum(weight * near[key] for key, weight in left.items())
        around = sum(weight * max(near[key], whole.get(key, 0.0)) for key, weight in left.items())
        return (own + around) / (2 * total)
