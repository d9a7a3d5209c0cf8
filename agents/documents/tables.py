"""Rows of a table as Markdown, whatever file they come from: one header, and rows that stand alone. Pure.

Several header rows become one whose cells join the levels ("2024 Revenue"). A line over the whole width is a
caption, a note, or the name of the rows below it, which each of them then has in a first column.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_PERIOD = re.compile(
    r"(?:[^\W\d_]{1,9}\.?[ /-]?)?(?:[1-4][ /-])?(?:19|20)\d\d(?:[/-]\d\d)?年?|[QTHS][1-4]", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_]{3,}|[\u2e80-\u9fff\uac00-\ud7a3]+")
_VALUE = re.compile(r"[^\w]*(?:\d|$)")
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_SAYS = re.compile(r"[.!?。！？]\W*\Z")
NAME_MAX = 80
"""Characters of a line over the whole width that names the rows below it; a longer one is a note."""


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row; the text of a cell that spans others stands in each of them.

    Attributes:
        head: it is marked as a header.
        spans: one of its cells spans several columns.
    """

    cells: Sequence[str]
    head: bool = False
    spans: bool = False

    @property
    def over_all(self) -> bool:
        """Whether one cell spans the whole row."""
        return self.spans and len(self.cells) > 1 and len(set(self.cells)) == 1


def table_blocks(rows: Sequence[GridRow], *, named: bool = True) -> list[str]:
    """Return a table as Markdown blocks, with the lines over and between its parts.

    `named`: where no row is marked as a header, the first ones may be one by their look.
    """
    rows = _even([row for row in rows if any(row.cells)])
    if rows and all(row.head for row in rows):
        rows = [GridRow(row.cells, number == 0, row.spans) for number, row in enumerate(rows)]
    writer = _Writer()
    at = 0
    while at < len(rows) - 1 and rows[at].over_all:
        writer.add_line(rows[at].cells[0])
        at += 1
    heads = _marked(rows, at)
    if rows[at:] and ((not heads and named) or (heads == 1 and rows[at].spans)):
        cells = [row.cells for row in rows[at:] if not row.over_all]
        heads = max(heads, named_rows(cells, spanned=rows[at].spans))
        if heads > 1 and not rows[at].spans:
            rows[at] = GridRow(_filled(rows[at].cells))
    writer.begin(rows[at : at + heads])
    at += heads
    while at < len(rows):
        row = rows[at]
        if row.over_all:
            writer.divide(row.cells[0], followed=at + 1 < len(rows) and not rows[at + 1].over_all)
        elif again := _marked(rows, at):
            writer.begin(rows[at : at + again])
            at += again
            continue
        else:
            writer.add(row.cells)
        at += 1
    return writer.finished()


@dataclass(slots=True)
class _Writer:
    blocks: list[str] = field(default_factory=list)
    _header: list[str] = field(default_factory=list)
    _unused: bool = False
    _group: str = ""
    _rows: list[tuple[str, Sequence[str]]] = field(default_factory=list)

    def add_line(self, text: str) -> None:
        self.blocks.append(text)

    def add(self, cells: Sequence[str]) -> None:
        self._rows.append((self._group, cells))

    def begin(self, heads: Sequence[GridRow]) -> None:
        """Take a header; the same one again only repeats itself."""
        header = joined_header([row.cells for row in heads])
        if header != self._header:
            self._end()
            self._header, self._unused = header, bool(header)

    def divide(self, text: str, *, followed: bool) -> None:
        """Take a line over the whole width, within or below the rows."""
        if followed and len(text) <= NAME_MAX and not _SAYS.search(text):
            self._group = text
        else:
            self._end()
            self._group = ""
            self.blocks.append(text)

    def finished(self) -> list[str]:
        self._end()
        return [block for block in self.blocks if block]

    def _end(self) -> None:
        rows, self._rows = self._rows, []
        unused, self._unused = self._unused, False
        grouped = any(group for group, _ in rows)
        header = ["", *self._header] if grouped and self._header else self._header
        if rows or unused:
            self.blocks.append(
                write_table(header, [[group, *row] if grouped else row for group, row in rows])
            )


def write_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; an empty `header`: its columns have no names."""
    if not any(header) and not body:
        return ""
    width = max(len(row) for row in (header, *body))
    lines = [_line(header, width), f"|{'---|' * width}", *(_line(row, width) for row in body)]
    return "\n".join(lines)


def named_rows(rows: Sequence[Sequence[str]], *, spanned: bool = False) -> int:
    """Return how many first rows, none of them marked as a header, name the columns: 0, 1 or 2.

    `spanned`: a cell of the first row spans several columns.
    """
    if len(rows) > 2:
        first, second = rows[:2]
        # A name over several columns is often in the first of them alone.
        above = first if spanned else _filled(first)
        blanks = not spanned and "" in first[1:] and all(a or b for a, b in zip(first, second, strict=False))
        names = joined_header([above, second])
        if (spanned or (blanks and _repeats(second))) and names_columns(names, rows[2:]):
            return 2
    return 1 if rows and names_columns(rows[0], rows[1:]) else 0


def names_columns(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether a first row that is not marked as a header names the columns below it."""
    if len(first) < 2 or not others or not all(first[1:]) or len(set(first)) < len(first):
        return False
    if not first[0] and not all(row[0] for row in others if any(row)):
        return False
    if not all(_is_name(cell, [row[at] for row in others if at < len(row)]) for at, cell in enumerate(first)):
        return False
    if len(first) > 2:
        return True
    # `Colour | red` above `Weight | 14 kg` names nothing: only values of one kind have a name.
    kinds = {_kind(row[1]) for row in others if len(row) > 1 and row[1]}
    return len(kinds) == 1 and None not in kinds


def joined_header(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one header of several rows: the names above a column, each once."""
    width = max((len(row) for row in rows), default=0)
    return [
        " ".join(dict.fromkeys(row[at] for row in rows if at < len(row) and row[at])) for at in range(width)
    ]


def _marked(rows: Sequence[GridRow], at: int) -> int:
    heads = 0
    while at + heads < len(rows) and rows[at + heads].head:
        heads += 1
    return heads


def _even(rows: Sequence[GridRow]) -> list[GridRow]:
    width = max((len(row.cells) for row in rows), default=0)
    return [
        row
        if len(row.cells) == width
        else GridRow([*row.cells, *[""] * (width - len(row.cells))], row.head, row.spans)
        for row in rows
    ]


def _filled(row: Sequence[str]) -> list[str]:
    filled: list[str] = []
    for cell in row:
        filled.append(cell or (filled[-1] if len(filled) > 1 else ""))
    return filled


def _repeats(row: Sequence[str]) -> bool:
    names = [cell for cell in row if cell]
    return len(set(names)) < len(names)


def _is_name(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell names its column: words, or a year or number in a name above values without such."""
    if not any(mark.isdigit() for mark in cell):
        return True
    if _PERIOD.fullmatch(cell):
        return not any(_PERIOD.fullmatch(each) for each in below)
    words = set(_WORD.findall(cell.lower()))
    return bool(words) and all(
        _VALUE.match(each) and words.isdisjoint(_WORD.findall(each.lower())) for each in below
    )


def _kind(value: str) -> str | None:
    """Return what values of one column have in common: their unit; None for words alone."""
    if not any(mark.isdigit() for mark in value):
        return None
    return "date" if _YEAR.search(value) else _NOT_LETTERS.sub(" ", value).strip().lower()


def _line(row: Sequence[str], width: int) -> str:
    cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
    return f"| {' | '.join(cells + [''] * (width - len(cells)))} |"
