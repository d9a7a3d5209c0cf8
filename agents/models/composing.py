"""Composes the statements of an answer: of each part of a question, over a bridge, of two that are compared.

A question's part that has no evidence leaves the whole without an answer: half of one looks whole. Pure.
"""

from collections.abc import Sequence

from agents.components import Passage
from agents.documents.units import units_of
from agents.language.folding import folded
from agents.language.follow_ups import leans
from agents.language.keys import term_keys
from agents.models.asking import LIGHT, read_question
from agents.models.columns import asked_columns, name_keys, telling_keys
from agents.models.comparisons import acompare_two
from agents.models.evidence import PASSAGES_READ, Evidence
from agents.models.hops import afind_bridge, is_nested, lacks
from agents.models.lookup import FindIn, Lookup, Statement
from agents.models.parts import joined_things, named_in, parts_of, possible_things
from agents.models.superlatives import pick_most
from agents.models.values import wanted_values
from schemas.question import Question, Turn


async def acompose(
    question: str, passages: Sequence[Passage], find: FindIn, limit: int = 2
) -> list[Statement]:
    """Return the statements that answer a question, in the order of its parts; [] if any part has none.

    `find` returns the evidence for a question; `limit` is the most statements about one that has one part.
    """
    lookup = Lookup(passages, find)
    if compared := await acompare_two(question, lookup):
        return compared
    parts = parts_of(question)
    if len(parts) > 1 and (things := joined_things(question)):
        together = await _aanswer(question, lookup, limit)
        if _are_together(things, together, passages):
            return together
    if len(parts) == 1:
        parts = _possible_parts(question, passages)
    if len(parts) == 1:
        return await _aanswer(question, lookup, limit)
    found: list[Statement] = []
    for part in parts:
        statements = await _afurther(part, question, found, lookup) if found else []
        statements = statements or await _aanswer(part, lookup, 1)
        if not statements or not _tells(part, statements[-1].evidence):
            return []
        found += statements
    return _merged(found)


def _possible_parts(question: str, passages: Sequence[Passage]) -> list[str]:
    """Return the question about each of the things that are names of rows, columns or documents."""
    possible = possible_things(question)
    labels = {
        name_keys(label)
        for passage in passages[:PASSAGES_READ]
        for unit in units_of(passage.text, passage.lead)
        for label in (passage.title, *unit.cells[:1], *unit.header)
        if unit.kind == "row"
    }
    if possible and all(name_keys(name) in labels for name, _ in possible):
        return [part for _, part in possible]
    return [question]


def _tells(part: str, evidence: Evidence) -> bool:
    """Whether a unit tells something of a part besides the names in it."""
    asked = read_question(part)
    names = asked.names | name_keys(" ".join(named_in(part)))
    own = {key for key, weight in asked.weights.items() if weight > LIGHT} - names
    unit = evidence.unit
    if not own or own & term_keys(" ".join((unit.text, *unit.lent))):
        return True
    return bool(wanted_values(part)) and not lacks(asked, unit)


def _are_together(things: Sequence[str], found: Sequence[Statement], passages: Sequence[Passage]) -> bool:
    """Whether the things that a question names are told of as one: in one unit, or by one name."""
    texts = [folded(f"{each.title}\n{each.text}") for each in passages[:PASSAGES_READ]]
    if any(folded(thing) in text for thing in things for text in texts):
        return True
    units = [each.evidence.unit for each in found]
    return any(
        telling_keys(" ".join(things)) <= term_keys(" ".join((unit.text, *unit.lent))) for unit in units
    )


async def _aanswer(text: str, lookup: Lookup, limit: int, document: str | None = None) -> list[Statement]:
    for compared in (await acompare_two(text, lookup), pick_most(text, lookup)):
        if compared is not None:
            return compared
    asked = read_question(text)
    found = await lookup.afind(asked, limit, document)
    if not found or not lacks(asked, found[0].unit):
        return [Statement(each, (asked,)) for each in found]
    bridge = await afind_bridge(asked, found[0], lookup)
    if bridge is not None:
        return [Statement(found[0], (asked,)), Statement(bridge.evidence, (bridge.asked,))]
    return [] if is_nested(text) else [Statement(each, (asked,)) for each in found]


async def _afurther(part: str, question: str, found: Sequence[Statement], lookup: Lookup) -> list[Statement]:
    """Return what tells more of the thing that an earlier part found: "and what does it cost?".

    It is in the same row, or else in the same document.
    """
    if not leans(Question(id="part", text=part, history=(Turn("user", question),))):
        return []
    asked = read_question(part)
    last = found[-1].evidence
    if last.unit.kind == "row" and asked_columns(last.unit, asked) and not lacks(asked, last.unit):
        return [Statement(last, (asked,))]
    return await _aanswer(part, lookup, 1, lookup.document_of(last))


def _merged(found: Sequence[Statement]) -> list[Statement]:
    """Return the statements with those about one unit as one."""
    merged: dict[tuple[int, int, int], Statement] = {}
    for each in found:
        unit = each.evidence.unit
        place = (each.evidence.passage, unit.start, unit.end)
        same = merged.get(place)
        merged[place] = (
            Statement(each.evidence, same.asked + each.asked, same.columns + each.columns) if same else each
        )
    return list(merged.values())
