"""The marks of an answer: which brackets cite a passage, which are dropped, and which are text. Pure.

A bracket may cite a passage, or be an interval, an index, a year, a link, or a reference mark of the source's
own text. A bracket that may be text stays as it is, and cites nothing.
"""

import re
from collections.abc import Collection, Sequence

from msgspec import Struct

from agents.citing.notation import CODE_OR_RUN, MARK, NUMBER_MAX, OPENING, RUN, closes, is_bare, numbers_in

LOOK_BACK = 12
"""Characters before a mark by which it is recognised in a source's own text."""
WORD_MAX = 24
"""Characters before a mark that may hold a word that says what it is."""
_NAMES = (
    "arr array arrays args argv buf buffer byte bytes cell cells col column columns data dict element "
    "elements elem entry item items index key keys line lines list lists map matrix mem memory node nodes "
    "obj output pixel point points ptr queue record records reg result results row rows stack str string "
    "strings table tuple val value values var vec vector word words"
)
_IN_PROGRAMS = frozenset(_NAMES.split())
"""Names that stand before an index."""
_LEADS = (
    "array arrays between bounds domain interval intervals list matrix page pages range ranges scale set "
    "tuple vector bereich intervall intervalls liste menge seite seiten intervalle plage ensemble "
    "intervalo rango intervallo from in is are be = == := ∈ ist sind est sont es son è"
)
_BEFORE_NUMBERS = frozenset(_LEADS.split())
_UNSPACED_LEADS = re.compile("(?:区间|區間|范围|範圍|範囲|区間|数组|數組|列表|配列|集合|是|为|為)\\Z")
NAME_MAX = 64
_WORD = re.compile(r"[^\W\d]\w*\Z|[=∈:]+\Z")
_NAME = re.compile(r"(?<![^\W_])[$A-Za-z_][\w$]*\Z", re.ASCII)
_INDEXED = re.compile(r"(?<![\w$])([$A-Za-z_][\w$]{0,63})\[(\d{1,4})\]", re.ASCII)
_WORKED_ON = re.compile(r"[^\S\n]{0,2}(?:(?:[-+*/%&|]|<<|>>)?=|\+\+|--|[<>*/%]\s|\.[a-z_]|\()")
_CLAUSE_ENDS = re.compile(r"[^\S\n]{0,4}(?:[.,;:!?)\]。，；：！？、）」』”\"*_]|\Z|\n)")
_LINE_START = re.compile(r"(?:\A|\n)[^\S\n>*+-]{0,8}\Z")


class Mark(Struct, frozen=True):
    """A mark in a text, `text[start:end]`, and the numbers of the passages that it cites, from 1."""

    start: int
    end: int
    numbers: tuple[int, ...]


def read_marks(text: str, sources: Sequence[str]) -> tuple[str, list[Mark]]:
    """Return the text with each mark as `[n]`, or `[n][m]`, and the marks; `sources` are the passages' texts.

    Numbers of no source are dropped, with the blanks before them. All other text stays as it is.
    """
    if OPENING.search(text) is None:
        return text, []
    indexed = indexed_names(text, len(sources))
    pieces: list[str] = []
    marks: list[Mark] = []
    kept = length = 0
    for found in (CODE_OR_RUN if "`" in text or "~~~" in text else RUN).finditer(text):
        run = None if found["marks"] is None else read_run(found, sources, indexed)
        if run is None:
            continue
        length += run.start - kept
        marks += (Mark(length + mark.start, length + mark.end, mark.numbers) for mark in run.marks)
        length += len(run.text)
        pieces += (text[kept : run.start], run.text)
        kept = run.end
    return ("".join(pieces) + text[kept:] if pieces else text), marks


def drop_references(text: str) -> str:
    """Return a source's text as an answer shows it: without reference marks such as `[3]`."""
    if OPENING.search(text) is None:
        return text
    indexed = indexed_names(text, 0)

    def dropped(found: re.Match[str]) -> str:
        if found["marks"] is None or _stays(found) or _indices(found, [found], indexed):
            return found[0]
        return "" if _is_reference(found, found["marks"]) else found[0]

    return CODE_OR_RUN.sub(dropped, text)


def says_nothing(text: str) -> bool:
    """Whether the text is empty or holds citations alone."""
    bare = text.strip()
    return not bare or (OPENING.match(bare) is not None and not RUN.sub("", bare).strip())


class Run:
    """The text that replaces a run of marks, `text[start:end]`, as it grows."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.text = ""
        self.marks: list[Mark] = []

    def keep(self, verbatim: str) -> None:
        """Add text as it stands."""
        self.text += verbatim

    def cite(self, space: str, numbers: Sequence[int]) -> None:
        """Add a mark; one that follows another at once is joined to it."""
        start = len(self.text) + len(space)
        before: tuple[int, ...] = ()
        if self.marks and self.marks[-1].end == len(self.text):
            mark = self.marks.pop()
            start, before, space = mark.start, mark.numbers, ""
        added = [number for number in numbers if number not in before]
        self.text += space + "".join(f"[{number}]" for number in added)
        self.marks.append(Mark(start, len(self.text), (*before, *added)))


def read_run(found: re.Match[str], sources: Sequence[str], indexed: Collection[str]) -> Run | None:
    """Return the text that replaces a match of `RUN`; None: it stays. `indexed`: see `indexed_names`."""
    if _stays(found):
        return None
    text = found.string
    marks = list(MARK.finditer(text, found.start("marks"), found.end()))
    indices = _indices(found, marks, indexed)
    own, shown = (0, False) if indices else _of_sources(found, marks, sources)
    run = Run(*found.span())
    end = found.start()
    for position, mark in enumerate(marks):
        space = text[end : mark.start()]
        end = mark.end()
        cited = None if position < indices else _cited(mark, len(sources), last=end == found.end())
        if position < own and not shown:
            continue
        if position < own or cited is None:
            run.keep(space + mark[0])
        elif cited:
            run.cite(space, cited)
    if not run.text:
        widened = _widened(text, run.start, run.end)
        if widened is None:
            return None
        run.start, run.end = widened
    return run


def _widened(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return the span that goes with a dropped run, so that it leaves no gap; None if it must stay."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if (before, after) in {("[", "]"), ("(", ")"), ("（", "）")}:
        return start - 1 - (text[start - 2 : start - 1] == " "), end + 1
    if before in {"[", "【"} or (before.isdigit() and after.isdigit()):
        # What stands around it would close up, and look like another mark.
        return None
    # At the start of a line the blank after it goes, elsewhere the one before it.
    return start, end + (after == " " and _LINE_START.search(text, max(0, start - 9), start) is not None)


def _cited(mark: re.Match[str], given: int, *, last: bool) -> list[int] | None:
    """Return the passages that a mark cites; none: it is dropped; None: it is text."""
    numbers, ranged = numbers_in(mark[0])
    valid = [number for number in numbers if 1 <= number <= given]
    if not is_bare(mark[0]):
        return valid
    several = len(numbers) > 1
    if several and _follows_numbers_word(mark.string, mark.start()):
        return None
    if len(valid) == len(numbers):
        return valid
    if ranged or max(numbers) > max(NUMBER_MAX, given) or (several and (0 in numbers or not valid)):
        return None
    if several and last and _CLAUSE_ENDS.match(mark.string, mark.end()) is None:
        return None
    return valid


def _stays(found: re.Match[str]) -> bool:
    """Whether a run is a link, a definition or escaped, or its brackets do not match."""
    text, start, end = found.string, found.start("marks"), found.end()
    if text[start - 1 : start] == "\\" or (text[end - 1] == "]" and text[end : end + 1] == "("):
        return True
    if text[end : end + 1] == ":" and _LINE_START.search(text, max(0, start - 9), start):
        return True
    return not all(map(closes, MARK.findall(found["marks"])))


def _indices(found: re.Match[str], marks: Sequence[re.Match[str]], indexed: Collection[str]) -> int:
    """Return how many of a run's first brackets are attached to a name as indices are."""
    if found["space"] or found["marks"][0] != "[":
        return 0
    text, start = found.string, found.start()
    attached = 1
    while attached < len(marks) and marks[attached].start() == marks[attached - 1].end():
        attached += 1
    worked_on = _WORKED_ON.match(text, marks[attached - 1].end()) is not None
    named = _NAME.search(text, max(0, start - NAME_MAX), start)
    if named is None:
        return attached if worked_on and text[start - 1 : start] in {"]", ")"} else 0
    name = named[0]
    if worked_on or name in indexed or len(name) == 1 or "_" in name or "$" in name:
        return attached
    return attached if name.casefold() in _IN_PROGRAMS else 0


def indexed_names(text: str, given: int, begin: int = 0) -> set[str]:
    """Return the names to which a number of no source is attached: all their numbers are indices."""
    names = set()
    for found in _INDEXED.finditer(text, begin):
        if not 1 <= int(found[2]) <= given:
            names.add(found[1])
    return names


def _follows_numbers_word(text: str, at: int) -> bool:
    """Whether the word before a place says that numbers follow, as in "the interval [1, 2]"."""
    before = text[max(0, at - WORD_MAX) : at].rstrip()
    word = _WORD.search(before)
    if word is not None and word[0].casefold() in _BEFORE_NUMBERS:
        return True
    return _UNSPACED_LEADS.search(before) is not None


def _of_sources(
    found: re.Match[str], marks: Sequence[re.Match[str]], sources: Sequence[str]
) -> tuple[int, bool]:
    """Return how many of a run's first marks a source has at the same place, and whether they are text.

    They are the source's; but a last one that names the very source that has it is the answer's own.
    """
    text, start = found.string, found.start()
    line = text.rfind("\n", max(0, start - LOOK_BACK), start) + 1
    before = text[max(line, start - LOOK_BACK) : start]
    if not any(map(str.isalnum, before)):
        return 0, False
    most, holder = 0, 0
    for number, source in enumerate(sources, 1):
        at = source.find(before + text[start : marks[0].end()]) + len(before)
        if at < len(before):
            continue
        count = 1
        while count < len(marks) and source.startswith(text[start : marks[count].end()], at):
            count += 1
        if count > most:
            most, holder = count, number
    if not most or not _is_reference(found, marks[0][0]):
        return most, True
    named = most == len(marks) and holder in numbers_in(marks[-1][0])[0]
    return most - named, False


def _is_reference(found: re.Match[str], first: str) -> bool:
    """Whether a source's bracket is a reference mark: attached, or a number alone at the end of a clause."""
    if not found["space"]:
        return True
    numbers, _ = numbers_in(first)
    return len(numbers) == 1 and _CLAUSE_ENDS.match(found.string, found.end()) is not None
