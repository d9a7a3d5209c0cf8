"""The blocks of a Markdown text: headings, paragraphs, list items, tables, code and quotes. Pure.

    for block in parse_blocks(text):
        text[block.start : block.end]      # its whole lines, with marks, without the line end
        text[slice(*block.content)]        # what it says, without `#`, list mark, `>` or fence

Every span counts code points of the text that was given. The blocks come in order, do not overlap, and
leave out nothing but blank lines, rules (`---`), comments and marks that stand alone: no text is lost. A
quote or a list has no block of its own, its parts have: a paragraph in a quote is a `quote`, a list item's
first paragraph an `item`; its further paragraphs, nested items, tables and code have the item's `level`.

No text makes it raise. Time and memory grow with the text's length: it is read in windows of some thousand
characters, of which each takes 1 to 3 ms, so that a caller on an event loop can breathe between the windows
of `block_windows`. A list is continued at any item and a table at any row, the latter with its header; a
paragraph or quote that is longer than a window may come in several blocks, cut at line ends.

`inline.inline_text` takes the inline marks (`**`, links, backticks) from a piece of text.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from agents.documents.table_rule import cell_spans, table_rule, trimmed

Span = tuple[int, int]
Kind = Literal["heading", "paragraph", "item", "table", "code", "quote"]

WINDOW_LINES, WINDOW = 32, 4_096
"""Lines and characters that are parsed at once: up to 3 ms (measured: quotes, deep lists)."""

GROWN, GROWN_QUOTE = 2, 1
"""Times that a window doubles for one block that is longer, and is no list, table or fence; or a quote."""

_LINE_END = re.compile(r"\r\n?|\n")
_MARKS = re.compile(r"[ \t]*(?:>[ \t]*|(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$))*")
_UNFINISHED = frozenset(".,;。，；、")
_WORD = re.compile(r"[^\W_]|[^\x00-\x7f\s]")
_FENCE = re.compile(r"(`{3,}|~{3,})")
_COMMENT = re.compile(r"\s*(?:<!--(?:[^-]|-(?!->))*-->\s*)+")


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row: its line without the marks before it, and its cells, of which some may be empty."""

    start: int
    end: int
    cells: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a text.

    Attributes:
        content: the span of what it says. Lines after the first one may begin with marks of a quote.
        level: of a heading 1 to 6; of all others the depth in lists: 1 for the items of an outer list, 0
            outside of lists.
        header: of a table; it lies before `start` where an earlier block holds the table's beginning.
        rows: of a table, without header and delimiter row.
    """

    kind: Kind
    start: int
    end: int
    content: Span
    level: int = 0
    header: Row | None = None
    rows: tuple[Row, ...] = ()


def parse_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a Markdown text in order."""
    for blocks in block_windows(text):
        yield from blocks


def block_windows(text: str) -> Iterator[Sequence[Block]]:
    """Yield the same blocks by windows, some without any; the next window is parsed when it is asked for."""
    lead: tuple[Span, ...] = ()
    at = grown = 0
    while at < len(text):
        own = _lines(text, at, WINDOW_LINES << grown, WINDOW << grown)
        following = _next_line(text, own[-1][1])
        start, end = own[0]
        if end - start > WINDOW << GROWN:
            # Only a text without lines has such a line: the parser would hold an event loop for long.
            yield [Block("paragraph", start, end, trimmed(text, start, end))]
            at, lead, grown = following, (), 0
            continue
        window = _Window(text, [*lead, *own], len(lead))
        if following >= len(text):
            yield list(window.blocks())
            return
        resume = window.last_top
        if resume > len(lead):
            yield list(window.blocks(before=resume))
            at, lead, grown = window.lines[resume][0], (), 0
        elif grown < window.grows:
            grown += 1
        else:
            yield list(window.blocks())
            at, lead, grown = following, window.continuing, 0


class _Window:
    """Lines of a text, parsed: some `lead` lines that were read before, then new ones."""

    def __init__(self, text: str, lines: Sequence[Span], lead: int) -> None:
        self._text = text
        self.lines = lines
        self._lead = lead
        self._tokens = _parser().parse("\n".join(text[start:end] for start, end in lines))
        self._tops = [token for token in self._tokens if token.level == 0 and token.map]
        self.last_top = self._last_top()

    @property
    def grows(self) -> int:
        """How often a longer window helps where this one holds a part of one block."""
        if self.continuing:
            return 0
        return GROWN_QUOTE if self._tops and self._tops[-1].type == "blockquote_open" else GROWN

    @property
    def continuing(self) -> tuple[Span, ...]:
        """The lines to put before the next window, so that it goes on with this one's last block."""
        last = self._tops[-1] if self._tops else None
        if last is None or last.map is None:
            return ()
        first = last.map[0]
        if last.type == "table":
            return tuple(self.lines[first : first + 2])
        return (self.lines[first],) if last.type == "fence" else ()

    def _last_top(self) -> int:
        """Return the line where the last block begins, or the last item of a list that is alone."""
        tops = [token.map[0] for token in self._tops if token.map]
        if len(tops) > 1 or not tops:
            return tops[-1] if tops else 0
        items = [token.map[0] for token in self._tokens if token.type == "list_item_open" and token.map]
        outer = [token for token in self._tokens if token.type == "list_item_open" and token.level == 1]
        return outer[-1].map[0] if items and outer and outer[-1].map else tops[0]

    def blocks(self, before: int | None = None) -> Iterator[Block]:
        """Yield the blocks above line `before`; what belongs to none is a paragraph."""
        stop = len(self.lines) if before is None else before
        done = self._lead
        depth = quoted = 0
        marked = False
        for token in self._tokens:
            if token.map is not None and token.map[0] >= stop:
                break
            depth += token.nesting if token.type.startswith("list_item") else 0
            quoted += token.nesting if token.type.startswith("blockquote") else 0
            marked = marked or token.type == "list_item_open"
            kind = _KINDS.get(token.type)
            if token.map is None or (kind is None and token.type != "hr"):
                continue
            first, last = token.map[0], min(token.map[1], stop)
            yield from self._rest(done, first)
            done = max(done, last)
            if kind == "paragraph":
                kind = "item" if marked else "quote" if quoted else kind
            marked = False
            if kind is not None:
                first = yield from self._underlined(token, first, last)
                if first < last and (block := self._block(kind, token, first, last, depth)):
                    yield block
        yield from self._rest(done, stop)

    def _rest(self, first: int, last: int) -> Iterator[Block]:
        """Yield a paragraph for each run of lines that the parser made nothing of: it nests only so deep."""
        for line in range(first, last):
            start, end = trimmed(self._text, *self.lines[line])
            if _WORD.search(self._text, start, end):
                yield Block("paragraph", start, end, self._bare(start, end))

    def _underlined(self, token: Token, first: int, last: int) -> Generator[Block, None, int]:
        """Yield a paragraph for underlined lines that are no heading; return where the heading begins.

        By the book all lines of an underlined paragraph are a heading. People draw such a line below a text.
        """
        under = last - 1
        if token.type != "heading_open" or token.markup not in {"-", "="} or under <= first:
            return first
        _, end = trimmed(self._text, *self.lines[under - 1])
        text = token.markup == "-" and self._text[max(end - 1, 0) : end] in _UNFINISHED
        heads = last if text else under - 1
        if heads > first:
            start, _ = trimmed(self._text, *self.lines[first])
            _, end = trimmed(self._text, *self.lines[min(heads, under) - 1])
            yield Block("paragraph", start, end, self._bare(start, end))
        return heads

    def _block(self, kind: Kind, token: Token, first: int, last: int, depth: int) -> Block | None:
        text, lines = self._text, self.lines
        if kind == "table":
            return self._table(first, last, depth)
        first = max(first, self._lead)
        while last > first and not text[slice(*lines[last - 1])].strip():
            last -= 1
        if last <= first:
            return None
        start, end = lines[first][0], lines[last - 1][1]
        if kind == "code":
            content = self._code(token, first, last)
            return Block(kind, start, end, content, depth) if _WORD.search(text, start, end) else None
        if token.type == "html_block" and _COMMENT.fullmatch(token.content):
            return None
        start, end = trimmed(text, start, end)
        content = self._bare(start, end)
        if kind == "heading":
            content = self._heading(token, first, last)
        return Block(kind, start, end, content, int(token.tag[1]) if kind == "heading" else depth)

    def _bare(self, start: int, end: int) -> Span:
        """Return the span without the marks of quotes and lists at its beginning."""
        found = _MARKS.match(self._text, start, end)
        return trimmed(self._text, found.end() if found else start, end)

    def _heading(self, token: Token, first: int, last: int) -> Span:
        text, lines = self._text, self.lines
        if token.markup in {"=", "-"}:
            return self._bare(lines[first][0], lines[max(last - 2, first)][1])
        start, end = self._bare(*lines[first])
        inner = text[start:end].lstrip("#")
        start = end - len(inner)
        closed = inner.rstrip("#").rstrip(" \t")
        bare = inner.rstrip("#")
        return trimmed(text, start, start + (len(closed) if bare != closed or not bare else len(inner)))

    def _code(self, token: Token, first: int, last: int) -> Span:
        text, lines = self._text, self.lines
        begun = token.type == "fence" and token.map is not None and token.map[0] >= self._lead
        ended = (
            token.type == "fence" and last > first + begun and _closes(text[slice(*lines[last - 1])], token)
        )
        inner = lines[first + begun : last - ended]
        return (inner[0][0], inner[-1][1]) if inner else (lines[first][1], lines[first][1])

    def _table(self, first: int, last: int, depth: int) -> Block | None:
        header = self._row(first)
        rows = [self._row(line) for line in range(max(first + 2, self._lead), last)]
        begun = first >= self._lead
        if not rows and not begun:
            return None
        start = header.start if begun else rows[0].start
        end = rows[-1].end if rows else self.lines[min(first + 1, last - 1)][1]
        return Block("table", start, end, (start, end), depth, header, tuple(rows))

    def _row(self, line: int) -> Row:
        start, end = self._bare(*self.lines[line])
        return Row(start, end, cell_spans(self._text, start, end))


_KINDS: dict[str, Kind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "html_block": "paragraph",
    "table": "table",
    "fence": "code",
    "code_block": "code",
}


@cache
def _parser() -> MarkdownIt:
    # Without definitions of references, which the parser would swallow: they hold addresses and titles.
    parser = MarkdownIt("commonmark").disable("reference")
    parser.block.ruler.before("code", "table", table_rule, {"alt": ["paragraph", "reference"]})
    parser.core.ruler.enableOnly(["block"])
    return parser


def _closes(line: str, token: Token) -> bool:
    found = _FENCE.match(_MARKS.sub("", line, count=1).lstrip())
    return bool(found and found[1].startswith(token.markup))


def _lines(text: str, at: int, lines: int, size: int) -> list[Span]:
    """Return the spans of whole lines from `at` on: at least one, then as many as the limits take."""
    found: list[Span] = []
    stop = at + size
    while at < len(text) and len(found) < lines and (not found or at < stop):
        end = _LINE_END.search(text, at)
        found.append((at, end.start() if end else len(text)))
        at = end.end() if end else len(text)
    return found


def _next_line(text: str, end: int) -> int:
    found = _LINE_END.match(text, end)
    return found.end() if found else end
