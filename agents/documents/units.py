"""The units of evidence in a passage: sentences, list items, whole lists, table rows and code. Pure.

    for unit in units_of(passage.text):
        unit.text         # an exact piece of the passage, which a citation quotes
        unit.lent         # the words above that say what it is about

A heading ends with its line and is never evidence: it lends its words to all that follows in its section. So
do a line in bold, a short line alone, a question, the sentence before a list, a table or code, and a table's
header.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise, zip_longest
from typing import Literal

from agents.documents.blocks import Block, Row, parse_blocks
from agents.documents.inline import inline_text
from agents.documents.lines import joined_lines
from agents.language.sentences import sentence_spans

UNIT_MAX = 400
"""Characters of a unit: a longer list item is read by sentences, longer code by lines."""
HEADING_MAX = 60
"""Characters of a line alone that counts as a heading."""
LIST_MAX = 600
"""Characters of a list, with the sentence before it, that is a unit as a whole."""
KEPT_MAX = 16_384
"""Characters of a passage whose units are kept."""
_BELOW_HEADINGS = 7
_QUESTIONS = 9

Kind = Literal["sentence", "item", "list", "row", "code"]

_INLINE_CODE = re.compile(r"``[^\n]+?``|`[^`\n]+`")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_DIVIDED = re.compile(r"(?<=[^\W\d_])[-\u2010]\r?\n[ \t]*(?=[a-zß-ÿ])(?!(?:und|oder|and|or|et|ou)\b)")
"""A word that is divided at the end of a line."""
_HELD = "\ue000"
"""A character for private use stands for code while marks are taken from the text around it."""
_STRUCTURED = re.compile(r"^[ \t]*(?:[#>|~`=_-]|[*+]|\d{1,9}[.)]\s)|^ {4}|^\t|\|", re.MULTILINE)
_PARAGRAPH = re.compile(r"[^\n]+(?:\n(?![^\S\n]*\n)[^\n]+)*")
_BOLD = re.compile(r"(?:\*\*|__)(?P<words>[^*_\n]+)(?:\*\*|__)[:：]?\s*\Z")
_RUN_IN = re.compile(r"(?:\*\*|__)(?P<words>[^*_\n]{1,60})(?:\*\*|__)(?P<after>\s*[:：–—])?\s*")
_LEADS = re.compile(r"[:：]\W*\Z")
_ASKS = re.compile(r"[?？؟]\W*\Z")
_ANSWER_MARK = re.compile(
    r"(?:\*\*|__)?(?:[AQFR]|Answer|Question|Antwort|Frage|Réponse|Respuesta|答|问|問)(?:\*\*|__)?[:：.]\s*"
)
_NUMBERED = re.compile(r"(?:\A|(?<=\n\n))(\d{1,2})\.?[ \t]+[^\W\d_][^\n]{1,58}(?=\n\n)")
_SAYS = re.compile(r"[.!。！;；,，、]\W*\Z")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a passage, `text` from `start`.

    Attributes:
        lent: the words of headings and leads, the outermost first.
        label: of a row the first cell; `header` and `cells` are those of its columns.
        section: units of one section have the same number.
    """

    kind: Kind
    start: int
    text: str
    lent: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    section: int = 0

    @property
    def end(self) -> int:
        """The end of its text in the passage."""
        return self.start + len(self.text)


def units_of(text: str, lead: str = "") -> tuple[Unit, ...]:
    """Return the units of a passage's text in order; a list as a whole follows its items.

    `lead`: the header of the table within which the text begins (`agents.components.Passage.lead`). The rows
    answer with it, and it is no unit itself.
    """
    if not lead:
        return _kept_units(text) if len(text) <= KEPT_MAX else _read_units(text)
    before = len(lead) + 1
    whole = units_of(f"{lead}\n{text}")
    return tuple(replace(unit, start=unit.start - before) for unit in whole if unit.start >= before)


@lru_cache(maxsize=256)
def _kept_units(text: str) -> tuple[Unit, ...]:
    return _read_units(text)


def _read_units(text: str) -> tuple[Unit, ...]:
    reader = _Reader(text)
    for block in parse_blocks(text) if _STRUCTURED.search(text) else _paragraphs(text):
        reader.read(block)
    reader.end_list()
    return tuple(reader.units)


def shown_text(unit: Unit) -> str:
    """Return the unit as an answer shows it: on one line, without inline marks other than those of code."""
    return unit.text if unit.kind == "code" else shown_line(unit.text)


def shown_line(text: str) -> str:
    """Return a piece of Markdown on one line, without inline marks other than those of code."""
    text = _DIVIDED.sub("", _INVISIBLE.sub("", text)) if not text.isascii() or "-\n" in text else text
    code: list[str] = []

    def held(found: re.Match[str]) -> str:
        code.append(found[0])
        return _HELD

    shown = inline_text(_INLINE_CODE.sub(held, text) if "`" in text else text)
    pieces = " ".join(shown.split()).split(_HELD)
    return "".join(map("".join, zip_longest(pieces, code, fillvalue="")))


def _numbered_lines(text: str) -> frozenset[int]:
    """Return where lines alone begin that are numbered in order: `1 Safety`, `2 Technical data`."""
    found = [(int(line[1]), line.start(1)) for line in _NUMBERED.finditer(text)]
    return frozenset(
        start for one, other in pairwise(found) if other[0] == one[0] + 1 for start in (one[1], other[1])
    )


def _paragraphs(text: str) -> Iterator[Block]:
    """Yield the paragraphs of a text without marks: the Markdown parser takes a hundred times as long."""
    for found in _PARAGRAPH.finditer(text):
        yield Block("paragraph", *found.span(), found.span())


@dataclass(slots=True)
class _Reader:
    text: str
    units: list[Unit] = field(default_factory=list)
    _headings: list[tuple[int, str]] = field(default_factory=list)
    _lead: str = ""
    _lead_start: int = 0
    _items: list[Unit] = field(default_factory=list)
    _parents: list[tuple[int, str]] = field(default_factory=list)
    _section: int = 0
    _numbered: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self._numbered = _numbered_lines(self.text)

    def read(self, block: Block) -> None:
        """Add the units of the next block."""
        if block.kind != "item":
            self.end_list()
        match block.kind:
            case "heading":
                self._head(block.level, self.text[slice(*block.content)])
            case "item":
                self._item(block)
            case "table":
                self._table(block)
            case "code":
                self._code(block)
            case _:
                self._paragraph(block)

    def _lent(self, *more: str) -> tuple[str, ...]:
        lead = (self._lead,) if self._lead else ()
        return (*(words for _, words in self._headings), *lead, *(words for words in more if words))

    def _head(self, level: int, words: str) -> None:
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, inline_text(words)))
        self._lead = ""
        self._section += 1

    def _add(self, kind: Kind, start: int, end: int, *lent: str) -> None:
        self.units.append(Unit(kind, start, self.text[start:end], self._lent(*lent), section=self._section))

    def _paragraph(self, block: Block) -> None:
        self._lead = ""
        lines = joined_lines(self.text, *block.content)
        for number, (start, end) in enumerate(lines):
            line = self.text[start:end]
            alone = len(lines) == 1 or (number == 0 and "\n" not in line)
            if bold := _BOLD.match(line.strip()):
                self._head(_BELOW_HEADINGS, bold["words"])
            elif alone and self._is_heading(line, block, start):
                self._head(_BELOW_HEADINGS + 1, line)
            else:
                self._sentences("sentence", *self._without_run_in(start, end))

    def _without_run_in(self, start: int, end: int) -> tuple[int, int, str]:
        """Return the span after a heading in bold that begins a paragraph, and the heading's words."""
        found = _RUN_IN.match(self.text, start, end)
        if found is None or not (found["after"] or found["words"].endswith((".", ":", "。", "："))):
            return start, end, ""
        return found.end(), end, found["words"]

    def _is_heading(self, line: str, block: Block, start: int) -> bool:
        """Whether a short line that ends no sentence stands above others."""
        bare = line.strip()
        if start in self._numbered:
            bare = bare.lstrip("0123456789. \t")
        if (
            len(bare) > HEADING_MAX
            or any(letter.isdecimal() or letter in ":：" for letter in bare)
            or _SAYS.search(bare)
            or _LEADS.search(bare)
        ):
            return False
        return (
            start == block.content[0]
            and start + len(line) < len(self.text.rstrip())
            and not _ASKS.search(bare)
        )

    def _sentences(self, kind: Kind, start: int, end: int, run_in: str = "") -> None:
        """Add sentences. A question alone is a heading; one before others lends them its words."""
        flat = self.text[start:end].replace("\n", " ")
        mark = _ANSWER_MARK.match(flat)
        skipped = mark.end() if mark else 0
        spans = [
            (start + skipped + left, start + skipped + right)
            for left, right in sentence_spans(flat[skipped:])
        ]
        asked = ""
        for number, (left, right) in enumerate(spans):
            sentence = self.text[left:right]
            last = number == len(spans) - 1
            if _ASKS.search(sentence):
                if last and number == 0 and kind == "sentence":
                    self._head(_QUESTIONS, sentence)
                asked = sentence
                continue
            if last and _LEADS.search(sentence):
                self._lead, self._lead_start = sentence, left
                continue
            self._add(kind, left, right, run_in, asked)

    def _item(self, block: Block) -> None:
        start, end = block.content
        if not self._items:
            self._parents = []
        while self._parents and self._parents[-1][0] >= block.level:
            self._parents.pop()
        above = [words for _, words in self._parents]
        before = len(self.units)
        if end - start <= UNIT_MAX:
            self._add("item", start, end, *above)
        else:
            self._sentences("item", start, end)
        self._items += self.units[before:]
        self._parents.append((block.level, self.text[start : min(end, start + UNIT_MAX)]))

    def end_list(self) -> None:
        """Add the list that ends here as a whole, from the sentence before it."""
        items, self._items = self._items, []
        if not items:
            return
        start = self._lead_start if self._lead else items[0].start
        end = items[-1].end
        if len(items) > 1 and end - start <= LIST_MAX:
            lent = tuple(words for _, words in self._headings)
            cells = tuple(self.text[item.start : item.end] for item in items)
            header = (self._lead,) if self._lead else ()
            self.units.append(Unit("list", start, self.text[start:end], lent, header, cells, self._section))
        self._lead = ""

    def _table(self, block: Block) -> None:
        header = self._cells(block.header) if block.header else ()
        for row in block.rows:
            cells = self._cells(row)
            if any(cells):
                lent = self._lent(*header)
                text = self.text[row.start : row.end]
                self.units.append(Unit("row", row.start, text, lent, header, cells, self._section))
        self._lead = ""

    def _cells(self, row: Row) -> tuple[str, ...]:
        return tuple(inline_text(self.text[start:end]).strip() for start, end in row.cells)

    def _code(self, block: Block) -> None:
        start, end = block.content
        before = self.units[-1] if self.units and self.units[-1].section == self._section else None
        near = before.text if before and before.kind == "sentence" and not self._lead else ""
        if end - start <= UNIT_MAX:
            self._add("code", start, end, near)
        else:
            for line in re.finditer(r"[^\n]*\S", self.text[start:end]):
                self._add("code", start + line.start(), start + line.end(), near)
        self._lead = ""
