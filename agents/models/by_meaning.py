"""Finds the units of the passages that answer a question by words and by meaning together. Pure.

A unit is measured by its words, by the share of the question that it tells with words that mean the asked
ones, and by the cosine of both as a whole. None of them separates right from wrong alone: a sentence about
the subject has a high cosine and tells nothing of what is asked. Where all three are high together, the unit
answers. Where words find nothing, as between two languages, the other two must leave the next unit behind.

The thresholds were chosen on XQuAD: on its questions in English, German and Chinese, on questions about
paragraphs in other languages, and on the same ones without the paragraph that answers.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.components import Passage
from agents.documents.units import Unit, shown_text, units_of
from agents.embeddings.likeness import Likeness, Strengths
from agents.language.keys import term_keys
from agents.language.number_words import has_number
from agents.models.asked_words import asked_keys
from agents.models.asking import Asked
from agents.models.columns import names_of
from agents.models.evidence import LENT, SECOND_AT_LEAST, TOLD_BEFORE, TOLD_IN_TITLE, Evidence, Search, adds

COMPARED = 8
"""Units of each kind whose vectors are compared: those that words rank first, and that tell most."""
SHARE_WEIGHS = 0.5
"""The weight of the told share beside the score by words, at most 1, and the cosine."""
SUPPORTED = 0.95
"""The least sum of all three."""
SUPPORTED_ALONE = 0.9
"""The least sum of the share, the cosine and the lead over the next unit, without words."""
LEAD_MAX = 0.3
"""The most of a lead that counts."""
SOUGHT = 0.4
"""The least share of what is asked besides the subject, which the title names; without words."""
RANK_COST = 0.05
"""A unit's loss for each place that its passage is behind the first; without words."""

_TOLD = ("sentence", "item", "row")


@dataclass(frozen=True, slots=True)
class Told:
    """A unit with the share of the question that it tells, and of what is asked besides the subject.

    Attributes:
        fits: its score by words, at most 1.
        stands_alone: whether it may answer without words: a sentence, item or row with the number asked for.
    """

    passage: int
    unit: Unit
    share: float
    sought: float
    fits: float = 0.0
    stands_alone: bool = True

    @property
    def texts(self) -> tuple[str, str]:
        """The unit's text as it is compared: alone, and below what is said above it."""
        text = told_text(self.unit)
        below = " ".join((*self.unit.lent[-1:], text))
        # No question sounds like code; the sentence above it tells what it is for.
        return (below, below) if self.unit.kind == "code" else (text, below)


def told_text(unit: Unit) -> str:
    """Return the text of a unit by which it is compared; a row with its header."""
    if unit.kind != "row":
        return shown_text(unit)
    return ", ".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(names_of(unit), unit.cells, strict=True)
    )


def most_telling(
    asked: Asked, passages: Sequence[Passage], ranked: Sequence[Evidence], likeness: Likeness
) -> list[Told]:
    """Return the units about the question's subject that fit it best by words, and that tell most of it.

    `ranked`: the units about it with their scores by words (`evidence.Search.ranked`).
    """
    keys = asked_keys(asked)
    if not keys:
        return []
    fits = {(found.passage, found.unit): found.score for found in ranked}
    about = dict.fromkeys(Search(asked, passages, likeness).about())
    told = [
        replace(
            each,
            fits=fits.get((each.passage, each.unit), 0.0),
            stands_alone=_stands_alone(each, about, asked),
        )
        for each in _Reader(asked, keys, likeness, passages).read(list(about | fits))
    ]
    by_words = sorted((each for each in told if each.fits > 0), key=lambda each: -each.fits)
    by_share = sorted((each for each in told if each.stands_alone), key=lambda each: -each.share)
    return list(dict.fromkeys((*by_words[:COMPARED], *by_share[:COMPARED])))


def _stands_alone(told: Told, about: Container[tuple[int, Unit]], asked: Asked) -> bool:
    return (
        (told.passage, told.unit) in about
        and told.unit.kind in _TOLD
        and (asked.wanted != "number" or has_number(told.unit.text))
    )


def choose(told: Sequence[Told], cosines: Sequence[float], limit: int) -> list[Evidence]:
    """Return at most `limit` units as evidence, best first; `cosines`: for the `texts` of each unit."""
    likeness = [
        (alone + max(alone, below)) / 2 for alone, below in zip(cosines[::2], cosines[1::2], strict=True)
    ]
    ranked = sorted(
        (
            Evidence(each.passage, each.unit, each.fits + SHARE_WEIGHS * each.share + cosine)
            for each, cosine in zip(told, likeness, strict=True)
            if each.fits > 0
        ),
        key=lambda found: (-found.score, found.passage, found.unit.start),
    )
    if ranked and ranked[0].score >= SUPPORTED:
        best = ranked[0]
        others = [
            other for other in ranked[1:] if other.score >= SECOND_AT_LEAST * best.score and adds(best, other)
        ]
        return [best, *others[: limit - 1]]
    return _alone(told, likeness)


def _alone(told: Sequence[Told], cosines: Sequence[float]) -> list[Evidence]:
    """Return the unit that answers without words, if one does."""
    scored = sorted(
        (
            (each.share + cosine - RANK_COST * each.passage, -number, each)
            for number, (each, cosine) in enumerate(zip(told, cosines, strict=True))
            if each.stands_alone
        ),
        reverse=True,
    )
    if not scored:
        return []
    score, _, best = scored[0]
    lead = min(LEAD_MAX, score - scored[1][0]) if len(scored) > 1 else LEAD_MAX
    if best.sought < SOUGHT or score + lead < SUPPORTED_ALONE:
        return []
    return [Evidence(best.passage, best.unit, score)]


class _Reader:
    """Measures how much units tell of a question."""

    def __init__(
        self, asked: Asked, keys: Sequence[str], likeness: Likeness, passages: Sequence[Passage]
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

    def _told(self, text: str) -> Strengths:
        if text not in self._known:
            has = term_keys(text)
            met = {key: 1.0 for key in self._keys if key in has}
            self._known[text] = self._likeness.strengths(text) | met
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
        for unit in units_of(passage.text, passage.lead):
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
