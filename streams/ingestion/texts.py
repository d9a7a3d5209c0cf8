"""Reads files of text: plain, Markdown, web pages, tables, JSON lines."""

import contextlib
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from agents.documents.blocks import parse_blocks
from agents.documents.front_matter import split_front_matter
from agents.documents.html import html_to_markdown
from agents.documents.inline import inline_text
from agents.documents.tables import names_columns, write_table
from schemas.codec import DecodeError, decoder
from streams.ingestion.encodings import decoded
from streams.ingestion.parts import Content, Part, UnreadableError, whole

BYTES_MAX = 64 * 1024 * 1024
"""A longer text would not fit a record of `documents` by far, and takes memory to read."""

FIELD_MAX = 1_000_000
"""Characters of a table's cell."""


_SEPARATOR = re.compile(r"sep=([,;|\t])\r?\n", re.IGNORECASE)


def read_text(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a plain text file; its look decides whether it is read as Markdown."""
    yield whole(decoded(contents(path)), path.stem, "")


def read_markdown(path: Path) -> Iterator[Part | UnreadableError]:
    """Read a Markdown file, unchanged; its title is in its front matter, else its first heading."""
    text = decoded(contents(path))
    begins, title = split_front_matter(text)
    if not text[begins:].strip():
        raise UnreadableError("is empty")
    yield whole(text, title or first_heading(text[begins:]) or path.stem)


def read_html(path: Path) -> Iterator[Part | UnreadableError]:
    """Read the content of a web page."""
    page = html_to_markdown(decoded(contents(path), page=True))
    yield whole(page.text, page.title or first_heading(page.text) or path.stem)


def read_table(path: Path) -> Iterator[Part | UnreadableError]:
    """Read comma- or tab-separated values as one table, below the lines over it that have one text alone."""
    text = decoded(contents(path))
    csv.field_size_limit(FIELD_MAX)
    told = _SEPARATOR.match(text)
    text = text[told.end() :] if told else text
    dialect = _dialect(text, told[1] if told else "", path.suffix.lower())
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), dialect)]
    except csv.Error as error:
        raise UnreadableError(f"is not a table of separated values ({error})") from error
    rows = [row for row in rows if any(row)]
    above: list[str] = []
    while len(rows) > 1 and len(list(filter(None, rows[0]))) == 1 < len(list(filter(None, rows[1]))):
        above.append(next(filter(None, rows.pop(0))))
    header, body = (rows[0], rows[1:]) if rows and _is_header(rows) else ([], rows)
    yield whole("\n\n".join([*above, write_table(header, body)]), path.stem)


def _dialect(text: str, separator: str, suffix: str) -> type[csv.Dialect]:
    class Told(csv.excel):
        delimiter = separator or ("\t" if suffix == ".tsv" else ",")

    if not separator:
        with contextlib.suppress(csv.Error):
            return csv.Sniffer().sniff(text[:65_536], delimiters=",;\t|")
    return Told


def read_jsonl(path: Path) -> Iterator[Part | UnreadableError]:
    """Read one document a line: `text`, and optionally the other fields of a document."""
    decode = decoder(Content)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and (b"\0" in line or line.startswith((b"\xff\xfe", b"\xfe\xff"))):
                raise UnreadableError(
                    "is UTF-16: convert it to UTF-8 first, for instance with: iconv -f UTF-16 -t UTF-8"
                )
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


def contents(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        UnreadableError: it is too large.
    """
    if path.stat().st_size > BYTES_MAX:
        raise UnreadableError(f"is larger than {BYTES_MAX // 1_048_576} MB: split it")
    return path.read_bytes()


def first_heading(text: str) -> str:
    """Return the text of the first heading of a Markdown text; "" without any."""
    found = next((block for block in parse_blocks(text) if block.kind == "heading"), None)
    return inline_text(text[slice(*found.content)]) if found else ""


def _is_header(rows: list[list[str]]) -> bool:
    first, others = rows[0], rows[1:]
    return names_columns(first, others) or (
        len(first) > 1
        and all(first)
        and bool(others)
        and not any(cell.replace(".", "").replace(",", "").isdigit() for cell in first)
    )
