"""Rows of an HTML table: their cells, which of them are headers, and spans. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from selectolax.lexbor import LexborNode

from agents.documents.tables import GridRow

COLUMNS_MAX = 100
"""Columns that a span may reach to."""

CELLS_MAX = 200_000
"""Cells that spans may fill in one table; further spans are read as single cells."""

PROSE_MIN = 120
"""Characters of a cell that is alone in a row of prose side by side."""

NAME_MAX = 40
"""Characters of a column's name in a table whose header is not marked."""

_WHOLE_BLOCKS = "table, h1, h2, h3, h4, pre"
_PARTS = frozenset({"thead", "tbody", "tfoot"})


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row's cells; `head`: it is in the table's head, or all its cells are headers."""

    cells: Sequence[LexborNode]
    head: bool


def table_rows(table: LexborNode) -> list[TableRow]:
    """Return the rows of a table, without those of tables in its cells."""
    rows = []
    for row, in_head in _rows(table, in_head=False):
        cells = [cell for cell in row.iter() if cell.tag in {"td", "th"}]
        if cells:
            rows.append(TableRow(cells, in_head or _heads_columns(cells)))
    return rows


def is_layout(table: LexborNode, rows: Sequence[TableRow]) -> bool:
    """Whether a table only arranges a page: it has no headers, but whole blocks in its cells."""
    if table.attributes.get("role") in {"presentation", "none"}:
        return True
    if any(row.head for row in rows):
        return False
    if all(len(row.cells) == 1 for row in rows):
        return True
    cells = [cell for row in rows for cell in row.cells]
    if len(rows) > 2 and _is_regular(rows):
        return False
    if any(cell.css_first(_WHOLE_BLOCKS) is not None for cell in cells):
        return True
    return len(rows) == 1 and any(len(cell.text()) > PROSE_MIN for cell in cells)


def _is_regular(rows: Sequence[TableRow]) -> bool:
    """Whether the first of many like rows looks like names of columns."""
    first = [cell.text().strip() for cell in rows[0].cells]
    return (
        len(first) > 1
        and all(0 < len(name) <= NAME_MAX for name in first)
        and len(set(first)) == len(first)
        and all(len(row.cells) == len(first) for row in rows)
        and not any(cell.css_first(_WHOLE_BLOCKS) for cell in rows[0].cells)
    )


def has_row_headers(rows: Sequence[TableRow]) -> bool:
    """Whether the rows are pairs of a name, marked as a header, and what it names."""
    pairs = [row.cells for row in rows if len(row.cells) > 1]
    return bool(pairs) and all(len(cells) == 2 and _is_pair(cells) for cells in pairs)


def _heads_columns(cells: Sequence[LexborNode]) -> bool:
    """Whether all cells of a row are headers, but for a blank corner."""
    named = [cell for cell in cells if cell.tag == "th"]
    blank = [cell for cell in cells if cell.tag == "td"]
    if len(cells) < 2 or len(named) < max(len(blank), 1):
        return False
    return not any(cell.text().strip() for cell in blank) and (len(named) > 1 or cells[0].tag == "td")


def _is_pair(cells: Sequence[LexborNode]) -> bool:
    return cells[0].tag == "th" and cells[1].tag == "td"


def grid(rows: Sequence[TableRow], written: Callable[[LexborNode], str]) -> list[GridRow]:
    """Return the rows with spanned cells repeated. `written` returns a cell's text in one line."""
    made: list[GridRow] = []
    reaching: dict[int, tuple[int, str]] = {}
    room = CELLS_MAX
    for number, row in enumerate(rows):
        line: list[str] = []
        following: dict[int, tuple[int, str]] = {}
        spans = False
        for cell in row.cells:
            _take(line, reaching, following)
            text = written(cell)
            left = len(rows) - number
            across, down = max(_span(cell, "colspan", COLUMNS_MAX), 1), _span(cell, "rowspan", left) or left
            if across * down > room:
                across = down = 1
            room -= across * down
            spans = spans or across > 1
            for _ in range(across):
                if down > 1:
                    following[len(line)] = (down - 1, text)
                line.append(text)
        for at in sorted(reaching):
            if at >= len(line):
                line.extend([""] * (at - len(line)))
                _take(line, reaching, following)
        reaching = following
        made.append(GridRow(line, row.head, spans))
    return made


def _take(
    line: list[str], reaching: dict[int, tuple[int, str]], following: dict[int, tuple[int, str]]
) -> None:
    """Fill the places of a line into which cells of earlier rows reach."""
    while len(line) in reaching:
        left, text = reaching.pop(len(line))
        if left > 1:
            following[len(line)] = (left - 1, text)
        line.append(text)


def _span(cell: LexborNode, name: str, most: int) -> int:
    value = (cell.attributes.get(name) or "1").strip()
    return min(int(value), most) if value.isascii() and value.isdigit() and len(value) < 9 else 1


def _rows(parent: LexborNode, *, in_head: bool) -> Iterator[tuple[LexborNode, bool]]:
    for child in parent.iter():
        if child.tag == "tr":
            yield child, in_head
        elif child.tag in _PARTS:
            yield from _rows(child, in_head=child.tag == "thead")
