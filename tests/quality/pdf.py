"""Writes PDFs as layout programs do: lines with hyphens, two columns, tables with and without rules."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

CHINESE = "STSong-Light"
LEFT, RIGHT, TOP = 60, 310, 780
LINE_HEIGHT, SIZE = 15, 11


def write_pdf(source: Mapping[str, Any], path: Path) -> None:
    """Write a PDF by its `layout`: lines, columns (one after the other, or row by row), or prose."""
    match source["layout"]:
        case "prose":
            _write_prose(source, path)
        case "lines":
            _draw(source["title"], _at(LEFT, source["text"]), path)
        case "columns":
            _draw(source["title"], [*_at(LEFT, source["left"]), *_at(RIGHT, source["right"])], path)
        case "columns by rows":
            pairs = zip_longest(_at(LEFT, source["left"]), _at(RIGHT, source["right"]))
            _draw(source["title"], [line for pair in pairs for line in pair if line], path)


def _at(x: int, text: str) -> Iterator[tuple[int, int, str]]:
    """Each line of a column with its place."""
    return ((x, TOP - LINE_HEIGHT * row, line) for row, line in enumerate(text.strip().splitlines()))


def _draw(title: str, lines: Any, path: Path) -> None:
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))
    canvas = Canvas(str(path), pagesize=A4, invariant=True)
    canvas.setTitle(title)
    for x, y, line in lines:
        canvas.setFont(CHINESE if any("\u4e00" <= c <= "\u9fff" for c in line) else "Times-Roman", SIZE)
        canvas.drawString(x, y, line)
    canvas.save()


def _write_prose(source: Mapping[str, Any], path: Path) -> None:
    styles = getSampleStyleSheet()
    story: list[Flowable] = []
    for block in source["block"]:
        match block:
            case {"heading": heading}:
                story.append(Paragraph(heading, styles["Heading2"]))
            case {"paragraph": text}:
                story.append(Paragraph(text, styles["BodyText"]))
            case {"table": rows}:
                ruled = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)] if source.get("grid", True) else []
                story.append(Table(rows, style=ruled))
        story.append(Spacer(1, 8))
    SimpleDocTemplate(str(path), pagesize=A4, title=source["title"], invariant=True).build(story)
