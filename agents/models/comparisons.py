"""Questions that compare two: "Which of the two is quieter?". Pure.

The same property of both is told, and the reader judges.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from agents.components import Passage
from agents.documents.units import Unit, units_of
from agents.language.keys import term_keys
from agents.language.number_words import has_number
from agents.models.asking import LIGHT, Asked, read_question
from agents.models.columns import telling_keys
from agents.models.evidence import PASSAGES_READ, Evidence
from agents.models.lookup import Lookup, Statement
from agents.models.values import Value, has_value, wanted_values

ALIKE = 0.5
"""The share of words that the units of two twins have in common, at least."""

_TWO = re.compile(
    r"\b(?:which|what|who) of (?:the|these|those|our|your) (?:two|both)\b|\bof the two\b|\bbetween the two\b"
    r"|\bwelche[rsnm]? (?:von|der|dieser) (?:den |der )?beiden\b|\bvon (?:den )?beiden\b|\bder beiden\b"
    r"|\b(?:lequel|laquelle) des deux\b|\b(?:le|la)quel(?:le)? de ces deux\b|\bdes deux\b"
    r"|\b(?:cuál|qué|quién) de (?:los|las|estos|estas) dos\b|\bde los dos\b|\bde las dos\b"
    r"|两[^，。？]{0,8}(?:哪|谁)|哪[一个款台种]{1,2}更|どちら",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:which|what) (?:[\w'-]+ ){1,6}?(?:is|are|has|have|costs?|weighs?|lasts?) (?:the )?"
    r"(?P<en>(?!number|under|over|ever|never|after|other|either|order|cover|further|rather)"
    r"[a-z]{3,}er|more|less|fewer)\b(?! than \d)"
    r"|\bwelche[rsnm]? (?:[\w-]+ ){1,4}?(?:ist|sind|hat|kostet|wiegt) (?P<de>[a-zäöü]{3,}er|mehr|weniger)\b"
    r"(?=\s*(?:\?|,|und\b))"
    r"|\bquel(?:le)? (?:[\w'-]+ ){1,4}?(?:est|a|coûte|pèse) (?:le |la )?(?P<fr>plus|moins)\b.*\bou\b"
    r"|哪个[^，。？]{0,6}更",
    re.IGNORECASE,
)
_COMPARATIVE = re.compile(
    r"(?<!two )(?<!beiden )\b(?!number|under|over|ever|never|after|other|either|order|cover|further|rather)"
    r"[a-zäöü]{3,}er\b|\b(?:more|less|fewer|mehr|weniger|plus|moins|más|menos|mejor|mayor|menor|meilleure?)\b"
    r"|更|比|どちら",
    re.IGNORECASE,
)
_REST = re.compile(
    r"[,;]?\s*\b(?:and|und|et|y)\b\s+(?:what|which|was|wie|welche|quelles?|cuáles)\b[^,;?]{0,30}?"
    r"\b(?:two|both|values?|figures?|numbers?|beiden|werte?|zahlen|deux|valeurs?|dos|valores)\b[^,;?]*"
    r"|\b(?:two|both|beiden?|deux|dos)\b|两[个款台种]?|哪[个款台种]?更?|更|どちら(?:が|の(?:方|ほう)が)?",
    re.IGNORECASE,
)


async def acompare_two(question: str, lookup: Lookup) -> list[Statement] | None:
    """Return the same property of the two things that a question compares.

    None: it compares no two; []: it does, and there are not just two that tell it.
    """
    two = _TWO.search(question) is not None and _COMPARATIVE.search(question) is not None
    if not two and not _COMPARED.search(question):
        return None
    return await _atwins(question, lookup) or ([] if two or _are_twins(lookup.passages) else None)


def _are_twins(passages: Sequence[Passage]) -> bool:
    """Whether the first two passages are of documents whose titles share a word."""
    return len(passages) > 1 and bool(telling_keys(passages[0].title) & telling_keys(passages[1].title))


async def _atwins(question: str, lookup: Lookup) -> list[Statement]:
    """Return the same property of two documents whose titles share a word; [] if there are not just two."""
    values = wanted_values(question)
    asked = read_question(_REST.sub(" ", question))
    compared = _COMPARED.search(question)
    word = telling_keys(next(filter(None, compared.groups()), "")) if compared else frozenset[str]()
    asked = _without(asked, word)
    found = []
    for document in lookup.documents():
        best = await _abest_with(asked, values, lookup, document)
        if best is not None:
            found.append(best)
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            twins = [each for each in found if _are_alike(one, each, lookup.passages)]
            if _are_alike(one, other, lookup.passages) and len(twins) == 2:
                return [Statement(one, (asked,)), Statement(other, (asked,))]
    return []


def _without(asked: Asked, keys: frozenset[str]) -> Asked:
    weights = {key: weight for key, weight in asked.weights.items() if key not in keys}
    return replace(asked, weights=weights or asked.weights, names=asked.names - keys)


async def _abest_with(
    asked: Asked, values: Sequence[Value], lookup: Lookup, document: str
) -> Evidence | None:
    """Return the unit of a document that tells the value that is compared, a number in any case."""

    def tells(unit: Unit) -> bool:
        if not values:
            return has_number(unit.text)
        return any(has_value(value, unit.text, " ".join(unit.header)) for value in values)

    found = [each for each in await lookup.afind(asked, 1, document) if tells(each.unit)]
    if found or not values:
        return found[0] if found else None
    # "Quieter" is no word of a unit that tells decibels: the kind of value finds it, if other words agree.
    subject = {key for key, weight in asked.weights.items() if weight > LIGHT}
    having = [
        (len(subject & term_keys(" ".join((unit.text, *unit.lent)))), -number, -unit.start, number, unit)
        for number, passage in enumerate(lookup.passages[:PASSAGES_READ])
        if passage.document_id == document and subject & term_keys(f"{passage.title} {passage.text}")
        for unit in units_of(passage.text, passage.lead)
        if unit.kind in {"sentence", "item", "row"} and tells(unit)
    ]
    if not having:
        return None
    best = max(having, key=lambda each: each[:3])
    return Evidence(best[3], best[4], 1.0)


def _are_alike(one: Evidence, other: Evidence, passages: Sequence[Passage]) -> bool:
    """Whether two units say the same of two things, or are one."""
    if not telling_keys(passages[one.passage].title) & telling_keys(passages[other.passage].title):
        return False
    first, second = (
        {key for key in term_keys(" ".join((each.unit.text, *each.unit.lent[-1:]))) if not key.isdecimal()}
        for each in (one, other)
    )
    return len(first & second) >= ALIKE * min(len(first), len(second))
