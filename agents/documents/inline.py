"""The text of a piece of Markdown, without its inline marks. Pure."""

import re
from functools import cache

from markdown_it import MarkdownIt

LENGTH_MAX = 400
"""Characters from which marks are taken (2 ms at worst); of a longer text all are left."""

_MARKS = re.compile(r"[`*_\[\]<>\\&!]")


def inline_text(markdown: str) -> str:
    """Return a piece of Markdown as a reader sees it: without emphasis and code marks, of a link its text."""
    if len(markdown) > LENGTH_MAX or not _MARKS.search(markdown):
        return markdown
    shown: list[str] = []
    for token in _parser().parseInline(markdown)[0].children or ():
        if token.type in {"softbreak", "hardbreak"}:
            shown.append(" ")
        elif token.type != "html_inline":
            shown.append(token.content)
    return "".join(shown).strip() or markdown


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark")
