"""Picks the row of a table with the most or the least of something: "Which plan is the cheapest?". Pure.

It is picked only where the table is there as a whole, and its column and the numbers in it are certain.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from agents.components import Passage
from agents.documents.units import Unit, units_of
from agents.language.keys import term_keys
from agents.models.asking import LIGHT, Asked, read_question
from agents.models.columns import asked_columns, names_of, telling_keys
from agents.models.evidence import PASSAGES_READ, Evidence
from agents.models.lookup import Lookup, Statement
from agents.models.values import has_value, wanted_values

WHOLE_MAX = 1000
"""Characters of a passage that surely holds the whole of a table with which it ends."""

_MOST = (
    r"\b(?:most|highest|largest|biggest|greatest|longest|heaviest|tallest|fastest|dearest|loudest|latest"
    r"|meisten?|höchste[nrsm]?|größte[nrsm]?|längste[nrsm]?|schwerste[nrsm]?|teuerste[nrsm]?|lauteste[nrsm]?"
    r"|le plus (?:de|cher|grand|long|lourd|élevé|haut)|la plus (?:chère|grande|longue|lourde|élevée|haute)"
    r"|(?:el|la) (?:más|mayor)(?: (?:car[oa]|grande|larg[oa]|pesad[oa]|alt[oa]))?)\b|\bam meisten\b"
    r"|最贵|最貴|最大|最多|最长|最長|最高|最重|(?:一番|最も)(?:高|大き|長|多|重)"
)
_LEAST = (
    r"\b(?:least|lowest|smallest|cheapest|shortest|lightest|fewest|quietest|slowest|wenigsten|niedrigste[nrsm]?"
    r"|kleinste[nrsm]?|billigste[nrsm]?|günstigste[nrsm]?|kürzeste[nrsm]?|leichteste[nrsm]?|leiseste[nrsm]?"
    r"|le moins (?:de|cher|long|lourd|élevé)|la moins (?:chère|longue|lourde|élevée)"
    r"|(?:le|la) plus (?:petite?|courte?|légère?|basse?)|(?:el|la) (?:menos|menor)(?: car[oa])?"
    r"|(?:el|la) más (?:barat[oa]|pequeñ[oa]|cort[oa]|liger[oa]|baj[oa]))\b"
    r"|最便宜|最小|最少|最短|最低|最轻|最輕|(?:一番|最も)(?:安|小さ|短|少な|軽)"
)
_SUPERLATIVE = re.compile(
    rf"(?<!\bat )(?<!\bat the )(?:(?P<least>{_LEAST})|(?P<most>{_MOST}))", re.IGNORECASE
)
_WHICH = re.compile(
    r"\A\W*(?:which|what|who|welche[rsnm]?|was|wer|quel(?:le)?s?|qui|lequel|laquelle|cuál(?:es)?|qué|quién)\b"
    r"|哪|谁|誰|どの|どれ|何が",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"(?P<number>\d{1,3}(?:[ ,.'’\u00a0\u202f]\d{3})+(?![\d])|\d+)(?P<cents>[.,]\d{1,2})?(?!\d)"
)


def pick_most(question: str, lookup: Lookup) -> list[Statement] | None:
    """Return the row, or the cell of a row, with the most or least.

    None: the question asks for no such row, or there is no table; []: none is certain.
    """
    found = _SUPERLATIVE.search(question)
    if found is None or not _WHICH.search(question):
        return None
    least = found["least"] is not None
    asked = read_question(f"{question[: found.start()]} {question[found.end() :]}")
    about, asked = asked, replace(asked, text=question)
    tables = [
        (number, passage, rows)
        for number, passage in enumerate(lookup.passages[:PASSAGES_READ])
        if _is_about(asked, passage)
        for rows in _tables(passage)
    ]
    for number, passage, rows in tables:
        pick = _row_with(asked, number, passage, rows, least=least)
        pick = pick or _cell_with(asked, number, rows, least=least)
        if pick is not None:
            # The superlative has chosen the column; it would choose others by their values again.
            return [replace(pick, asked=(about,))]
    return [] if tables else None


def _is_about(asked: Asked, passage: Passage) -> bool:
    """Whether a passage has the names and codes of the question, and a telling word of it."""
    text = "\n".join((passage.title, *passage.headings, passage.text))
    keys = term_keys(text)
    telling = {key for key, weight in asked.weights.items() if weight > LIGHT}
    return (
        asked.names <= keys and all(code.here.search(text) for code in asked.codes) and bool(telling & keys)
    )


def _tables(passage: Passage) -> list[list[Unit]]:
    """Return the tables that a passage surely holds as a whole, by rows."""
    if passage.lead:
        return []
    rows = [unit for unit in units_of(passage.text) if unit.kind == "row"]
    tables = [list(group) for _, group in groupby(rows, key=lambda unit: (unit.section, unit.header))]
    return [
        table
        for table in tables
        if len(table) > 1 and (passage.text[table[-1].end :].strip(" |\n") or len(passage.text) <= WHOLE_MAX)
    ]


def _row_with(
    asked: Asked, number: int, passage: Passage, rows: Sequence[Unit], *, least: bool
) -> Statement | None:
    """Return the row with the most or least in the one column that is meant."""
    first = rows[0]
    named = {at for row in rows for at in asked_columns(row, asked)}
    valued = {
        at
        for value in wanted_values(asked.text)
        for at in range(1, len(first.cells))
        if all(len(row.cells) > at and has_value(value, row.cells[at], names_of(row)[at]) for row in rows)
    }
    columns = (named & valued) or valued or named
    meant = _meant(asked, rows, passage)
    if len(columns) != 1 or len(meant) < 2:
        return None
    (at,) = columns
    best = _best([row.cells[at] if len(row.cells) > at else "" for row in meant], least=least)
    return None if best is None else Statement(Evidence(number, meant[best], 1.0), (asked,), (at,))


def _meant(asked: Asked, rows: Sequence[Unit], passage: Passage) -> list[Unit]:
    """Return the rows that a question compares: those with its further words; [] if that is uncertain."""
    around = term_keys(" ".join((passage.title, *passage.headings, *rows[0].lent)))
    value_words = " ".join(
        found[0] for value in wanted_values(asked.text) for found in [value.asked.search(asked.text)] if found
    )
    left = {key for key, weight in asked.weights.items() if weight > LIGHT} - around - term_keys(value_words)
    meant = [row for row in rows if left <= term_keys(row.text)]
    kind = telling_keys(" ".join(rows[0].lent)) & asked.weights.keys()
    return meant if kind or left else []


def _cell_with(asked: Asked, number: int, rows: Sequence[Unit], *, least: bool) -> Statement | None:
    """Return the row of the property that is meant, with the column that has the most or least of it."""
    fitting = [
        row
        for row in rows
        if len(row.cells) > 2
        and (
            telling_keys(row.cells[0]) & asked.weights.keys()
            or any(value.named and value.named.search(row.cells[0]) for value in wanted_values(asked.text))
        )
    ]
    if len(fitting) != 1:
        return None
    best = _best(fitting[0].cells[1:], least=least)
    return None if best is None else Statement(Evidence(number, fitting[0], 1.0), (asked,), (best + 1,))


def _best(cells: Sequence[str], *, least: bool) -> int | None:
    """Return the place of the one cell with the most or least; None if they are no amounts in one unit."""
    amounts = []
    units = set()
    for cell in cells:
        numbers = list(_AMOUNT.finditer(cell))
        if len(numbers) != 1:
            return None
        amount = numbers[0]
        digits = re.sub(r"\D", "", amount["number"])
        amounts.append(float(f"{digits}.{amount['cents'][1:]}" if amount["cents"] else digits))
        units.add(re.sub(r"\W+", "", f"{cell[: amount.start()]} {cell[amount.end() :]}".casefold(), count=0))
    wanted = min(amounts) if least else max(amounts)
    if len(units) != 1 or amounts.count(wanted) != 1:
        return None
    return amounts.index(wanted)
