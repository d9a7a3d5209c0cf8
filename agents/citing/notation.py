"""The notations of citation marks in all common styles, and the parts of a text that are no prose. Pure.

Every repetition is bounded or possessive: the time that a text costs grows with its length and no faster.
"""

import re

NUMBER_MAX = 99
"""A number above the sources and above this one, such as a year or a ticket's, is text."""

# Words before a number that say by themselves that the bracket is a citation.
_LABELS = (
    r"sources?|src|documents?|docs?|references?|refs?|citations?|cited?|passages?|chunks?|ids?|quellen?|dokumente?"
    r"|fuentes?|documentos?|referencias?|fontes?|fonti|bronn?en|bron|källa|kilde|kaynak|источник|来源|來源|出处|出處|出典"
    r"|资料|資料|文献|文獻|参考|參考|引用|출처"
)
_LABEL = rf"(?:(?:{_LABELS})(?![^\W\d_])[\s:：#=_.№-]{{0,4}}){{1,2}}"
_QUOTE = "[\"'“”]?"
_ITEM = rf"\^?(?:{_LABEL})?#?{_QUOTE}\d{{1,4}}{_QUOTE}"
_PLACE = r"(?::\d{1,4}(?=†))?(?:†[^\[\]【】［］〔〕\n]{0,120})?"
_SEPARATOR = r"\s{0,4}(?:[,，、;；&+/|]|\b(?:and|und|et|y|e|en|och|og|i)\b|和|と|及)\s{0,4}"
_TO = r"\s{0,2}[-‐‑–—~〜～]\s{0,2}"
_MARK = (
    rf"(?:[\[【［〔]|[(（](?=\s{{0,4}}{_LABEL}{_QUOTE}\d))"
    rf"\s{{0,8}}{_ITEM}{_PLACE}(?:(?:{_SEPARATOR}|{_TO}){_ITEM}{_PLACE}){{0,40}}\^?\s{{0,8}}"
    r"[\]】］〕)）]"
)
BLANKS_MAX = 8
"""Blanks between two marks of one run."""
_BLANKS = rf"[^\S\n]{{0,{BLANKS_MAX}}}"
# As in Markdown, a fence that is not closed ends with the text.
CODE = re.compile(r"```(?s:.*?)(?:```|\Z)|~~~(?s:.*?)(?:~~~|\Z)|``[^\n]+?``|`[^`\n]+`")
"""Code in Markdown, in fences and within lines: nothing in it is a mark."""
MARK = re.compile(_MARK, re.IGNORECASE)
# Adjacent marks are one run, so that a run whose numbers are all dropped leaves no gap. A run begins only at
# the first of several blanks: else a text of blanks would cost quadratic time.
RUN = re.compile(rf"(?P<space>(?<![^\S\n])[^\S\n]*+)(?P<marks>{_MARK}(?:{_BLANKS}{_MARK})*)", re.IGNORECASE)
CODE_OR_RUN = re.compile(rf"(?P<code>{CODE.pattern})|{RUN.pattern}", re.IGNORECASE)
OPENING = re.compile(rf"[\[【［〔]|[(（](?=\s{{0,4}}(?:{_LABELS}))", re.IGNORECASE)
"""The beginning of each mark."""

_ALTERNATIVES = _LABELS.split("|")
LABELS = frozenset(
    word for each in _ALTERNATIVES for word in (each.replace("?", ""), re.sub(r".\?", "", each))
)
"""The labels, each in all its forms."""
JOINERS = frozenset(("and", "und", "et", "y", "e", "en", "och", "og", "i", "和", "と", "及"))
"""The words that join two numbers."""
_PAIRS = {"[": "]", "【": "】", "［": "］", "〔": "〕", "(": ")", "（": "）"}
_FOUND = re.compile(rf"(?P<range>{_TO})?{_QUOTE}(?P<number>\d{{1,4}})", re.IGNORECASE)
_BEFORE_DAGGER = re.compile(r"(\d{1,4})(?::\d{1,4})?†")
_BARE = re.compile(
    r"[\[［]\s*(?:\d{1,4}\s*[,，、;；]?\s*)+[\]］]|[\[［]\s*\d{1,4}\s*[-–—]\s*\d{1,4}\s*[\]］]"
)


def closes(mark: str) -> bool:
    """Whether a match of `MARK` ends with the bracket that belongs to its first."""
    return _PAIRS[mark[0]] == mark[-1]


def is_bare(mark: str) -> bool:
    """Whether a mark is of square brackets and digits alone, as lists, intervals and indices are too."""
    return _BARE.fullmatch(mark) is not None


def numbers_in(mark: str) -> tuple[list[int], bool]:
    """Return the numbers that a mark names, in their order, and whether one of them ends a range.

    A range gives its ends alone, unless it is at most `NUMBER_MAX` long: then all that lie between, too.
    """
    if "†" in mark:
        return [int(number) for number in _BEFORE_DAGGER.findall(mark)], False
    numbers: list[int] = []
    ranged = False
    for found in _FOUND.finditer(mark):
        number = int(found["number"])
        if found["range"] and numbers:
            ranged = True
            if 0 < number - numbers[-1] <= NUMBER_MAX:
                numbers.extend(range(numbers[-1] + 1, number))
        numbers.append(number)
    return list(dict.fromkeys(numbers)), ranged
