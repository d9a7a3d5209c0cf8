"""The questions of the set, one file a kind, and how an answer to one is judged. Pure but for the reading."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

FOLDER = Path(__file__).parent / "questions"

Split = Literal["dev", "holdout"]
"""Rules may be tuned on `dev`; `holdout` shows whether they are general."""

_BLANKS = re.compile(r"\s+")
_GROUPING = re.compile(r"(?<=\d)[,.'’](?=\d{3}(?!\d))")
_SPACED_GROUPING = re.compile(r"(?<=\d) (?=\d{3}(?!\d))")
_NO_CENTS = re.compile(r"(?<=\d)[.,]00(?!\d)")
_MARKS = re.compile(r"\s*\[\d+\]|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_PATTERN = "re:"


class Snippet(msgspec.Struct, frozen=True):
    """The words of a document that hold an answer, as its source has them."""

    document: str
    text: str


class Turn(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: str


class Asking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question with all that its answer is judged by.

    Attributes:
        right: each must be in the answer; `|` separates alternatives, and `re:` begins a pattern.
        wrong: none may be in the answer: the value of a twin, of the next row, of another year.
        evidence: all of it must be found; empty where the documents do not answer the question.
    """

    id: str
    split: Split
    language: str
    text: str
    right: Sequence[str] = ()
    wrong: Sequence[str] = ()
    history: Sequence[Turn] = ()
    evidence: Sequence[Snippet] = ()

    @property
    def kind(self) -> str:
        return self.id.rpartition("-")[0]

    @property
    def answerable(self) -> bool:
        return bool(self.right)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    question: list[Asking]


def read_questions(folder: Path = FOLDER) -> list[Asking]:
    """Return the questions of all kinds, by kind and number."""
    files = sorted(folder.glob("*.toml"))
    return [
        asking for file in files for asking in msgspec.toml.decode(file.read_bytes(), type=_File).question
    ]


def is_right(asking: Asking, text: str) -> bool:
    """Whether an answer says everything that is right and nothing that is wrong."""
    said = _plain(text)
    return all(_says(said, each) for each in asking.right) and not says_wrong(asking, text)


def says_wrong(asking: Asking, text: str) -> bool:
    said = _plain(text)
    return any(_says(said, each) for each in asking.wrong)


def holds(text: str, snippet: str) -> bool:
    """Whether a text holds a snippet, whatever marks a table or a layout puts between its words."""
    return _letters(snippet) in _letters(text)


def _says(said: str, expected: str) -> bool:
    # A space between digits may group one number, or part the cells of a row.
    forms = {said, _SPACED_GROUPING.sub("", said)}
    if expected.startswith(_PATTERN):
        patterns = [re.compile(expected.removeprefix(_PATTERN))]
    else:
        patterns = [_bounded(_plain(each)) for each in expected.split("|")]
    return any(pattern.search(form) for pattern in patterns for form in forms)


def _bounded(text: str) -> re.Pattern[str]:
    """A number in the text must not be a part of a longer one in the answer."""
    before = r"(?<!\d)(?<!\d[.,:])" if text[0].isdigit() else ""
    after = r"(?!\d)(?![.,:]\d)" if text[-1].isdigit() else ""
    return re.compile(before + re.escape(text) + after)


def _plain(text: str) -> str:
    """The text without marks, with one form of blanks, numbers, letters and ranges."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("–", "-").replace("\u00ad", "")
    return _GROUPING.sub("", _NO_CENTS.sub("", _BLANKS.sub(" ", _MARKS.sub("", folded)))).strip()


def _letters(text: str) -> str:
    """Its letters and digits alone."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
