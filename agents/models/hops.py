"""A bridge between two units: the first names the thing that is meant, the second tells what is asked of it.

"What does the plan with a pool cost?": one sentence says which plan has it, a row has its price. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agents.components import Passage
from agents.documents.units import Unit, units_of
from agents.language.keys import term_key, term_keys
from agents.language.number_words import has_number
from agents.language.stop_words import stop_words
from agents.language.terms import terms
from agents.models.asking import ACRONYM, LIGHT, Asked
from agents.models.columns import asked_columns, name_keys, names_of, telling_keys
from agents.models.evidence import PASSAGES_READ, Evidence
from agents.models.lookup import Lookup
from agents.models.parts import named_in
from agents.models.values import has_value, wanted_values

NAME_MAX = 40
"""Characters of a cell, a header or a title that names something."""
NAMES_MAX = 6
"""Names of a unit that are followed."""

# "Who is its provider?", "what is the size of": the words for what is asked.
_PROPERTY = re.compile(
    r"\b(?:who|what|which) (?:is|are|was|were) (?:its|their|his|her|the) (?P<en>\w+)(?=\s*(?:\?|of\b|for\b))"
    r"|\b(?:wer|was|wie|welche[rs]?) (?:ist|sind|heißt) (?:sein|ihr|der|die|das|dessen|deren)e?r? (?P<de>\w+)"
    r"|\b(?:qui|quel(?:le)?s?) (?:est|sont) (?:son|sa|ses|leurs?|le |la |l['’])\s*(?P<fr>\w+)"
    r"|\b(?:quién|cuál|qué) (?:es|son) (?:sus?|el|la|los|las) (?P<es>\w+)",
    re.IGNORECASE,
)
# Words for what something is called or counted as: a text that tells it has no word for it.
_GENERAL = telling_keys(
    "name names term word title type kind sort number amount date year place person people reason purpose"
    " result process method way role meaning difference answer bezeichnung begriff zahl datum jahr grund art"
    " nom terme mot nombre année raison nombre término palabra número fecha año razón"
)
_NESTED = re.compile(
    r"\b(?:the|a|an) (?:[\w'-]+ ){1,4}?(?:that|which|whose|who|where)\b"
    r"|\b(?:der|die|das|dem|den) (?:[\w-]+ ){0,2}[A-ZÄÖÜ][\w-]+, "
    r"(?:der|die|das|dem|den|dessen|deren|in de[rm])\b"
    r"|\b(?:le|la|les|du|de la|l['’])\s*(?:[\w-]+ ){1,4}?(?:qui|que|dont|où)\b"
    r"|\b(?:el|la|los|las|del) (?:[\w-]+ ){1,4}?(?:que|cuy[oa]s?|donde)\b"
)


@dataclass(frozen=True, slots=True)
class Bridge:
    """The second unit, with the question that it answers: about the name that the first one has."""

    evidence: Evidence
    asked: Asked


def is_nested(question: str) -> bool:
    """Whether a question names a thing by what is said of it: "the plan that includes"."""
    return _NESTED.search(question) is not None


def lacks(asked: Asked, unit: Unit) -> bool:
    """Whether a unit has nothing of the kind that is asked for: no amount, no date, no word for it."""
    if unit.kind == "code":
        return False
    told = _told(asked, unit)
    if any(
        not any(has_value(value, text, name) for name, text in told) for value in wanted_values(asked.text)
    ):
        return True
    if asked.wanted == "number" and not any(has_number(text) for _, text in told):
        return True
    sought = _sought(asked)
    return bool(sought) and not sought & term_keys(" ".join((unit.text, *unit.lent, *unit.header)))


async def afind_bridge(asked: Asked, first: Evidence, lookup: Lookup) -> Bridge | None:
    """Return the unit that tells what is asked of a thing that the first one names; None if there is none.

    Names that lead to different units are ambiguous: the best of them stands only if it is of the document
    of the first.
    """
    found: list[Bridge] = []
    passages = lookup.passages
    for name in _names(asked, first, passages):
        about = _about(asked, first.unit, name)
        second = _row(about, name, first, passages) or await _aunit(about, name, first, lookup)
        if second is not None:
            found.append(Bridge(second, about))
    places = {(each.evidence.passage, each.evidence.unit.start) for each in found}
    if len(places) > 1:
        document = lookup.document_of(first)
        found = [each for each in found if lookup.document_of(each.evidence) == document]
    return found[0] if found else None


def _told(asked: Asked, unit: Unit) -> list[tuple[str, str]]:
    """Return what a unit tells, by names: the asked cells of a row; else all it says."""
    if unit.kind != "row":
        return [("", unit.text)]
    names = names_of(unit)
    columns = asked_columns(unit, asked) or range(1, len(unit.cells))
    label = unit.cells[0]
    return [(f"{label} {names[at]}", unit.cells[at]) for at in columns]


def _sought(asked: Asked) -> frozenset[str]:
    found = _PROPERTY.search(asked.text)
    word = next(filter(None, found.groups()), "") if found else ""
    return (telling_keys(word) & asked.weights.keys()) - _GENERAL


def _names(asked: Asked, first: Evidence, passages: Sequence[Passage]) -> list[str]:
    """Return the names in a unit that the question does not have, the longest first.

    They are in capitals, or the name of a row, a column, a heading or a document.
    """
    unit = first.unit
    text = " ".join(unit.cells) if unit.kind == "row" else unit.text
    said = name_keys(text)
    known = {
        name
        for name in _all_names(passages)
        if (keys := name_keys(name)) and keys <= said and not keys <= asked.weights.keys()
    }
    spoken = {name for name in named_in(text) if not telling_keys(name) <= asked.weights.keys()}
    lettered = [name for name in known | spoken if any(map(str.isalpha, name))]
    return sorted(lettered, key=lambda name: (name not in known, -len(name), name))[:NAMES_MAX]


def _all_names(passages: Sequence[Passage]) -> Iterator[str]:
    for passage in passages[:PASSAGES_READ]:
        for unit in units_of(passage.text, passage.lead):
            names = (*unit.cells[:1], *unit.header) if unit.kind == "row" else unit.lent
            yield from (name for name in names if 1 < len(name) <= NAME_MAX)
        yield from (name for name in (passage.title, *passage.headings) if 1 < len(name) <= NAME_MAX)


def _about(asked: Asked, first: Unit, name: str) -> Asked:
    """Return what is left of the question after the first unit, asked of a name."""
    light = stop_words(asked.text)
    said = term_keys(first.text)
    keys = {term_key(term) for term in terms(name) if term not in light}
    weights = {key: weight for key, weight in asked.weights.items() if key not in said or weight <= LIGHT}
    for key in keys:
        weights[key] = max(weights.get(key, 0.0), ACRONYM)
    return replace(
        asked,
        weights=weights,
        names=(asked.names - said) | keys,
        codes=tuple(code for code in asked.codes if not code.here.search(first.text)),
    )


def _row(about: Asked, name: str, first: Evidence, passages: Sequence[Passage]) -> Evidence | None:
    """Return the row, or the cell of a row, of a name that tells what is asked."""
    keys = name_keys(name)
    for number, passage in _nearest(first, passages):
        around = " ".join((passage.title, *passage.headings, passage.text))
        if not all(code.here.search(around) for code in about.codes):
            continue
        for unit in units_of(passage.text, passage.lead):
            if unit.kind != "row" or unit == first.unit or lacks(about, unit):
                continue
            label = name_keys(unit.cells[0])
            if label == keys and _tells(about, unit):
                return Evidence(number, unit, 1.0)
            columns = [at for at in asked_columns(unit, about) if name_keys(names_of(unit)[at]) == keys]
            if columns and (label & about.weights.keys() or _values_of(about, unit.cells[0])):
                return Evidence(number, unit, 1.0)
    return None


def _tells(about: Asked, unit: Unit) -> bool:
    """Whether a row has a column for what is asked."""
    if not asked_columns(unit, about):
        return False
    sought = _sought(about)
    return not sought or bool(sought & term_keys(" ".join(unit.header)))


def _values_of(about: Asked, label: str) -> bool:
    return any(value.named and value.named.search(label) for value in wanted_values(about.text))


async def _aunit(about: Asked, name: str, first: Evidence, lookup: Lookup) -> Evidence | None:
    """Return the sentence or item about a name that tells what is asked."""
    keys = name_keys(name)
    for each in await lookup.afind(about, 1):
        passage = lookup.passages[each.passage]
        near = " ".join((each.unit.text, *each.unit.lent, passage.title, *passage.headings))
        left = {key for key, weight in about.weights.items() if weight > LIGHT} - keys
        if (
            each.unit != first.unit
            and each.unit.kind != "row"
            and keys <= name_keys(near)
            and not lacks(about, each.unit)
            and left & term_keys(" ".join((each.unit.text, *each.unit.lent)))
        ):
            return each
    return None


def _nearest(first: Evidence, passages: Sequence[Passage]) -> list[tuple[int, Passage]]:
    """Return the passages with their numbers, those of the first unit's document before others."""
    document = passages[first.passage].document_id
    return sorted(enumerate(passages[:PASSAGES_READ]), key=lambda each: each[1].document_id != document)
