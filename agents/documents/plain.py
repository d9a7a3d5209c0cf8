"""The plain text of a document: what is cut into chunks, quoted, and counted by offsets. Pure.

Of Markdown and text it is the document's own text; Markdown keeps its marks, so that offsets are those of the
source, and loses its front matter. Of HTML it is the Markdown that `html` makes of it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agents.documents.blocks import Block, block_windows
from agents.documents.front_matter import split_front_matter
from schemas.document import Document

LOOKED_AT = 65_536
"""Characters at a text's beginning that show whether it is Markdown."""

_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--[^>]*-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE
)
_MARKDOWN = re.compile(
    r"^ {0,3}(?:#{1,6}[ \t]+\S|[-*+][ \t]+\S|\d{1,9}[.)][ \t]+\S|>[ \t]*\S|```|~~~|={3,}[ \t]*\r?$"
    r"|\|?[ \t]*:?-+:?[ \t]*\|[ \t|:-]*\r?$)"
    r"|^\S[^\r\n]*\r?\n-{3,}[ \t]*\r?$",
    re.MULTILINE,
)
_PARAGRAPH = re.compile(r"[^\r\n]*\S[^\r\n]*(?:(?:\r\n?|\n)[^\r\n]*\S[^\r\n]*)*")


@dataclass(frozen=True, slots=True)
class PlainText:
    """A document's plain text, and the title that its front matter or its page gives it ("": none).

    `structured`: it is Markdown; else only blank lines divide it.
    """

    text: str
    title: str = ""
    structured: bool = True


def is_html(text: str) -> bool:
    """Whether a text looks like a web page."""
    return bool(_HTML.match(text[:LOOKED_AT]))


def takes_long(document: Document) -> bool:
    """Whether `plain_text` may take longer than an event loop should wait, so that a thread should do it."""
    return document.format == "html" or (not document.format and is_html(document.text))


def plain_text(document: Document, breathe: Callable[[], None] = lambda: None) -> PlainText:
    """Return a document's plain text, by its `format`, or by its look where that is empty.

    `breathe` is called often while a page is converted (see `html.html_to_markdown`).
    """
    text, form = document.text, document.format
    if takes_long(document):
        from agents.documents.html import html_to_markdown  # noqa: PLC0415 - most workers never see HTML

        page = html_to_markdown(text, breathe)
        return PlainText(page.text, page.title)
    if form == "text":
        return PlainText(text, structured=False)
    begins, title = split_front_matter(text)
    body = text[begins:]
    return PlainText(body, title, form == "markdown" or bool(_MARKDOWN.search(body[:LOOKED_AT])))


def windows(plain: PlainText) -> Iterator[Sequence[Block]]:
    """Yield the blocks of a plain text by windows (see `blocks.block_windows`)."""
    if plain.structured:
        yield from block_windows(plain.text)
        return
    for found in _PARAGRAPH.finditer(plain.text):
        start, end = found.span()
        start += len(found[0]) - len(found[0].lstrip())
        end -= len(found[0]) - len(found[0].rstrip())
        yield (Block("paragraph", start, end, (start, end)),)
