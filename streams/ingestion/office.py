"""Reads Word and PowerPoint files as Markdown. Macros in them are never looked at."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.documents.html import html_to_markdown
from agents.documents.html_table import names_columns, write_table
from streams.ingestion.archives import check_archive
from streams.ingestion.parts import Part, UnreadableError, whole
from streams.ingestion.texts import first_heading


def need(library: str) -> None:
    """Check that a library of the extra `office` is there.

    Raises:
        UnreadableError: it is not.
    """
    if find_spec(library) is None:
        raise UnreadableError("needs the extra 'office': install it with pip install 'kotae[office]'")


def read_docx(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a Word file: headings, lists, tables and notes."""
    need("mammoth")
    check_archive(path, "docx")
    import mammoth  # noqa: PLC0415 - an extra

    without_images = mammoth.images.img_element(lambda _: {"src": ""})
    try:
        with path.open("rb") as file:
            page = mammoth.convert_to_html(file, convert_image=without_images).value
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise UnreadableError(f"is a damaged docx file ({type(error).__name__}): save it again") from error
    text = html_to_markdown(page).text
    yield whole(text, first_heading(text) or path.stem)


def read_pptx(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a presentation: each slide's title, texts, tables and speaker notes."""
    need("pptx")
    check_archive(path, "pptx")
    import pptx  # noqa: PLC0415 - an extra

    try:
        with path.open("rb") as file:
            slides = [_slide(slide, number) for number, slide in enumerate(pptx.Presentation(file).slides, 1)]
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise UnreadableError(f"is a damaged pptx file ({type(error).__name__}): save it again") from error
    shown = [slide for slide in slides if "\n" in slide]
    title = next((slide.partition("\n")[0].removeprefix("## ") for slide in shown), "")
    yield whole("\n\n".join(shown), title or path.stem)


def _slide(slide: Any, number: int) -> str:
    head = slide.shapes.title
    title = " ".join(head.text_frame.text.split()) if head is not None and head.has_text_frame else ""
    blocks = [f"## {title or f'Slide {number}'}"]
    for shape in _shapes(slide.shapes):
        if head is not None and shape.shape_id == head.shape_id:
            continue
        if getattr(shape, "has_table", False) and shape.has_table:
            blocks.append(_table(shape.table))
        elif shape.has_text_frame:
            blocks.append(_paragraphs(shape))
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        blocks.append(f"### Notes\n\n{notes}" if notes else "")
    kept = [block for block in blocks if block]
    return "\n\n".join(kept) if len(kept) > 1 or title else ""


def _shapes(shapes: Any) -> Iterator[Any]:
    """Yield shapes as they are read, those in groups too."""
    for shape in sorted(shapes, key=lambda each: (each.top or 0, each.left or 0)):
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _paragraphs(shape: Any) -> str:
    said = [(each.level, " ".join(each.text.split())) for each in shape.text_frame.paragraphs]
    said = [(level, text) for level, text in said if text]
    if shape.is_placeholder and len(said) > 1:
        return "\n".join(f"{'  ' * level}- {text}" for level, text in said)
    return "\n\n".join(text for _, text in said)


def _table(table: Any) -> str:
    rows: list[list[str]] = []
    for row_number, row in enumerate(table.rows):
        cells: list[str] = []
        for column, cell in enumerate(row.cells):
            text = " ".join(cell.text.split())
            if cell.is_spanned:
                left = cells[-1] if cells else ""
                above = rows[-1][column] if rows else ""
                text = (
                    above
                    if row_number and table.cell(row_number - 1, column).is_merge_origin
                    else left or above
                )
            cells.append(text)
        rows.append(cells)
    return marked_table(rows, header=bool(table.first_row))


def marked_table(rows: Sequence[Sequence[str]], *, header: bool) -> str:
    """Return rows as a Markdown table; the first one is the header if it is marked or looks like one."""
    rows = [row for row in rows if any(row)]
    if rows and len(rows) > 1 and (header or names_columns(rows[0], rows[1:])):
        return write_table(rows[0], rows[1:])
    return write_table((), rows)
