"""Reads the text of a file, for each readable kind."""

import codecs
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from schemas.codec import DecodeError, decoder

if TYPE_CHECKING:
    from bs4.element import PageElement, Tag


class UnreadableError(Exception):
    """A file, or a line of it, cannot become a document; the message gives the reason and the remedy."""


class Content(Struct, frozen=True):
    """A document as its file has it; a field that the file lacks is empty."""

    text: str
    title: str = ""
    id: str = ""
    source: str = ""
    tenant: str = ""
    metadata: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a file; `line` is its line number if the file holds several."""

    content: Content
    line: int | None = None


Reader = Callable[[Path], Iterator[Part | UnreadableError]]
"""Reads a file as far as it can, and yields an error in place of each part that it cannot read."""

_HEADING = re.compile(
    r"^(?:#{1,6}[ \t]+(?P<atx>[^ \t\n].*)|(?P<setext>\S.*)\n(?:=+|-+)[ \t]*$)", re.MULTILINE
)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_SPACES = re.compile(r"\s+")

_BREAK = "\n\n"
_NOT_CONTENT = ("script", "style", "nav", "template", "noscript", "head")
# fmt: off
_BLOCKS = (
    "address", "article", "aside", "blockquote", "br", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li",
    "main", "ol", "p", "pre", "section", "summary", "table", "td", "th", "tr", "ul",
)
# fmt: on


def read_text(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a plain text file."""
    yield _whole(_decoded(path), title=path.stem)


def read_markdown(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a Markdown file, unchanged; its first heading is the title."""
    text = _FRONT_MATTER.sub("", _decoded(path))
    heading = _HEADING.search(_CODE.sub("", text))
    title = (heading["atx"] or heading["setext"]).strip() if heading else path.stem
    # Not in the pattern, which would try every way to split a long run of blanks.
    bare = title.rstrip("#")
    yield _whole(text, title=bare.rstrip() if bare.endswith((" ", "\t")) else title)


def read_html(path: Path) -> Iterator[Part | UnreadableError]:
    """Read the text of a web page, without scripts, styles and navigation; blocks are separated."""
    from bs4 import BeautifulSoup  # noqa: PLC0415 - 0.1 s that other kinds need not pay
    from bs4.exceptions import ParserRejectedMarkup  # noqa: PLC0415 - as above

    try:
        # The bytes, because the page may name its own encoding.
        soup = BeautifulSoup(path.read_bytes(), "html.parser")
    except ParserRejectedMarkup as error:
        raise UnreadableError("is not readable HTML: save the page again from a browser") from error
    title = soup.title.get_text() if soup.title else ""
    text = _SPACES.sub(_one_blank_line, "".join(_page_text(soup))).strip()
    yield _whole(text, title=_SPACES.sub(" ", title).strip() or path.stem)


def _one_blank_line(blanks: re.Match[str]) -> str:
    """One blank line instead of several; other white space stays as it is."""
    return "\n\n" if blanks[0].count("\n") > 1 else blanks[0]


def _page_text(soup: "Tag") -> Iterator[str]:
    # Changing the tree instead would be quadratic in the children of one element: a minute for 600 kB.
    from bs4.element import NavigableString, Tag  # noqa: PLC0415 - loaded by now

    waiting: list[tuple[PageElement | str, bool]] = [(soup, False)]
    while waiting:
        element, preformatted = waiting.pop()
        if isinstance(element, Tag):
            if element.name in _NOT_CONTENT:
                continue
            if element.name in _BLOCKS:
                yield _BREAK
                waiting.append((_BREAK, True))
            inner = preformatted or element.name == "pre"
            waiting.extend((child, inner) for child in reversed(element.contents))
        # Comments and the like have subclasses of these.
        elif type(element) in {NavigableString, str}:
            yield str(element) if preformatted else _SPACES.sub(" ", str(element))


def read_jsonl(path: Path) -> Iterator[Part | UnreadableError]:
    """Read one document a line: `text`, and optionally `id`, `title`, `source`, `tenant`, `metadata`."""
    decode = decoder(Content)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                content = decode(line)
            except DecodeError as error:
                yield UnreadableError(f"line {number} is not a JSON object with a `text`: {error}")
                continue
            if content.text.strip():
                yield Part(content, number)
            else:
                yield UnreadableError(f"line {number} has no text")


def read_pdf(path: Path) -> Iterator[Part | UnreadableError]:
    """Read the text of a PDF's pages."""
    from pypdf import PdfReader  # noqa: PLC0415 - 0.1 s that other kinds need not pay
    from pypdf.errors import PyPdfError  # noqa: PLC0415 - as above

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("is protected by a password: save it without a password")
        pages = [page.extract_text() for page in reader.pages]
        title = (reader.metadata.title if reader.metadata else "") or ""
    except UnreadableError:
        raise
    except PyPdfError as error:
        raise UnreadableError(f"is not a readable PDF ({error}): print it to a new PDF") from error
    except Exception as error:  # on a damaged file the parser may raise any exception
        raise UnreadableError(f"is a damaged PDF ({error!r}): print it to a new PDF") from error
    text = "\n\n".join(page.strip() for page in pages if page.strip())
    if not text:
        raise UnreadableError(
            "has no text, only images: run text recognition (OCR) first, for instance with ocrmypdf"
        )
    yield _whole(text, title=title.strip() or path.stem)


READERS: Mapping[str, Reader] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".pdf": read_pdf,
}
"""The reader for each suffix of a file's name, in lower case."""


def _whole(text: str, title: str) -> Part:
    if not text.strip():
        raise UnreadableError("is empty")
    return Part(Content(text, title))


def _decoded(path: Path) -> str:
    raw = path.read_bytes()
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError("is not UTF-8 text: convert it first (for instance with iconv)") from error
