"""Reads files of text: plain, Markdown, web pages, tables, JSON lines."""

import csv
import io
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
    """Read comma- or tab-separated values as one table."""
    text = decoded(contents(path))
    csv.field_size_limit(FIELD_MAX)
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:65_536], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), dialect)]
    except csv.Error as error:
        raise UnreadableError(f"is not a table of separated values ({error})") from error
    rows = [row for row in rows if any(row)]
    header, body = (rows[0], rows[1:]) if rows and _is_header(rows) else ([], rows)
    yield whole(write_table(header, body), path.stem)


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
