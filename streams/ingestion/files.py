"""Finds the files that a command line names, and reads their documents."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from schemas.document import Document
from streams.ingestion.formats import READERS
from streams.ingestion.limited import FREE_KINDS, LimitedReader
from streams.ingestion.parts import Note, Part, UnreadableError

DEFAULT_TENANT = "default"

KINDS = ", ".join(sorted(READERS))

_HALVES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """A file, or a line of it, that could not be ingested; the message gives the reason and the remedy.

    `partial`: the file was ingested, and the message tells of a part of it that has no text.
    """

    path: str
    message: str
    partial: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def find_files(paths: Sequence[Path]) -> Iterator[Path | Problem]:
    """The files that the paths name, and all files of a readable kind in the directories that they name.

    A directory is searched at any depth, without hidden files and directories.
    """
    for path in paths:
        if path.is_dir():
            found = list(_walk(path))
            yield from found
            if not found:
                yield Problem(_written(path), f"has no file of a readable kind ({KINDS})")
        elif not path.exists():
            yield Problem(_written(path), "does not exist")
        elif path.suffix.lower() not in READERS:
            yield Problem(_written(path), f"is not of a readable kind ({KINDS})")
        else:
            yield path


def read_documents(
    path: Path, tenant: str | None, limited: LimitedReader | None = None
) -> Iterator[Document | Problem]:
    """The documents in one file.

    A document's id is the one in the file, else the file's path (see `stable_name`), with `#<line>` if the
    file holds several documents. `tenant` replaces the tenant in the file; None keeps that. `limited` reads
    the kinds of files that may take memory and time without bounds.
    """
    name = stable_name(path)
    try:
        kind = path.suffix.lower()
        bounded = limited is not None and kind not in FREE_KINDS
        parts = limited.read(path) if limited and bounded else READERS[kind](path)
        for part in parts:
            if isinstance(part, Note):
                yield Problem(_written(path), part.message, partial=True)
            elif isinstance(part, UnreadableError):
                yield Problem(_written(path), str(part))
            else:
                yield _document(part, name, tenant, path)
    except UnreadableError as error:
        yield Problem(_written(path), str(error))
    except OSError as error:
        yield Problem(_written(path), f"cannot be read: {error.strerror}")


def stable_name(path: Path) -> str:
    """The path relative to the working directory, or absolute for a file outside of it; with slashes.

    The same file gets the same document id, whether it is named itself or by its directory.
    """
    full = Path(os.path.abspath(path))
    here = Path.cwd()
    return _written(full.relative_to(here) if full.is_relative_to(here) else full)


def _written(path: Path) -> str:
    """The path with slashes, and a byte that is not UTF-8 as `\\udc` and its number: names stay distinct."""
    return path.as_posix().encode(errors="backslashreplace").decode()


def _walk(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in READERS:
                yield Path(folder, name)


def _document(part: Part, name: str, tenant: str | None, path: Path) -> Document | Problem:
    content = part.content
    line = "" if part.line is None else f"#{part.line}"
    fields = {
        "id": content.id or f"{name}{line}",
        "tenant": tenant or content.tenant or DEFAULT_TENANT,
        "title": _encodable(content.title),
        "source": content.source or name,
        "text": _encodable(content.text),
        "format": content.format,
        "metadata": content.metadata,
    }
    try:
        # The message's own checks apply: they know how long an id may be.
        return msgspec.convert(fields, Document)
    except msgspec.ValidationError as error:
        return Problem(f"{_written(path)}{line}", f"cannot be a document: {error}")


def _encodable(text: str) -> str:
    # Titles come from file names, and texts from PDFs, which now and then hold half of a surrogate pair.
    return _HALVES.sub("\ufffd", text)
