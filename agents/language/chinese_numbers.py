"""Numbers in Chinese characters as digits: `十二` is 12, `二〇二四` is 2024, `3.5万` is 35000. Pure.

The texts are in simplified Chinese or Japanese, folded. A single character is a number only where it counts
(`三年`, `第三章`): in `三星` and `一般` it is a part of a word.
"""

import re

_DIGITS = {character: value for value, characters in enumerate(
    ("〇零", "一壹", "二贰两", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
) for character in characters}  # fmt: skip
_TENS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1_000, "仟": 1_000}
_MYRIADS = {"万": 10_000, "萬": 10_000, "亿": 100_000_000, "億": 100_000_000}

_ONES = "一二三四五六七八九两壹贰叁肆伍陆柒捌玖"
_ANY = "".join((*_DIGITS, *_TENS, *_MYRIADS))
_COUNTERS = "年月日天个周时分秒元块章节条款次种台件米岁名位页项级层号楼届倍点度回円人本冊歳階"
_PLAIN = "一二三四五六七八九"
_MIXED = re.compile(
    f"(?P<number>[0-9]{{1,12}}(?:[.,][0-9]{{1,6}}){{0,3}})(?P<size>[百千万亿億萬])(?![0-9{_ONES}])"
)
_START = re.compile(f"[{_ANY}]")
_NUMBER = re.compile(
    f"百分之(?P<percent>[0-9]{{1,12}}(?:[.][0-9]{{1,6}})?|[〇零{_PLAIN}十百]{{1,12}}(?:点[〇零{_PLAIN}]{{1,6}})?)"
    f"|(?P<whole>[〇零{_PLAIN}两十百千]{{1,12}})点(?P<decimals>[〇零{_PLAIN}]{{1,6}})"
    f"|(?P<written>[{_ANY}]{{2,24}})"
    f"|(?<=第)(?P<place>[{_PLAIN}十])|(?!十分)(?P<counted>[{_PLAIN}两十])(?=[{_COUNTERS}])"
)
_POSITIONAL = re.compile("[〇零一二三四五六七八九]{3,12}")
_PART = f"[〇零]?(?:[{_ONES}][十拾百佰千仟]|[十拾](?![百佰千仟]))"
_WITH_UNITS = re.compile(
    # `一百五` may be 150 or 105, so that a digit alone comes after ten or nought only.
    f"(?:(?:(?:{_PART})+[{_ONES}]?|[{_ONES}])[万萬亿億])*(?:{_PART})*(?:(?<=[十拾〇零])[{_ONES}]|[〇零][{_ONES}])?"
)


def with_digits(text: str) -> str:
    """Return the text with the numbers in it as digits; what is not clearly a number stays."""
    read: list[str] = []
    at = 0
    for start in _START.finditer(text):
        found = _NUMBER.match(text, start.start()) if start.start() >= at else None
        if found:
            read += (text[at : found.start()], _digits(found))
            at = found.end()
    read.append(text[at:])
    return _MIXED.sub(_multiplied, "".join(read))


def _digits(found: re.Match[str]) -> str:
    if percent := found["percent"]:
        whole, _, decimals = percent.partition("点")
        return f"{_decimal(whole, decimals) if decimals else _read(whole) or whole}%"
    if whole := found["whole"]:
        return _decimal(whole, found["decimals"])
    if written := found["written"]:
        return _read(written) or written
    return _read(found[0]) or found[0]


def _decimal(whole: str, decimals: str) -> str:
    return f"{_read(whole) or whole}.{''.join(str(_DIGITS[digit]) for digit in decimals)}"


def _multiplied(found: re.Match[str]) -> str:
    """Return `3.5` times ten thousand; a version and what would keep decimals stays."""
    size = (_MYRIADS | _TENS)[found["size"]]
    whole, point, decimals = found["number"].replace(",", "").partition(".")
    zeros = len(str(size)) - 1
    if (point and not decimals.isdigit()) or len(decimals) > zeros:
        return found[0]
    return str(int(whole + decimals.ljust(zeros, "0")))


def _read(written: str) -> str:
    """Return the digits of a number; "" if the characters are none."""
    if written.isdigit() and written.isascii():
        return written
    if _POSITIONAL.fullmatch(written):
        return "".join(str(_DIGITS[digit]) for digit in written)
    if len(written) > 1 and not _WITH_UNITS.fullmatch(written):
        return ""
    if len(written) > 1 and not any(mark in _TENS or mark in _MYRIADS for mark in written):
        return ""
    total = section = digit = 0
    for mark in written:
        if mark in _DIGITS:
            digit = _DIGITS[mark]
        elif mark in _TENS:
            section += (digit or 1) * _TENS[mark]
            digit = 0
        else:
            below = section + digit
            size = _MYRIADS[mark]
            total = total + below * size if size < 100_000_000 else (total + below) * size
            section = digit = 0
    return str(total + section + digit)
