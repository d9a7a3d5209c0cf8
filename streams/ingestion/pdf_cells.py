"""Cells side by side on a page: whether they are columns of a text, a list or a table. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from agents.documents.tables import GridRow, table_blocks
from streams.ingestion.pdf_words import EAST_ASIAN, Line

Cells = Sequence[Sequence[Line]]
"""The lines of each cell of a row."""

PROSE = 28
"""Characters of a line in a column of running text, on average."""

_BULLET = re.compile(r"(?:\d{1,3}\s*)?[•‣◦▪●○■□∙·–*-]")
_NUMBER = re.compile(r"(\d{1,3})[.)]?")
_SAYS = re.compile(r"[.!?。！？]\s*\Z")


def is_prose(rows: Sequence[Cells]) -> bool:
    """Whether columns hold running text, at least two of them, and not the cells of a table."""
    columns = list(zip(*rows, strict=True))
    return sum(_reads_on([cell[0].text for cell in column if cell]) for column in columns) > 1


def list_items(rows: Sequence[Cells]) -> str:
    """Return a list whose marks stand beside its items; "" if the first cells are something else."""
    if not rows or any(len(row) != 2 for row in rows) or not rows[0][0]:
        return ""
    items: list[str] = []
    for mark, text in rows:
        said = _text(text)
        if not mark and items:
            items[-1] = f"{items[-1]} {said}".strip()
        elif _BULLET.fullmatch(_text(mark)):
            items.append(f"- {said}")
        elif number := _NUMBER.fullmatch(_text(mark)):
            items.append(f"{number[1]}. {said}")
        else:
            return ""
    return "\n".join(items)


def cell_blocks(rows: Sequence[Cells]) -> Iterator[str]:
    """Yield a table, and the lines above and below it that are no rows."""
    first, last = 0, len(rows)
    while last - first > 2 and _is_line(rows[first], among=len(rows[0])):
        first += 1
    while last - first > 2 and _is_line(rows[last - 1], among=len(rows[0]), below=True):
        last -= 1
    yield from (_text(row[0]) for row in rows[:first])
    made = [[_text(cell) for cell in row] for row in _grouped(rows[first:last])]
    yield from table_blocks([GridRow(row) for row in made])
    yield from (_text(row[0]) for row in rows[last:])


def _reads_on(texts: Sequence[str]) -> bool:
    """Whether the lines of a column are those of running text."""
    if len(texts) < 2:
        return False
    below = texts[1:]
    words = sum(len(text.split()) for text in texts) / len(texts)
    if sum(text[:1].islower() for text in below) >= 0.4 * len(below) and words >= 2:
        return True
    return sum(len(text) + len(EAST_ASIAN.findall(text)) for text in texts) >= PROSE * len(texts)


def _is_line(row: Cells, *, among: int, below: bool = False) -> bool:
    """Whether a row has its first cell alone: a title above a table of several columns, or a note below."""
    if not row[0] or any(row[1:]):
        return False
    return (among > 2 and not below) or bool(_SAYS.search(_text(row[0])))


def _grouped(rows: Sequence[Cells]) -> list[list[Sequence[Line]]]:
    """Return the rows of a table, of which each may have several lines of text."""
    gaps = [_top(after) - _bottom(before) for before, after in pairwise(rows)]
    if not gaps or all(all(row) for row in rows):
        return [list(row) for row in rows]
    height = max(line.size for row in rows for cell in row for line in cell)
    if max(gaps) - min(gaps) > 0.25 * height:
        middle = (min(gaps) + max(gaps)) / 2
        grouped = [list(rows[0])]
        for gap, row in zip(gaps, rows[1:], strict=True):
            if gap > middle:
                grouped.append(list(row))
            else:
                grouped[-1] = _added(grouped[-1], row)
        if sum(all(row) for row in grouped) >= 0.8 * len(grouped) > 1:
            return grouped
    joined: list[list[Sequence[Line]]] = []
    for row in rows:
        filled = sum(map(bool, row))
        if (
            joined
            and not row[0]
            and filled <= len(row) / 2
            and any(cell and cell[0].text[:1].islower() for cell in row)
        ):
            joined[-1] = _added(joined[-1], row)
        else:
            joined.append(list(row))
    return joined


def _added(row: Cells, more: Cells) -> list[Sequence[Line]]:
    return [[*cell, *other] for cell, other in zip(row, more, strict=True)]


def _top(row: Cells) -> float:
    return min(line.top for cell in row for line in cell)


def _bottom(row: Cells) -> float:
    return max(line.bottom for cell in row for line in cell)


def _text(cell: Sequence[Line]) -> str:
    return " ".join(" ".join(line.text for line in cell).split())
