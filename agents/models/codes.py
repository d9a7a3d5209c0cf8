"""The numbers and codes of a question, which tell siblings apart: "Air 2" from "Air 3". Pure."""

import re
from dataclasses import dataclass

from agents.language.number_words import DIGITS
from agents.language.stop_words import stop_words

CODES_MAX = 12
"""Codes of a question that are compared."""

_CODED = re.compile(
    r"(?P<name>(?<![\w.-])[^\W\d_][^\W\d_]{0,29}[ \u00a0])?"
    r"(?<![A-Za-z0-9.,-])(?P<code>(?=[A-Za-z0-9.-]{0,40}\d)[A-Za-z0-9](?:[A-Za-z0-9.,-]{0,40}[A-Za-z0-9])?)"
)
# "Plan S", "Vitamin D": a letter alone is told apart by its case.
_LETTERED = re.compile(r"(?<![\w.-])(?P<name>[^\W\d_]{2,30})[ \u00a0](?P<letter>[A-HJ-Z])(?![\w'’.+#-])")
_PIECES = re.compile(r"[A-Za-z]+|\d+")
_COUNTED = re.compile(r"(?<=\d)(?:s|st|nd|rd|th|er|e|ème|º|ª)\Z")
_WORDS = {
    digits: [word for word, other in DIGITS.items() if other == digits and word < "\u0500"]
    for digits in set(DIGITS.values())
}


@dataclass(frozen=True, slots=True)
class Code:
    """A number or code: `here` finds it in a text, `sibling` any of its kind.

    `is_compound`: it has letters or several numbers, so that one of its kind is seldom there by chance.
    """

    here: re.Pattern[str]
    sibling: re.Pattern[str]
    is_compound: bool


def codes_in(question: str) -> tuple[Code, ...]:
    """Return the codes of a question. A short number belongs to the name before it: "Air 2"."""
    found: dict[str, Code] = {}
    for match in _CODED.finditer(question):
        code = _COUNTED.sub("", match["code"])
        pieces = _PIECES.findall(code)
        name = (match["name"] or "").strip()
        if code.isdigit() and len(code) < 3 and name[:1].isupper():
            pieces = [*re.findall(r"\w+", name), *pieces]
        found.setdefault("-".join(pieces).casefold(), _code(pieces))
        if len(found) == CODES_MAX:
            break
    light = stop_words(question)
    for match in _LETTERED.finditer(question):
        if len(found) < CODES_MAX and match["name"].casefold() not in light:
            found.setdefault(match[0].casefold(), _lettered(match["name"], match["letter"]))
    return tuple(found.values())


def _lettered(name: str, letter: str) -> Code:
    """Return the code of a letter after a name, which is alone in a cell or the name of a column."""
    before = rf"(?<![^\W_])(?i:{re.escape(name)})(?:[^\W\d_]{{0,2}})[\s-]"
    return Code(
        re.compile(rf"{before}{letter}(?!\w)|(?m:(?:^|\|)[ \t]*{letter}[ \t]*(?:\||$))"),
        re.compile(rf"{before}[A-HJ-Z](?!\w)"),
        is_compound=True,
    )


def _code(pieces: list[str]) -> Code:
    joined = r"[\s_./,'’–-]?".join(map(re.escape, pieces))
    if len(pieces) == 1 and (words := _WORDS.get(pieces[0])):
        joined = f"{joined}|{'|'.join(words)}"
    begin, end = r"(?<![^\W_])(?<!\d[.,])", r"(?![^\W_](?<![\u2e80-\u9fff]))(?![.,]\d)"
    if pieces[0].isascii():
        begin, end = r"(?<![A-Za-z0-9])(?<!\d[.,])", r"(?![A-Za-z0-9])(?![.,]\d)"
    stem = [r"\d+" if piece.isdigit() else re.escape(piece) for piece in pieces]
    if len(stem) == 1:
        stem = [rf"\d{{{len(pieces[0])}}}"]
    elif not pieces[-1].isdigit():
        stem[-1] = "[A-Za-z]+"
    kind = r"[\s_./,'’–-]?".join(stem)
    return Code(
        re.compile(f"{begin}(?:{joined}){end}", re.IGNORECASE),
        re.compile(f"{begin}(?:{kind}){end}", re.IGNORECASE),
        len(pieces) > 1,
    )
