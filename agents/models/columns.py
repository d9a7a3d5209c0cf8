"""The cells of a table's row that a question asks for. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from agents.documents.units import Unit
from agents.language.keys import term_key, term_keys
from agents.language.stop_words import stop_words
from agents.language.terms import terms
from agents.models.asking import LIGHT, Asked
from agents.models.values import has_value, wanted_values

NAMED = 0.5
"""The weight of a question's words that choose a column, at least."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column at a row: its number, name, cell, and the question's keys in its name."""

    at: int
    name: str
    cell: str
    covered: frozenset[str]
    others: int


def names_of(unit: Unit) -> tuple[str, ...]:
    """Return the names of a row's columns, "" where it has none."""
    return unit.header if len(unit.header) == len(unit.cells) else ("",) * len(unit.cells)


def telling_keys(text: str) -> frozenset[str]:
    """Return the keys of a text without those of words that only connect."""
    return _telling(text)


def name_keys(text: str) -> frozenset[str]:
    """Return the keys of all words of a name: "Gold Plus" is not "Gold"."""
    return frozenset(map(term_key, terms(text)))


def asked_columns(unit: Unit, asked: Asked) -> list[int]:
    """Return the numbers of the columns beside the label that are asked for; [] if none is recognised.

    A column that the question names with its cell is given, not asked for: "the hall whose provider is Nord".
    Of the columns that are named, those stay whose names tell something that no other's name tells better,
    and those with a value of the kind that is wanted.
    """
    named = [column for column in _columns(unit, asked) if not _is_given(column.cell, asked)]
    fitting = [column for column in named if _weight(column.covered, asked) > NAMED]
    best = [column for column in fitting if not any(_is_better(other, column) for other in fitting)]
    for value in wanted_values(asked.text):
        having = [column for column in best if has_value(value, column.cell, column.name)]
        if not best:
            having = [column for column in named if has_value(value, column.cell, column.name)]
        if having:
            return [column.at for column in having]
    return [column.at for column in best]


def given_columns(unit: Unit, asked: Asked) -> list[int]:
    """Return the numbers of the columns beside the label whose cells the question names."""
    return [at for at, cell in enumerate(unit.cells) if at and _is_given(cell, asked)]


def meant_row(unit: Unit, rows: Iterable[Unit], asked: Asked) -> Unit:
    """Return the row that the question names: "Otter", not "Otter Plus", if the table has both."""
    named = name_keys(unit.cells[0]) & asked.weights.keys()
    if not named or name_keys(unit.cells[0]) == named:
        return unit
    exact = (
        row
        for row in rows
        if row.kind == "row"
        and (row.section, row.header) == (unit.section, unit.header)
        and named <= name_keys(row.cells[0]) <= asked.weights.keys()
    )
    return next(exact, unit)


def _columns(unit: Unit, asked: Asked) -> list[Column]:
    said = telling_keys(unit.cells[0])
    found = []
    for at, (name, cell) in enumerate(zip(names_of(unit), unit.cells, strict=True)):
        if at and cell:
            keys = term_keys(name)
            covered = frozenset(asked.weights.keys() & keys - said)
            found.append(Column(at, name, cell, covered, len(name_keys(name) - asked.weights.keys())))
    return found


def _is_better(one: Column, other: Column) -> bool:
    if one.covered == other.covered:
        return one.others == 0 < other.others
    return one.covered > other.covered


def _is_given(cell: str, asked: Asked) -> bool:
    keys = telling_keys(cell)
    return bool(keys) and keys <= asked.weights.keys() and _weight(keys, asked) > NAMED


def _weight(keys: frozenset[str], asked: Asked) -> float:
    return sum(asked.weights[key] for key in keys if asked.weights[key] > LIGHT)


@lru_cache(maxsize=2048)
def _telling(text: str) -> frozenset[str]:
    light = stop_words(text)
    return frozenset(term_key(term) for term in terms(text) if term not in light)
