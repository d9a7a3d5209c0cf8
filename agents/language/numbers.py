"""Numbers as terms: amounts, decimals, versions and dates, however they are written. Pure.

The form of a number often tells how it is meant: `1,000,000` groups its digits, `3,5` is a decimal, `2.3.1` a
version. Where it does not (`1.250`), the number has two readings.
"""

import re

NUMBER = (
    "[0-9][0-9]*(?:"
    "-[0-9]{1,2}-[0-9]{1,2}(?![0-9-])"
    "|/[0-9]{1,2}/[0-9]{4}(?![0-9/])"
    "|(?:'[0-9]{3}(?![0-9]))+(?:[.,][0-9]+)?"
    "|(?: [0-9]{3}(?![0-9]))+(?:[.,][0-9]+)?(?![.,]?[0-9])"
    "|(?:[.,][0-9]+)+"
    ")?"
)
"""A regular expression for a number in a folded text. It begins with a class, which makes a search fast."""

_PARTS = re.compile("[0-9]+")
_SEPARATORS = re.compile("[^0-9]")
_DOTTED_DATE = re.compile(r"(?:0?[1-9]|[12][0-9]|3[01])\.(?:0?[1-9]|1[0-2])\.[1-9][0-9]{3}")
_AMOUNT = re.compile(
    r"[0-9]{1,3}(?:(?:'[0-9]{3})+(?:[.,][0-9]+)?|(?:\.[0-9]{3})+,[0-9]+|(?:,[0-9]{2,3})*,[0-9]{3}\.[0-9]+)"
)
"""Digits in groups, and decimals after another separator."""


def readings(written: str) -> tuple[list[str], list[str]]:
    """Return the terms of a match of `NUMBER`: those that it is, and those that it may be."""
    if written.isdigit():
        return [written], []
    parts = _PARTS.findall(written)
    separators = set(_SEPARATORS.findall(written))
    if " " in separators:
        # `15 128` may be two numbers.
        joined = [_amount(parts, written)] if len(parts[0]) <= 3 else []
        return written.replace(",", ".").split(), joined
    if separators & {"-", "/"} or _DOTTED_DATE.fullmatch(written):
        return _date(parts, "/" in separators), []
    if _AMOUNT.fullmatch(written):
        return [_amount(parts, written)], []
    if len(separators) == 1:
        return _one_separator(parts, separators.pop())
    return [part.replace(",", ".") for part in re.split("[,']", written)], []


def _one_separator(parts: list[str], separator: str) -> tuple[list[str], list[str]]:
    first, *others = parts
    joined = "".join(parts)
    groups = len(first) <= 3 and first[0] != "0" and all(len(part) == 3 for part in others)
    if len(others) == 1:
        decimal = f"{first}.{others[0]}"
        if groups:
            return [joined], [decimal]
        return [decimal], [first] if others[0] == "00" else []
    if groups:
        return [joined], []
    if separator == ".":
        return [".".join(parts)], []
    indian = len(first) <= 2 and len(others[-1]) == 3 and all(len(part) == 2 for part in others[:-1])
    return ([joined], []) if indian else (parts, [])


def _amount(parts: list[str], written: str) -> str:
    """Return an amount whose last separator begins the decimals if it is a point or a comma."""
    last = max(map(written.rfind, ".,"))
    if last < max(map(written.rfind, "' ")) or last < 0:
        return "".join(parts)
    return f"{''.join(parts[:-1])}.{parts[-1]}"


def _date(parts: list[str], slashed: bool) -> list[str]:
    """Return the day as `2026-12-31` with its parts; if it is not certain which day, the parts alone."""
    if len(parts[-1]) > 4 or (len(parts[0]) != 4 if len(parts[-1]) <= 2 else len(parts[0]) > 2):
        return parts
    first, second, third = map(int, parts)
    if len(parts[0]) == 4:
        days = {(first, second, third)}
    else:
        days = {(third, second, first), (third, first, second)} if slashed else {(third, second, first)}
        days = {day for day in days if day[0] > 31}
    days = {(year, month, day) for year, month, day in days if 1 <= month <= 12 and 1 <= day <= 31}
    plain = [str(first), str(second), str(third)]
    return [*("{:04}-{:02}-{:02}".format(*day) for day in days), *plain] if len(days) == 1 else plain
