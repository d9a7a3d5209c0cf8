"""Rows of an HTML table as a Markdown table: spans are repeated, header rows become one. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from selectolax.lexbor import LexborNode

COLUMNS_MAX = 100
"""Columns that a span may reach to."""

CELLS_MAX = 200_000
"""Cells that spans may fill in one table; further spans are read as single cells."""

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
            headers = len(cells) > 1 and all(cell.tag == "th" for cell in cells)
            rows.append(TableRow(cells, in_head or headers))
    return rows


def is_layout(rows: Sequence[TableRow]) -> bool:
    """Whether a table only arranges a page: one column without a header, or whole blocks in its cells."""
    if not any(row.head for row in rows) and all(len(row.cells) == 1 for row in rows):
        return True
    return any(cell.css_first("table, h1, h2, h3, h4, pre") is not None for row in rows for cell in row.cells)


def markdown_table(rows: Sequence[TableRow], written: Callable[[LexborNode], str]) -> str:
    """Return the table as Markdown; "" if it is blank. `written` returns a cell's text in one line."""
    heads = 0
    while heads < len(rows) and rows[heads].head:
        heads += 1
    if heads == len(rows) > 1:
        heads = 1
    grid = _grid(rows, written)
    header, body = _merged(grid[:heads]), grid[heads:]
    body = [row for row in body if any(row)]
    if not header and body and _names_columns(body):
        header, *body = body
    return write_table(header, body)


def write_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; an empty `header`: its columns have no names."""
    if not any(header) and not body:
        return ""
    width = max(len(row) for row in (header, *body))
    lines = [_line(header, width), f"|{'---|' * width}", *(_line(row, width) for row in body)]
    return "\n".join(lines)


def names_columns(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether a first row that is not marked as a header names the columns below it."""
    if len(first) < 2 or not others or not all(first) or len(set(first)) < len(first):
        return False
    if any(any(mark.isdigit() for mark in cell) for cell in first):
        return False
    return len(first) > 2 or any(mark.isdigit() for row in others for cell in row for mark in cell)


def _names_columns(body: Sequence[Sequence[str]]) -> bool:
    return names_columns(body[0], body[1:])


def _line(row: Sequence[str], width: int) -> str:
    cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
    return f"| {' | '.join(cells + [''] * (width - len(cells)))} |"


def _rows(parent: LexborNode, *, in_head: bool) -> Iterator[tuple[LexborNode, bool]]:
    for child in parent.iter():
        if child.tag == "tr":
            yield child, in_head
        elif child.tag in _PARTS:
            yield from _rows(child, in_head=child.tag == "thead")


def _grid(rows: Sequence[TableRow], written: Callable[[LexborNode], str]) -> list[list[str]]:
    grid: list[list[str]] = []
    reaching: dict[int, tuple[int, str]] = {}
    room = CELLS_MAX
    for number, row in enumerate(rows):
        line: list[str] = []
        following: dict[int, tuple[int, str]] = {}
        for cell in row.cells:
            _take(line, reaching, following)
            text = written(cell)
            left = len(rows) - number
            across, down = max(_span(cell, "colspan", COLUMNS_MAX), 1), _span(cell, "rowspan", left) or left
            if across * down > room:
                across = down = 1
            room -= across * down
            for _ in range(across):
                if down > 1:
                    following[len(line)] = (down - 1, text)
                line.append(text)
        for at in sorted(reaching):
            if at >= len(line):
                line.extend([""] * (at - len(line)))
                _take(line, reaching, following)
        reaching = following
        grid.append(line)
    return grid


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


def _merged(heads: Sequence[Sequence[str]]) -> list[str]:
    """Return one header of several rows: the names above a column, each once."""
    width = max((len(row) for row in heads), default=0)
    return [
        " ".join(dict.fromkeys(row[at] for row in heads if at < len(row) and row[at])) for at in range(width)
    ]
