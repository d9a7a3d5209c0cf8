"""Headings, links and code of a Markdown file, for the tests of the documents."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

_READER = MarkdownIt("commonmark").enable("table")
_EXEMPT = re.compile(r"<!-- not checked: (\S.+) -->")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: as the fence says; "" where it says nothing.
        exempt: why it is not checked; "": it is.
    """

    path: Path
    line: int
    language: str
    text: str
    exempt: str = ""

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"


@cache
def _tokens(path: Path) -> list[Any]:
    return _READER.parse(path.read_text("utf-8"))


def _inline(path: Path) -> Iterator[Any]:
    for token in _tokens(path):
        yield from token.children or ()


def blocks(path: Path) -> list[Block]:
    """Every block of code, fenced or indented. `<!-- not checked: REASON -->` before one exempts it."""
    found, exempt = [], ""
    for token in _tokens(path):
        if token.type in {"fence", "code_block"}:
            found.append(Block(path, token.map[0] + 1, token.info.strip(), token.content, exempt))
        reason = _EXEMPT.fullmatch(token.content.strip()) if token.type == "html_block" else None
        exempt = reason[1] if reason else ""
    return found


def code_spans(path: Path) -> list[str]:
    """Every piece of code within a text."""
    return [token.content for token in _inline(path) if token.type == "code_inline"]


def links(path: Path) -> list[str]:
    """Where its links and pictures lead, as they are written."""
    kinds = {"link_open": "href", "image": "src"}
    return [str(token.attrs[kinds[token.type]]) for token in _inline(path) if token.type in kinds]


@cache
def anchors(path: Path) -> frozenset[str]:
    """The names by which GitHub lets others link to its headings."""
    seen: Counter[str] = Counter()
    names = set()
    tokens = _tokens(path)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            text = "".join(child.content for child in following.children or ())
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            names.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return frozenset(names)
