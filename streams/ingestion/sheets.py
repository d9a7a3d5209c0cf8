"""Reads Excel files as Markdown: a heading for each sheet, and a table for each block of its cells."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from agents.documents.tables import GridRow, table_blocks
from streams.ingestion.archives import check_archive
from streams.ingestion.office import need
from streams.ingestion.parts import Note, Part, UnreadableError, whole

CELLS_MAX = 2_000_000
"""Cells of a sheet, blank ones within its edges included."""

SEARCHED_MAX = 64 * 1024 * 1024
"""Bytes of a sheet that is searched for formulas without a value."""

_UNSAVED = re.compile(rb"<f\b[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>|</c>)")
_ZEROS = re.compile(r"0{2,}")
_CURRENCY = re.compile(r"\[\$([^\]\-]{1,4})(?:-[^\]]*)?\]|\"([^\"]{1,6})\"|([€$£¥₹])")
_DECIMALS = re.compile(r"0\.(0+)")


@dataclass(frozen=True, slots=True)
class _Line:
    cells: list[str]
    spans: bool = False
    bold: bool = False


def read_xlsx(path: Path) -> Iterator[Part | Note | UnreadableError]:
    """Read what a workbook shows: no hidden sheets, rows and columns; of formulas the saved values."""
    need("openpyxl")
    check_archive(path, "xlsx")
    import openpyxl  # noqa: PLC0415 - an extra

    try:
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, data_only=True)
            sheets = [_sheet(sheet) for sheet in book.worksheets if sheet.sheet_state == "visible"]
            title = book.properties.title or ""
        unsaved = _without_values(path)
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise UnreadableError(f"is a damaged xlsx file ({type(error).__name__}): save it again") from error
    yield whole("\n\n".join(sheet for sheet in sheets if sheet), title or path.stem)
    if unsaved:
        formulas = "a formula" if unsaved == 1 else f"{unsaved:,} formulas"
        yield Note(f"has {formulas} without a value: open it in a spreadsheet program and save it")


def _without_values(path: Path) -> int:
    """Count the formulas whose value nobody has saved."""
    with zipfile.ZipFile(path) as archive:
        members = [each for each in archive.infolist() if each.filename.startswith("xl/worksheets/sheet")]
        return sum(
            len(_UNSAVED.findall(archive.read(each))) for each in members if each.file_size <= SEARCHED_MAX
        )


def _sheet(sheet: Any) -> str:
    if sheet.max_row * sheet.max_column > CELLS_MAX:
        raise UnreadableError(f"has more than {CELLS_MAX:,} cells in the sheet {sheet.title!r}: split it")
    cells = list(sheet.iter_rows())
    rows = [[_written(cell) for cell in row] for row in cells]
    spans: set[int] = set()
    for merged in sheet.merged_cells.ranges:
        text = rows[merged.min_row - 1][merged.min_col - 1]
        for row in rows[merged.min_row - 1 : merged.max_row]:
            row[merged.min_col - 1 : merged.max_col] = [text] * (merged.max_col - merged.min_col + 1)
        if merged.max_col > merged.min_col:
            spans.update(range(merged.min_row - 1, merged.max_row))
    columns = _shown_columns(sheet)
    lines = [
        _Line([row[at] for at in columns], number in spans, _is_bold(cells[number]))
        for number, row in enumerate(rows)
        if not sheet.row_dimensions[number + 1].hidden
    ]
    blocks = [block for group in _groups(lines) for block in _blocks(group)]
    return "\n\n".join([f"## {sheet.title}", *blocks]) if blocks else ""


def _shown_columns(sheet: Any) -> list[int]:
    hidden: set[int] = set()
    for column in sheet.column_dimensions.values():
        if column.hidden and column.min and column.max:
            hidden.update(range(column.min - 1, min(column.max, sheet.max_column)))
    return [at for at in range(sheet.max_column) if at not in hidden]


def _is_bold(row: Sequence[Any]) -> bool:
    said = [cell for cell in row if cell.value is not None]
    return bool(said) and all(cell.font is not None and cell.font.b for cell in said)


def _groups(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Yield runs of rows that blank rows divide, without the blank columns of each."""
    group: list[_Line] = []
    for line in [*lines, _Line([])]:
        if any(line.cells):
            group.append(line)
        elif group:
            used = [at for at in range(len(group[0].cells)) if any(each.cells[at] for each in group)]
            yield [_Line([each.cells[at] for at in used], each.spans, each.bold) for each in group]
            group = []


def _blocks(group: list[_Line]) -> Iterator[str]:
    """Yield a table, below the lines over it that have one text alone."""
    while len(group) > 1 and len(group[0].cells) > 1 and len(set(filter(None, group[0].cells))) == 1:
        yield next(filter(None, group.pop(0).cells))
    if all(len(line.cells) == 1 for line in group):
        yield "\n\n".join(line.cells[0] for line in group)
        return
    heads = next((number for number, line in enumerate(group) if not line.bold or not any(line.cells[1:])), 0)
    yield from table_blocks([_row(line, head=number < heads) for number, line in enumerate(group)])


def _row(line: _Line, *, head: bool) -> GridRow:
    first, *others = line.cells
    if line.bold and not head and first and not any(others):
        return GridRow([first] * len(line.cells), spans=True)
    return GridRow(line.cells, head, line.spans)


def _written(cell: Any) -> str:
    """Return a cell's value as it is shown, so far as its format matters: dates, percent, currency."""
    match cell.value:
        case None:
            return ""
        case bool(value):
            return "yes" if value else "no"
        case timedelta() as value:
            return _duration(value)
        case date() | time() as value:
            return _moment(value)
        case int() | float() as value:
            return _amount(value, str(cell.number_format or ""))
        case value:
            return " ".join(str(value).split())


def _amount(value: float, form: str) -> str:
    if _ZEROS.fullmatch(form) and isinstance(value, int):
        return f"{value:0{len(form)}d}"
    decimals = _DECIMALS.search(form)
    if "%" in form:
        return f"{_number(value * 100, decimals)}%"
    shown = _number(value, decimals)
    symbol = _CURRENCY.search(form)
    mark = next(filter(None, symbol.groups())).strip() if symbol and "General" not in form else ""
    first = symbol is not None and symbol.start() < form.find("0")
    return f"{mark}{shown}" if first else f"{shown} {mark}".strip()


def _duration(value: timedelta) -> str:
    minutes, seconds = divmod(round(value.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02d}" + (f":{seconds:02d}" if seconds else "")


def _moment(value: date | time) -> str:
    if isinstance(value, time):
        return value.isoformat("minutes" if not value.second else "seconds")
    if not isinstance(value, datetime):
        return value.isoformat()
    return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")


def _number(value: float, decimals: re.Match[str] | None) -> str:
    return f"{value:.{len(decimals[1])}f}" if decimals else f"{value:.12g}"
