"""Words on a page, with their places, become Markdown in reading order: columns, tables, paragraphs. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agents.documents.tables import GridRow, table_blocks
from streams.ingestion.pdf_cells import cell_blocks, is_prose, list_items
from streams.ingestion.pdf_words import EAST_ASIAN, Line, Word, closed_up

_BULLET = re.compile(r"[•‣◦▪●○■□∙·–-]\s+(?=\S)")
_NUMBERED = re.compile(r"\d{1,3}[.)]\s+\S")
_HYPHENATED = re.compile(r"[^\W\d_]{2,}[-\u00ad\u2010]$")
_KEEPS_HYPHEN = re.compile(r"(?:und|oder|bzw|sowie|and|or|et|ou|y|o|en|of)\b")
_ENDED = re.compile(r"[.!?:;。！？：；…)\]”\"]\s*$")

GUTTER = 1.1
"""Widths of a character's height between words that are in two columns or cells, at least."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table whose lines are drawn: its place and its rows."""

    top: float
    rows: Sequence[GridRow]


def page_blocks(words: Sequence[Word], grids: Sequence[Grid] = ()) -> list[str]:
    """Return the Markdown blocks of a page in reading order."""
    sizes = Counter(round(word.size, 1) for word in words for _ in word.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    blocks: list[str] = []
    left = sorted(words, key=lambda word: word.top)
    for grid in sorted(grids, key=lambda each: each.top):
        above = [word for word in left if word.top < grid.top]
        left = left[len(above) :]
        blocks += [block for region in _regions(_rows(above)) for block in _region(region, body)]
        blocks += table_blocks(grid.rows)
    blocks += [block for region in _regions(_rows(left)) for block in _region(region, body)]
    return [block for block in blocks if block]


def joined(left: str, right: str) -> str:
    """Return two lines of a paragraph as one; a word that was divided at the line's end is whole again."""
    if _HYPHENATED.search(left) and right[:1].islower() and not _KEEPS_HYPHEN.match(right):
        return left[:-1] + right
    if left and right and EAST_ASIAN.match(left[-1]) and EAST_ASIAN.match(right[0]):
        return left + right
    return f"{left} {right}".strip()


def goes_on(before: str, after: str) -> bool:
    """Whether a page's last block goes on with the next page's first one."""
    plain = not before.startswith(("|", "#", "- ")) and not after.startswith(("|", "#", "- "))
    return plain and not _ENDED.search(before) and after[:1].islower()


def _rows(words: Sequence[Word]) -> list[list[Line]]:
    """Group words into rows, and each row into lines at its wide gaps."""
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda each: ((each.top + each.bottom) / 2, each.left)):
        middle = (word.top + word.bottom) / 2
        last = rows[-1] if rows else None
        if last and last[0].top <= middle <= last[0].bottom and abs(word.bottom - last[0].bottom) < word.size:
            last.append(word)
        else:
            rows.append([word])
    return [_lines(sorted(row, key=lambda each: each.left)) for row in rows]


def _lines(row: Sequence[Word]) -> list[Line]:
    lines: list[list[Word]] = []
    for word in row:
        if lines and word.left - lines[-1][-1].right < GUTTER * max(word.size, 4.0):
            lines[-1].append(word)
        else:
            lines.append([word])
    return [Line(closed_up(line)) for line in lines]


def _regions(rows: Sequence[list[Line]]) -> Iterator[list[list[Line]]]:
    """Divide rows where a gutter begins or ends: rows of a region share the gutters between their lines."""
    region: list[list[Line]] = []
    gutters: list[tuple[float, float]] = []
    for row in rows:
        own = [(before.right, after.left) for before, after in pairwise(row)]
        if not region:
            region, gutters = [row], own
            continue
        kept = _shared(gutters, row)
        alone = not gutters and not own
        far = row[0].top - region[-1][0].bottom > 3 * max(row[0].size, 1.0)
        if alone or (
            gutters and len(kept) == len(gutters) and (not own or len(own) <= len(gutters)) and not far
        ):
            region.append(row)
            gutters = kept
        else:
            yield region
            region, gutters = [row], own
    if region:
        yield region


def _shared(gutters: Sequence[tuple[float, float]], row: Sequence[Line]) -> list[tuple[float, float]]:
    """Return what is left of each gutter beside the lines of one more row."""
    kept = []
    for low, high in gutters:
        for line in row:
            if line.left < low and line.right < high:
                low = max(low, line.right)  # noqa: PLW2901 - what is left of it
            elif line.right > high and line.left > low:
                high = min(high, line.left)  # noqa: PLW2901 - as above
            else:
                low = high  # noqa: PLW2901 - as above
        if high - low > 2:
            kept.append((low, high))
    return kept


def _region(region: Sequence[Sequence[Line]], body: float) -> Iterator[str]:
    columns = max(len(row) for row in region)
    wide = [row for row in region if len(row) == columns]
    if columns == 1:
        yield from _paragraphs([line for row in region for line in row], body)
        return
    edges = [
        (max(row[at].right for row in wide) + min(row[at + 1].left for row in wide)) / 2
        for at in range(columns - 1)
    ]
    cells = [_divided(row, edges) for row in region]
    if items := list_items(cells):
        yield items
    elif len(wide) >= 2 and is_prose(cells):
        for at in range(columns):
            yield from _paragraphs([line for row in cells for line in row[at]], body)
    elif len(region) >= 2:
        yield from cell_blocks(cells)
    else:
        yield "   ".join(line.text for line in region[0])


def _divided(row: Sequence[Line], edges: Sequence[float]) -> list[list[Line]]:
    cells: list[list[Line]] = [[] for _ in range(len(edges) + 1)]
    for line in row:
        cells[sum(1 for edge in edges if (line.left + line.right) / 2 > edge)].append(line)
    return cells


def _paragraphs(lines: Sequence[Line], body: float) -> Iterator[str]:
    text = ""
    before: Line | None = None
    for line in lines:
        written = line.text.strip()
        head = _heading(line, body)
        listed = _BULLET.match(written) or _NUMBERED.match(written)
        gap = before is not None and line.top - before.bottom > 0.7 * max(line.size, before.size)
        changed = before is not None and abs(before.size - line.size) > 0.12 * body
        begins = before is None or gap or changed or head or listed or _heading(before, body)
        if begins:
            if text:
                yield text
            text = f"{head}{_BULLET.sub('- ', written, count=1) if not head else written}"
        else:
            text = joined(text, written)
        before = line
    if text:
        yield text


def _heading(line: Line, body: float) -> str:
    """Return the mark of the heading that a line is by its letters; "" if it is none."""
    if len(line.text) > 120 or not any(mark.isalpha() for mark in line.text):
        return ""
    ratio = line.size / body if body else 1.0
    if ratio >= 1.15:
        return "# " if ratio >= 1.6 else "## " if ratio >= 1.3 else "### "
    return "### " if line.bold and len(line.text) <= 80 and not _ENDED.search(line.text) else ""
