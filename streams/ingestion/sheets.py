"""Reads Excel files as Markdown: a heading for each sheet, and a table for each block of its cells."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from streams.ingestion.archives import check_archive
from streams.ingestion.office import marked_table, need
from streams.ingestion.parts import Part, UnreadableError, whole

CELLS_MAX = 2_000_000
"""Cells of a sheet, blank ones within its edges included."""

_CURRENCY = re.compile(r"\[\$([^\]\-]{1,4})(?:-[^\]]*)?\]|\"([^\"]{1,6})\"|([€$£¥₹])")
_DECIMALS = re.compile(r"0\.(0+)")


def read_xlsx(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a workbook's visible sheets; of formulas the values that were saved last."""
    need("openpyxl")
    check_archive(path, "xlsx")
    import openpyxl  # noqa: PLC0415 - an extra

    try:
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, data_only=True)
            sheets = [_sheet(sheet) for sheet in book.worksheets if sheet.sheet_state == "visible"]
            title = book.properties.title or ""
    except UnreadableError:
        raise
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise UnreadableError(f"is a damaged xlsx file ({type(error).__name__}): save it again") from error
    yield whole("\n\n".join(sheet for sheet in sheets if sheet), title or path.stem)


def _sheet(sheet: Any) -> str:
    if sheet.max_row * sheet.max_column > CELLS_MAX:
        raise UnreadableError(f"has more than {CELLS_MAX:,} cells in the sheet {sheet.title!r}: split it")
    rows = [[_written(cell) for cell in row] for row in sheet.iter_rows()]
    for merged in sheet.merged_cells.ranges:
        text = rows[merged.min_row - 1][merged.min_col - 1]
        for row in rows[merged.min_row - 1 : merged.max_row]:
            row[merged.min_col - 1 : merged.max_col] = [text] * (merged.max_col - merged.min_col + 1)
    blocks = [block for group in _groups(rows) for block in _blocks(group)]
    return "\n\n".join([f"## {sheet.title}", *blocks]) if blocks else ""


def _groups(rows: Sequence[Sequence[str]]) -> Iterator[list[list[str]]]:
    """Yield runs of rows that blank rows divide, without the blank columns of each."""
    group: list[Sequence[str]] = []
    for row in [*rows, ()]:
        if any(row):
            group.append(row)
        elif group:
            used = [at for at in range(len(group[0])) if any(each[at] for each in group)]
            yield [[each[at] for at in used] for each in group]
            group = []


def _blocks(group: list[list[str]]) -> Iterator[str]:
    """Yield a table, below the lines over it that have one text alone."""
    while len(group) > 1 and len(group[0]) > 1 and len(set(filter(None, group[0]))) == 1:
        yield next(filter(None, group.pop(0)))
    if all(len(row) == 1 for row in group):
        yield "\n\n".join(row[0] for row in group)
    else:
        yield marked_table(group, header=False)


def _written(cell: Any) -> str:
    """Return a cell's value as it is shown, so far as its format matters: dates, percent, currency."""
    value, form = cell.value, str(cell.number_format or "")
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date | time):
        return _moment(value)
    if not isinstance(value, int | float):
        return " ".join(str(value).split())
    decimals = _DECIMALS.search(form)
    if "%" in form:
        return f"{_number(value * 100, decimals)}%"
    shown = _number(value, decimals)
    symbol = _CURRENCY.search(form)
    mark = next(filter(None, symbol.groups())).strip() if symbol and "General" not in form else ""
    first = symbol is not None and symbol.start() < form.find("0")
    return f"{mark}{shown}" if first else f"{shown} {mark}".strip()


def _moment(value: date | time) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")


def _number(value: float, decimals: re.Match[str] | None) -> str:
    return f"{value:.{len(decimals[1])}f}" if decimals else f"{value:.12g}"
