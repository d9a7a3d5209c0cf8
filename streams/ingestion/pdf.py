"""Reads PDFs: pages in reading order, tables as tables, and the pages named that are pictures only.

pdfplumber tells words with their boxes and the tables whose lines are drawn; `pdf_layout` makes the order.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.documents.tables import GridRow
from streams.ingestion.parts import Note, Part, UnreadableError, whole
from streams.ingestion.pdf_layout import Grid, goes_on, joined, page_blocks
from streams.ingestion.pdf_words import Word
from streams.ingestion.texts import first_heading

if TYPE_CHECKING:
    from pdfplumber.page import Page

PAGES_MAX = 2_000
"""A page takes 0.05 to 0.3 s; a longer file is asked for in parts."""

_UNMAPPED = "(cid:"
_GLYPH = re.compile(r"\(cid:(\d+)\)")
_BULLETS = frozenset({"127", "149", "183"})
"""Numbers of the bullet in fonts that do not say so."""

_WORDS: dict[str, Any] = {"x_tolerance_ratio": 0.2, "extra_attrs": ["fontname", "size"]}

_NO_TITLE = re.compile(
    r"\(?(?:untitled|anonymous|unspecified)\)?|(?:document|slide|presentation) ?\d*"
    r"|.*\.(?:docx?|indd|tex|pptx?|qxd)",
    re.IGNORECASE,
)


def read_pdf(path: Path) -> Iterator[Part | Note | UnreadableError]:
    """Read the text of a PDF's pages."""
    import pdfplumber  # noqa: PLC0415 - 0.4 s that other kinds need not pay

    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    try:
        # Its own context manager reads all pages when it is left.
        with path.open("rb") as stream:
            file = pdfplumber.open(stream)
            if (told := _pages_told(file)) > PAGES_MAX or len(file.pages) > PAGES_MAX:
                raise UnreadableError(f"has {told:,} pages, more than {PAGES_MAX:,}: split it")
            pages: list[list[str]] = []
            for page in file.pages:
                pages.append(_blocks(page))
                page.close()
            title = str((file.metadata or {}).get("Title") or "")
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise _told(error) from error
    text = _text(_without_running_lines(pages))
    blank = [number for number, blocks in enumerate(pages, 1) if not blocks]
    if not text:
        raise UnreadableError(
            "has no text, only images: run text recognition (OCR) first, for instance with ocrmypdf"
        )
    yield whole(text, _title(title) or first_heading(text) or path.stem)
    if blank:
        yield Note(f"{_numbers(blank)} no text, perhaps only images: run text recognition (OCR) for them")


def _pages_told(file: Any) -> int:
    """Return how many pages a PDF says that it has: to count them all takes a minute for 10,000."""
    from pdfminer.pdftypes import resolve1  # noqa: PLC0415 - as above

    pages = resolve1(file.doc.catalog.get("Pages"))
    told = resolve1(pages.get("Count")) if isinstance(pages, dict) else 0
    return told if isinstance(told, int) else 0


def _title(told: str) -> str:
    """Return the title that a PDF tells; "" where its program wrote it and not its author."""
    title = told.replace("\0", "").strip()
    return "" if _NO_TITLE.fullmatch(title) else title


def _told(error: BaseException) -> UnreadableError:
    reasons = [error, *filter(None, (error.__cause__, error.__context__)), *error.args]
    if any("Password" in type(reason).__name__ for reason in reasons):
        return UnreadableError("is protected by a password: save it without a password")
    return UnreadableError(f"is a damaged PDF ({type(error).__name__}): print it to a new PDF")


def _blocks(page: "Page") -> list[str]:
    found = page.extract_words(**_WORDS)
    upright = [each for each in found if each["upright"]]
    unmapped = sum(_UNMAPPED in each["text"] and not _GLYPH.fullmatch(each["text"]) for each in found)
    if unmapped > 0.2 * len(found):
        return []  # its font does not say which characters it shows
    tables = [table for table in page.find_tables() if len(table.rows) > 1 and len(table.columns) > 1]
    grids = [Grid(table.bbox[1], _filled(table.extract())) for table in tables]
    words = [_word(each) for each in upright if not any(_inside(each, table.bbox) for table in tables)]
    return [*page_blocks(words, grids), *(block for turned in _turned(page) for block in page_blocks(turned))]


def _turned(page: "Page") -> Iterator[list[Word]]:
    """Yield the words that read upwards, and those that read downwards, as if the page were turned."""
    from pdfplumber.utils.text import extract_words  # noqa: PLC0415 - as above

    wide, high = float(page.width), float(page.height)
    for upwards in (True, False):
        characters = [
            {
                **each,
                "upright": True,
                "size": each["x1"] - each["x0"],
                "x0": high - each["bottom"] if upwards else each["top"],
                "x1": high - each["top"] if upwards else each["bottom"],
                "top": each["x0"] if upwards else wide - each["x1"],
                "bottom": each["x1"] if upwards else wide - each["x0"],
                "doctop": each["x0"] if upwards else wide - each["x1"],
            }
            for each in page.chars
            if not each["upright"] and (each["matrix"][1] > 0) == upwards
        ]
        if characters:
            yield [_word(each) for each in extract_words(characters, **_WORDS)]


def _filled(rows: Sequence[Sequence[str | None]]) -> list[GridRow]:
    """Return a table's cells, each cell that reaches over others repeated: a part of it is None there."""
    filled: list[GridRow] = []
    for row in rows:
        cells: list[str] = []
        spans = False
        for at, cell in enumerate(row):
            above = filled[-1].cells[at] if filled and at < len(filled[-1].cells) else ""
            left = cells[-1] if cells else ""
            from_left = bool(at) and row[at - 1] is not None
            spans = spans or (cell is None and bool(left) and (from_left or not above))
            reached = left if from_left else above or left
            cells.append(reached if cell is None else " ".join(cell.split()))
        filled.append(GridRow(cells, spans=spans))
    return filled


def _word(each: dict[str, Any]) -> Word:
    text = _GLYPH.sub(_character, str(each["text"])).replace("\0", "").replace("\u00ad", "-")
    bold = "bold" in str(each["fontname"]).lower()
    return Word(text, each["x0"], each["x1"], each["top"], each["bottom"], each["size"], bold)


def _character(glyph: re.Match[str]) -> str:
    return "•" if glyph[1] in _BULLETS else "\ufffd"


def _inside(word: dict[str, Any], box: tuple[float, float, float, float]) -> bool:
    across, down = (word["x0"] + word["x1"]) / 2, (word["top"] + word["bottom"]) / 2
    return bool(box[0] <= across <= box[2] and box[1] <= down <= box[3])


def _without_running_lines(pages: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the pages without first and last lines that most of them share but for their numbers."""
    ends = Counter(
        key for blocks in pages if len(blocks) > 1 for key in {_bare(blocks[0]), _bare(blocks[-1])} if key
    )
    often = {key for key, times in ends.items() if times > 2 and times > 0.5 * len(pages)}
    kept = []
    for blocks in pages:
        first = 1 if len(blocks) > 1 and _bare(blocks[0]) in often else 0
        last = len(blocks) - (1 if len(blocks) > 1 and _bare(blocks[-1]) in often else 0)
        kept.append(list(blocks[first:last]))
    return kept


def _bare(block: str) -> str:
    return "".join(mark for mark in block if not mark.isdigit()) if len(block) < 120 else ""


def _text(pages: Sequence[Sequence[str]]) -> str:
    blocks: list[str] = []
    for page in pages:
        for number, block in enumerate(page):
            if number == 0 and blocks and goes_on(blocks[-1], block):
                blocks[-1] = joined(blocks[-1], block)
            else:
                blocks.append(block)
    return "\n\n".join(blocks)


def _numbers(pages: Sequence[int]) -> str:
    """Return the pages in words: "pages 2-4 and 7 have"."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    named = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    listed = ", ".join(named[:-1]) + f" and {named[-1]}" if len(named) > 1 else named[0]
    return f"page {listed} has" if len(pages) == 1 else f"pages {listed} have"
