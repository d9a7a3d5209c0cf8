"""The marks of an answer while it streams: its text goes on as `agents.citing.marks` will have it. Pure.

The end of a text is held back while it may begin a mark, or while what follows decides on one. Two things
cannot be known: that a name is an index, if only a later place says so, and what follows after more than
`HELD_MAX` characters. So what went on may differ from the answer; whoever sends it must compare the two.
"""

import re
from collections.abc import Sequence

from agents.citing.marks import NAME_MAX, Run, indexed_names, read_run
from agents.citing.notation import BLANKS_MAX, JOINERS, LABELS, RUN

HELD_MAX = 32
"""Characters that are held back at most."""
_CONTEXT = 2 * NAME_MAX
"""Characters before a mark that decide on it, and more."""
_WINDOW = 8 * NAME_MAX
_SIGN = re.compile(r"[\[【［〔(（`~]")
_OUTER = frozenset("[(（")
"""The brackets that go with a mark that stands alone in them and is dropped."""
_BEGUN = re.compile(
    r"(?:[\[【［〔]\s{0,8}|[(（]\s{0,4}(?=[^\W\d_]|\Z))"
    r"(?:(?=[\d^#\"'“”]|[^\W\d_])"
    r"(?P<told>(?:[\s\d,，、;；&+/|:：#=_.№^\"'“”‐‑–—~〜～-]|[^\W\d_])*+)"
    r"(?:†[^\[\]【】［］〔〕\n]{0,120}(?:[\s\d,，、;；&+/|#^\"'“”-]*+))?)?\Z"
)
_WORDS = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d")
_LONG_NUMBER = re.compile(r"\d{5}")
_WORKED_ON_BEGUN = re.compile(r"[^\S\n]{0,2}(?:<<?|>>?|[-+*/%&|.])\Z")
_INNER_WORDS = LABELS | JOINERS


class MarkFilter:
    """Takes the pieces of one answer's raw text, and returns of each what is certain of the answer's text.

    Args:
        sources: the passages' texts.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._text = ""
        self._at = 0
        self._code = ""
        self._names: set[str] = set()

    def feed(self, piece: str) -> str:
        """Return the text that this piece makes certain."""
        if self._at == len(self._text) and not self._code and piece[-1:].strip() and not _SIGN.search(piece):
            self._text = (self._text + piece)[-_CONTEXT:]
            self._at = len(self._text)
            return piece
        begin = max(0, len(self._text) - NAME_MAX - 6)
        self._text += piece
        if "]" in piece:
            self._names |= indexed_names(self._text, len(self._sources), begin)
        told: list[str] = []
        while self._at < len(self._text):
            step = self._step(forced=False)
            if step is None:
                if len(self._text) - self._at <= HELD_MAX:
                    break
                step = self._step(forced=True)
                if step is None:
                    step = self._pass(self._at + 1)
            told.append(step)
        if self._at > _WINDOW:
            self._text = self._text[self._at - _CONTEXT :]
            self._at = _CONTEXT
        return "".join(told)

    def _pass(self, end: int) -> str:
        """Pass the text on as it is, up to a place."""
        passed, self._at = self._text[self._at : end], end
        return passed

    def _step(self, *, forced: bool) -> str | None:
        """Return the next text that is certain; None: more must be seen. `forced`: no more will be."""
        text, at = self._text, self._at
        if len(self._code) == 3:
            return self._in_fence()
        end = len(text)
        if self._code:
            closing = text.find(self._code, at)
            newline = text.find("\n", at)
            if closing >= 0 and not 0 <= newline < closing:
                return self._close(closing)
            if newline >= 0:
                self._code = ""  # it was none
        sign = _SIGN.search(text, at)
        found = sign.start() if sign else end
        start = found
        while start > at and text[start - 1] != "\n" and text[start - 1].isspace():
            start -= 1
        if start > at:
            return self._pass(start)
        if sign is None:  # blanks, which go with a mark that is dropped
            return self._pass(end) if forced else None
        if sign[0] in "`~":
            return self._pass(found) if found > at else self._at_code(sign[0], forced=forced)
        return self._at_bracket(found, forced=forced)

    def _at_bracket(self, opening: int, *, forced: bool) -> str | None:
        run, is_open = self._find_run(opening)
        if is_open and not forced:
            return None
        if run is None:
            return self._pass(opening + 1)
        made = read_run(run, self._sources, self._names)
        if made is None or self._text[made.start : made.end] == made.text:
            return self._pass(run.end())
        if self._code:
            # It is no mark if the code is closed, which is likelier than not.
            return self._pass(run.end()) if forced else None
        return self._replace(made)

    def _find_run(self, opening: int) -> tuple[re.Match[str] | None, bool]:
        """Return the run of marks that a bracket begins or holds, and whether what follows may change it."""
        text = self._text
        run = RUN.match(text, self._at)
        if run is None and text[opening] in _OUTER and not _may_begin(text, opening):
            run = RUN.match(text, opening + 1)
            if run is None:
                within = _end_of_blanks(text, opening + 1)
                return None, within == len(text) or _may_begin(text, within)
        if run is None:
            return None, _may_begin(text, opening)
        return run, _is_open(text, run)

    def _replace(self, run: Run) -> str:
        before = self._text[self._at : run.start]
        self._at = run.end
        return before + run.text

    def _at_code(self, sign: str, *, forced: bool) -> str | None:
        text, at = self._text, self._at
        count = 1
        while count < 3 and text.startswith(sign, at + count):
            count += 1
        if count < 3 and at + count == len(text) and not forced:
            return None
        if not self._code and (count == 3 or sign == "`"):
            self._code = sign * count
        return self._pass(at + count)

    def _in_fence(self) -> str | None:
        closing = self._text.find(self._code, self._at)
        if closing >= 0:
            return self._close(closing)
        end = len(self._text)
        while self._text[end - 1] == self._code[0] and end > self._at and len(self._text) - end < 2:
            end -= 1
        return self._pass(end) if end > self._at else None

    def _close(self, closing: int) -> str:
        passed = self._pass(closing + len(self._code))
        self._code = ""
        return passed


def _may_begin(text: str, opening: int) -> bool:
    """Whether the rest of a text may be the beginning of a mark, which goes on after it."""
    begun = _BEGUN.match(text, opening)
    if begun is None:
        return False
    told = begun["told"] or ""
    if _LONG_NUMBER.search(told):
        return False
    number = _NUMBER.search(told)
    for word in _WORDS.finditer(told):
        # Before the first number stand labels alone.
        known = _INNER_WORDS if number and number.start() < word.start() else LABELS
        said = word[0].casefold()
        if word.end() == len(told) and "†" not in begun[0]:
            return any(one.startswith(said) for one in known)
        if said not in known:
            return False
    return True


def _is_open(text: str, run: re.Match[str]) -> bool:
    """Whether what follows a run of marks may still change it."""
    following = _end_of_blanks(text, run.end())
    if following == len(text) or (following - run.end() <= BLANKS_MAX and _may_begin(text, following)):
        return True
    return not run["space"] and run["marks"][0] == "[" and _WORKED_ON_BEGUN.match(text, run.end()) is not None


def _end_of_blanks(text: str, begin: int) -> int:
    while begin < len(text) and text[begin] != "\n" and text[begin].isspace():
        begin += 1
    return begin
