"""Reads presentations as Markdown: a heading for each slide. Macros in them are never looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.documents.tables import GridRow, table_blocks
from streams.ingestion.archives import check_archive
from streams.ingestion.charts import chart_blocks, diagram_lines
from streams.ingestion.office import need
from streams.ingestion.parts import Part, UnreadableError, whole


def read_pptx(path: Path) -> Iterator[Part | UnreadableError]:
    """Read the slides that are shown: title, texts, tables, charts, diagrams and speaker notes."""
    need("pptx")
    check_archive(path, "pptx")
    import pptx  # noqa: PLC0415 - an extra

    try:
        with path.open("rb") as file:
            slides = [
                _slide(slide, number)
                for number, slide in enumerate(pptx.Presentation(file).slides, 1)
                if slide.element.get("show") not in {"0", "false"}
            ]
    except MemoryError:
        raise
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise UnreadableError(f"is a damaged pptx file ({type(error).__name__}): save it again") from error
    shown = [slide for slide in slides if slide]
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
            blocks += _table(shape.table)
        elif getattr(shape, "has_chart", False) and shape.has_chart:
            blocks += chart_blocks(shape.chart)
        elif lines := diagram_lines(shape):
            blocks.append(lines)
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


def _table(table: Any) -> list[str]:
    rows: list[GridRow] = []
    for number, row in enumerate(table.rows):
        cells: list[str] = []
        spans = False
        for column, cell in enumerate(row.cells):
            text = " ".join(cell.text.split())
            if cell.is_spanned:
                from_above = number and table.cell(number - 1, column).is_merge_origin
                left, above = cells[-1] if cells else "", rows[-1].cells[column] if rows else ""
                text = above if from_above else left or above
            spans = spans or (cell.is_merge_origin and cell.span_width > 1)
            cells.append(text)
        rows.append(GridRow(cells, head=number == 0 and bool(table.first_row), spans=spans))
    return table_blocks(rows)
