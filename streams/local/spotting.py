"""Finds arithmetic, places and names in a question by their form. Pure; English and Chinese."""

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from functools import cache

from agents.language.keys import term_key
from agents.language.terms import terms
from agents.models.asking import ASKING
from streams.local.zones import known_places

FUNCTION_WORDS = frozenset(
    """
    a about after all also an and any are as at be been before but by can calculate compute could did do
    does each find for from get give had has have he her his how i if in into is it its just know let
    like many may me much my need now of off on or our out please she should show so some tell than
    thank thanks that the their them then there these they this those to today tomorrow us want was we
    were what when where which who whom whose why will with would you your
    """.split()  # noqa: SIM905 - read as a text, not as a list of a hundred lines
)
"""English words that are neither names nor a reason to call a tool."""

_WORD_OPERATORS = r"\b(?:plus|minus|times|multiplied by|divided by|to the power of)\b|加上?|减去?|乘以?|除以"
_OPERATOR = rf"\s*(?:\*\*|//|%\s*(?:of\b|的)|[-+*/×÷·^−–x%]|{_WORD_OPERATORS})\s*"
_OPERAND = r"[(\s]*[-+]?\d+(?:,\d{3})*(?:\.\d+)?%?[)\s]*"
# Not `\b`: a Chinese character beside the digits also counts as a word's character.
_EXPRESSION = re.compile(
    rf"(?<![A-Za-z0-9_.]){_OPERAND}(?:{_OPERATOR}{_OPERAND})+(?![A-Za-z0-9_])", re.IGNORECASE
)
_SURE_OPERATOR = re.compile(rf"[*×÷^%]|\d\s*\+\s*[\d(]|\s[-/−–]\s|{_WORD_OPERATORS}", re.IGNORECASE)
_PLAIN = [
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"(?<=\d),(?=\d{3}(?!\d))", ""),
        (r"%\s*(?:of\b|的)\s*", "/100 * "),
        (r"\bto the power of\b|\^", "**"),
        (r"\bdivided by\b|除以|÷", "/"),
        (r"\bplus\b|加上?", "+"),
        (r"\bminus\b|减去?|−|–", "-"),
        (r"\btimes\b|\bmultiplied by\b|乘以?|×|·|(?<=[\d\s)])x(?=[\d\s(])", "*"),
        (r"%(?!\s*[\d(])", "/100"),
    )
]

_NAME = re.compile(r"[A-Z][\w&'’-]*(?:\s+(?:[A-Z0-9][\w&'’-]*))*", re.ASCII)
_UNSPACED_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{2,}")
_FILLER = re.compile(
    "等于|另外|同时|以及|还有|然后|告诉|帮我|帮忙|查询|查一下|查查|一下|现在|目前|当前|今天|今日|昨天|明天|计算"
)


@dataclass(frozen=True, slots=True)
class Expression:
    """Arithmetic as it is written; `sure`: it is hardly a date, a range or a number with a dash."""

    text: str
    sure: bool


def find_expressions(question: str) -> list[Expression]:
    """Return everything that could be computed, in order."""
    found = []
    for match in _EXPRESSION.finditer(unicodedata.normalize("NFKC", question)):
        text = match.group().strip()
        if text.count("(") > text.count(")"):
            text = text.removeprefix("(").strip()
        found.append(Expression(text, bool(_SURE_OPERATOR.search(text))))
    return found


def plain_arithmetic(written: str) -> str:
    """Rewrite an expression with numbers, brackets and + - * / ** alone."""
    for pattern, plain in _PLAIN:
        written = pattern.sub(plain, written)
    return " ".join(written.split())


def find_places(question: str) -> list[tuple[str, str]]:
    """Return the places whose time zone is known: each as it is written, with its IANA zone."""
    capitals = any(character.isupper() for character in question[1:])
    return [
        (match.group(), known_places()[" ".join(match.group().casefold().replace("_", " ").split())])
        for match in _places().finditer(question)
        # Some places have the names of words: Easter, Nome. Short names are abbreviations: UK, EST.
        if not (capitals and match.group().islower())
        and (len(match.group()) > 3 or match.group().isupper() or not match.group().isascii())
    ]


@cache
def _places() -> re.Pattern[str]:
    names = sorted(known_places(), key=len, reverse=True)
    ascii_names = "|".join(re.escape(name).replace(r"\ ", "[ _]+") for name in names if name.isascii())
    others = "|".join(re.escape(name) for name in names if not name.isascii())
    return re.compile(rf"(?<![A-Za-z0-9_/])(?:{ascii_names})(?![A-Za-z0-9_/])|{others}", re.IGNORECASE)


def find_names(question: str, known: Set[str]) -> list[str]:
    """Return the names in the question, without words whose keys are `known`.

    Names are capitalised words, else the longest run of characters in a script without spaces.
    """
    named = []
    for match in _NAME.finditer(question):
        words = match.group().split()
        # The first word of a sentence is always capitalised.
        while words and not _tells(words[0], known):
            words.pop(0)
        if words:
            named.append(re.sub(r"['’]s?$", "", " ".join(words)))
    return named or sorted(_unspaced(question, known), key=len, reverse=True)[:1]


def find_subject(question: str, known: Set[str]) -> list[str]:
    """Return the longest run of words that are neither `known` nor function words."""
    runs: list[list[str]] = [[]]
    for word in re.findall(r"[^\W_][\w'-]*", question):
        if _tells(word, known) and not _UNSPACED_RUN.search(word):
            runs[-1].append(word)
        else:
            runs.append([])
    longest = max(runs, key=len)
    return [" ".join(longest)] if longest else []


def _unspaced(question: str, known: Set[str]) -> list[str]:
    found: list[str] = []
    for run in _UNSPACED_RUN.findall(ASKING.sub(" ", _FILLER.sub(" ", question))):
        rest = run
        for start in range(len(run) - 1):
            if run[start : start + 2] in known:
                rest = f"{rest[:start]}  {rest[start + 2 :]}"
        found.extend(part for part in rest.split() if len(part) > 1)
    return found


def _tells(word: str, known: Set[str]) -> bool:
    bare = word.lower().replace("’", "'").partition("'")[0]
    return bare not in FUNCTION_WORDS and not all(term_key(term) in known for term in terms(bare))
