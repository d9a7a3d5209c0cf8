"""Reads Word files as Markdown. Macros in them are never looked at."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.documents.html import html_to_markdown
from streams.ingestion.archives import check_archive
from streams.ingestion.office import need
from streams.ingestion.parts import Part, UnreadableError, whole
from streams.ingestion.texts import first_heading
from streams.ingestion.word_xml import outline_levels, prepared, running_lines

HEADING_MAX = 80
"""Characters of a line in bold that is a heading."""

_STYLES = (
    "p[style-name='Title'] => h1:fresh",
    "p[style-name^='toc '] => !",
    "p[style-name='Bold Line'] => h6:fresh",
)
_BOLD_LINE = "Bold Line"
_BACK = re.compile(r'<a href="#[^"]*note-ref-[^"]*">[^<]*</a>')
_SENTENCE = re.compile(r"[.;,。；，]\s*\Z")


def read_docx(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a Word file: headings, lists, tables, text boxes and notes, above them headers and footers."""
    need("mammoth")
    check_archive(path, "docx")
    import mammoth  # noqa: PLC0415 - an extra

    without_images = mammoth.images.img_element(lambda _: {"src": ""})
    try:
        own = [f"p[style-name='{name}'] => h{level}:fresh" for name, level in outline_levels(path).items()]
        with prepared(path) as file:
            page = mammoth.convert_to_html(
                file,
                convert_image=without_images,
                style_map="\n".join((*_STYLES, *own)),
                transform_document=_structured,
            ).value
        running = running_lines(path)
    except MemoryError:
        raise
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise UnreadableError(f"is a damaged docx file ({type(error).__name__}): save it again") from error
    text = html_to_markdown(_BACK.sub("", page)).text
    title = first_heading(text) or path.stem
    above = [line for line in running if line not in text]
    yield whole("\n\n".join(filter(None, ("\n".join(above), text))), title)


def _structured(document: Any) -> Any:
    """Mark what only its letters tell: lines in bold are headings, and rows in bold those of a table."""
    return document.copy(children=[*map(_block, document.children)])


def _block(element: Any) -> Any:
    from mammoth.documents import Paragraph, Table  # noqa: PLC0415 - an extra

    if isinstance(element, Table):
        return _table(element)
    if not isinstance(element, Paragraph) or element.numbering is not None:
        return element
    said = _text(element)
    heading = 0 < len(said) <= HEADING_MAX and not _SENTENCE.search(said) and any(map(str.isalpha, said))
    plain = not element.style_name or element.style_name.lower() in {"normal", "body text", "standard"}
    return element.copy(style_name=_BOLD_LINE) if heading and plain and _is_bold(element) else element


def _table(table: Any) -> Any:
    from mammoth.documents import TableRow  # noqa: PLC0415 - an extra

    rows = [each for each in table.children if isinstance(each, TableRow)]
    bold = [_is_bold(row) for row in rows]
    if not rows or len(rows) != len(table.children) or any(row.is_header for row in rows):
        return table
    heads = bold.index(False) if False in bold else 0
    marked = [row.copy(is_header=True) if number < heads else row for number, row in enumerate(rows)]
    return table.copy(children=marked)


def _runs(element: Any) -> Iterator[Any]:
    from mammoth.documents import Run  # noqa: PLC0415 - an extra

    for child in getattr(element, "children", ()):
        if isinstance(child, Run):
            yield child
        else:
            yield from _runs(child)


def _text(element: Any) -> str:
    value = getattr(element, "value", None)
    return (value if isinstance(value, str) else "") + "".join(map(_text, getattr(element, "children", ())))


def _is_bold(element: Any) -> bool:
    said = [run for run in _runs(element) if _text(run).strip()]
    return bool(said) and all(run.is_bold for run in said)
