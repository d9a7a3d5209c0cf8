"""The statements of an answer: its sentences and list items, each with the passages that it cites. Pure."""

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from agents.citing.marks import Mark
from agents.citing.notation import CODE
from agents.language.sentences import sentence_spans

_LINES = re.compile(r"[^\n]+")


class Statement(Struct, frozen=True):
    """A statement, `text[start:end]` with its marks.

    `said` is it without them, `sentence` the whole sentence without them; `numbers` are the passages cited.
    """

    start: int
    end: int
    said: str
    sentence: str
    numbers: tuple[int, ...]


def statements_of(text: str, marks: Sequence[Mark]) -> list[Statement]:
    """Return the statements in their order. Marks belong to the words before them.

    Marks that begin a line belong to the words after them. Each part of a sentence that ends with a mark and
    has words of its own is a statement. A block of code is one.
    """
    bare = _without(text, marks)
    statements: list[Statement] = []
    rest = list(marks)
    for start, end in _sentences(bare):
        if any(map(str.isalnum, bare[start:end])):
            _add(statements, bare, start, end, rest)
    if rest:
        _cite_last(statements, text, rest)
    return statements


def _without(text: str, marks: Sequence[Mark]) -> str:
    """Return the text with blanks in the place of marks."""
    pieces: list[str] = []
    at = 0
    for mark in marks:
        pieces += (text[at : mark.start], " " * (mark.end - mark.start))
        at = mark.end
    return "".join(pieces) + text[at:] if pieces else text


def _sentences(text: str) -> list[tuple[int, int]]:
    if "\n" not in text:
        return sentence_spans(text)
    found: list[tuple[int, int]] = []
    at = 0
    blocks = (
        [code.span() for code in CODE.finditer(text) if "\n" in code[0]] if "`" in text or "~" in text else []
    )
    for start, end in [*blocks, (len(text), len(text))]:
        for line in _LINES.finditer(text, at, start):
            offset = line.start()
            found += ((offset + left, offset + right) for left, right in sentence_spans(line[0]))
        if end > start:
            found.append((start, end))
        at = end
    return found


def _add(statements: list[Statement], bare: str, start: int, end: int, rest: list[Mark]) -> None:
    """Add a sentence's statements, and take its marks off the rest."""
    numbers: tuple[int, ...] = ()
    while rest and rest[0].start < start:
        mark = rest.pop(0)
        if statements and "\n" not in bare[statements[-1].end : mark.start]:
            _extend(statements, mark)
        else:
            numbers += mark.numbers
            start = mark.start
    first = start
    sentence = " ".join(bare[start:end].split())
    while rest and rest[0].start < end:
        mark = rest.pop(0)
        said = bare[first : mark.start].strip()
        if any(map(str.isalnum, said)):
            statements.append(Statement(first, mark.end, said, sentence, (*numbers, *mark.numbers)))
        elif statements and statements[-1].start >= start:
            _extend(statements, mark)
        else:
            numbers += mark.numbers
            continue
        numbers, first = (), mark.end
    said = bare[first:end].strip()
    if any(map(str.isalnum, said)):
        statements.append(Statement(first, end, said, sentence, numbers))
    elif first > start:
        statements[-1] = replace(statements[-1], end=end)


def _extend(statements: list[Statement], mark: Mark) -> None:
    last = statements[-1]
    statements[-1] = replace(last, end=max(last.end, mark.end), numbers=(*last.numbers, *mark.numbers))


def _cite_last(statements: list[Statement], text: str, rest: Sequence[Mark]) -> None:
    for mark in rest:
        if statements:
            _extend(statements, mark)
        else:
            statements.append(Statement(mark.start, len(text), "", "", mark.numbers))
