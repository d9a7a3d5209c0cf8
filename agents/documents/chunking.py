"""Cuts documents into chunks along their blocks, lazily: a large document is cut piece by piece.

A chunk's text is an exact substring of its document's plain text, so that a quote from a chunk is also in
the document. Prose is cut between sentences, a list between items, a table between rows, code between lines;
only a piece that is too long for that is cut within. A chunk that begins within a table has the table's
header in `lead`. Headings above a chunk are in `headings`; small sections of one parent share a chunk.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from agents.documents.blocks import Block, Row
from agents.documents.inline import inline_text
from agents.documents.pieces import Piece, pieces
from agents.documents.plain import PlainText, windows
from agents.documents.tokens import estimate_tokens

SMALL = 4
"""A chunk of less than this part of the most tokens takes in the section that follows."""

HEADING_MAX = 200
"""Characters of a heading that go with the chunks below it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document.

    Attributes:
        number: counts from 0.
        start: its place in the document's plain text, in code points.
        headings: those above its beginning, the outermost first; they are not in `text`.
        lead: the header of the table within which it begins, as Markdown; not in `text`.
    """

    number: int
    start: int
    text: str
    headings: tuple[str, ...] = ()
    lead: str = ""


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """Tokens of a chunk at most, and those that a chunk of prose repeats of the one before it."""

    max_tokens: int = 512
    overlap_tokens: int = 64


DEFAULT_SIZES = ChunkSizes()


def cut(plain: PlainText, sizes: ChunkSizes = DEFAULT_SIZES) -> Iterator[Chunk | None]:
    """Yield the chunks of a document.

    None comes between them wherever a caller on an event loop should breathe.
    """
    cutter = _Cutter(plain.text, sizes)
    for blocks in windows(plain):
        yield None
        for block in blocks:
            for piece in pieces(plain.text, block, sizes.max_tokens):
                yield from cutter.add(piece, block)
    yield from cutter.finish()


@dataclass(frozen=True, slots=True)
class _Held:
    """A piece in a chunk that is being gathered; `above`: the headings above it, with their levels."""

    piece: Piece
    block: Block
    above: tuple[tuple[int, str], ...]

    @property
    def is_heading(self) -> bool:
        return self.block.kind == "heading"


class _Cutter:
    """Gathers pieces until a chunk is full or its section ends."""

    def __init__(self, text: str, sizes: ChunkSizes) -> None:
        self._text = text
        self._sizes = sizes
        self._held: list[_Held] = []
        self._size = 0.0
        self._number = 0
        self._path: tuple[tuple[int, str], ...] = ()

    def add(self, piece: Piece, block: Block) -> Iterator[Chunk]:
        """Take the next piece; yield the chunk that it does not belong to any more."""
        heading = block.kind == "heading" and piece.start == block.start
        full = self._size + piece.tokens > self._sizes.max_tokens
        if self._held and (full or (heading and self._begins(block))):
            overlap = (
                0.0 if heading else min(self._sizes.overlap_tokens, self._sizes.max_tokens - piece.tokens)
            )
            yield self._flushed(overlap)
        if heading:
            self._path = tuple(each for each in self._path if each[0] < block.level)
        self._held.append(_Held(piece, block, self._path))
        self._size += piece.tokens
        if heading:
            start, end = block.content
            title = inline_text(" ".join(self._text[start : min(end, start + 2 * HEADING_MAX)].split()))
            self._path = (*self._path, (block.level, title[:HEADING_MAX]))

    def finish(self) -> Iterator[Chunk]:
        """Yield what is left."""
        if self._held:
            yield self._chunk(self._held)

    def _begins(self, heading: Block) -> bool:
        """Whether a heading begins a chunk of its own: headings above a chunk must be above all of it."""
        above = self._held[0].above
        if above and heading.level <= above[-1][0]:
            return True
        return not self._held[-1].is_heading and self._size >= self._sizes.max_tokens / SMALL

    def _flushed(self, overlap: float) -> Chunk:
        kept = len(self._held)
        while kept and self._held[kept - 1].is_heading:
            kept -= 1  # a heading goes with what follows it
        kept = kept or len(self._held)
        done, carried = self._held[:kept], self._held[kept:]
        self._held = carried or _repeated(done, overlap)
        self._size = sum(each.piece.tokens for each in self._held)
        return self._chunk(done)

    def _chunk(self, held: list[_Held]) -> Chunk:
        first = held[0]
        start, end = first.piece.start, held[-1].piece.end
        headings = tuple(title for _, title in first.above)
        header = first.block.header
        lead = "" if header is None or start <= header.start else self._lead(header)
        self._number += 1
        return Chunk(self._number - 1, start, self._text[start:end], headings, lead)

    def _lead(self, header: Row) -> str:
        cells = [self._text[slice(*cell)] for cell in header.cells]
        lead = f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"
        return lead if estimate_tokens(lead) <= self._sizes.max_tokens / 2 else ""


def _repeated(done: list[_Held], budget: float) -> list[_Held]:
    """Return the last sentences that fit `budget`, never all: the next chunk would repeat this one."""
    kept = len(done)
    while kept > 1 and done[kept - 1].block.kind in _OVERLAPPING and done[kept - 1].piece.tokens <= budget:
        kept -= 1
        budget -= done[kept].piece.tokens
    return done[kept:]


_OVERLAPPING = frozenset({"paragraph", "quote"})
