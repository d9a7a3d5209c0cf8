"""The documents that a file holds, as its reader gives them. Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from schemas.document import DocumentFormat


class UnreadableError(Exception):
    """A file, or a part of it, cannot become a document; the message gives the reason and the remedy."""


class Content(Struct, frozen=True):
    """A document as its file has it; a field that the file lacks is empty."""

    text: str
    title: str = ""
    id: str = ""
    source: str = ""
    tenant: str = ""
    format: DocumentFormat = ""
    metadata: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a file; `line` is its line number if the file holds several."""

    content: Content
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A word about a file that was read, such as that it has pages without text."""

    message: str


Reader = Callable[[Path], Iterator[Part | Note | UnreadableError]]
"""Reads a file as far as it can, and yields an error in place of each part that it cannot read."""

_SPACES = re.compile(r"\s+")


def whole(text: str, title: str, form: DocumentFormat = "markdown") -> Part:
    """Return the one document of a file.

    Raises:
        UnreadableError: the text is blank.
    """
    if not text.strip():
        raise UnreadableError("is empty")
    return Part(Content(text, _SPACES.sub(" ", title).strip(), format=form))
