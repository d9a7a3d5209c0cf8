"""Makes the folder of documents: copies of those that are text, and office files and PDFs from their sources.

A source is a TOML file beside the others; its name without `.toml` is the file that is made of it. So all
content can be read and compared in the repository, and the files are what the usual libraries write.
"""

import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from docx import Document as WordDocument
from openpyxl import Workbook
from pptx import Presentation
from pptx.util import Cm

from tests.quality.pdf import write_pdf

SOURCES = Path(__file__).parent / "documents"

ENCODINGS = {"de/mietvertrag.txt": "cp1252", "zh/机房值班.txt": "gb18030"}
"""Files that are not UTF-8 where people keep them; their sources are."""

Table = Sequence[Sequence[str | int | float]]


def make_documents(folder: Path) -> list[Path]:
    """Fill a folder with the documents, in the sources' folders; return their paths in it, sorted."""
    made = []
    for source in _sources():
        name = source.relative_to(SOURCES)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".toml":
            path = path.with_suffix("")
            _write(tomllib.loads(source.read_text(encoding="utf-8")), path)
        elif encoding := ENCODINGS.get(name.as_posix()):
            path.write_bytes(source.read_text(encoding="utf-8").encode(encoding))
        else:
            shutil.copyfile(source, path)
        made.append(path.relative_to(folder))
    return sorted(made)


def document_names() -> set[str]:
    """Return the names of the documents as they will be made."""
    return {path.relative_to(SOURCES).as_posix().removesuffix(".toml") for path in _sources()}


def _sources() -> Iterator[Path]:
    return (path for path in sorted(SOURCES.rglob("*")) if path.is_file())


def _write(source: Mapping[str, Any], path: Path) -> None:
    writers = {".docx": _write_word, ".xlsx": _write_sheets, ".pptx": _write_slides, ".pdf": write_pdf}
    writers[path.suffix](source, path)


def _write_word(source: Mapping[str, Any], path: Path) -> None:
    document = WordDocument()
    document.core_properties.title = source["title"]
    for number, block in enumerate(source["block"]):
        match block:
            case {"heading": heading}:
                document.add_heading(heading, level=2 if number else 1)
            case {"paragraph": text}:
                document.add_paragraph(text)
            case {"items": items}:
                for item in items:
                    document.add_paragraph(item, style="List Bullet")
            case {"table": rows}:
                _fill(document.add_table(rows=len(rows), cols=len(rows[0])), rows)
    document.save(str(path))


def _write_sheets(source: Mapping[str, Any], path: Path) -> None:
    book = Workbook()
    book.remove(book.worksheets[0])
    for sheet in source["sheet"]:
        made = book.create_sheet(sheet["name"])
        for row in sheet["rows"]:
            made.append(row)
    book.properties.title = source["title"]
    book.save(path)


def _write_slides(source: Mapping[str, Any], path: Path) -> None:
    deck = Presentation()
    deck.core_properties.title = source["title"]
    for slide in source["slide"]:
        table = slide.get("table")
        made = deck.slides.add_slide(deck.slide_layouts[5 if table else 1])
        made.shapes.title.text = slide["title"]
        if table:
            place = (Cm(2), Cm(5), Cm(20), Cm(8))
            _fill(made.shapes.add_table(len(table), len(table[0]), *place).table, table)
        else:
            made.placeholders[1].text = "\n".join(slide["points"])
    deck.save(str(path))


def _fill(made: Any, rows: Table) -> None:
    """Write the cells of a Word or PowerPoint table."""
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            made.cell(y, x).text = str(cell)
