"""Finds values for a tool's arguments in the question, by their JSON Schema. Pure.

This module knows no tool by name. It reads the type, enum, pattern, format, examples, name and description
of each parameter, in English or Chinese.
"""

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from agents.language.terms import terms
from streams.local.spotting import (
    find_expressions,
    find_names,
    find_places,
    find_subject,
    plain_arithmetic,
)


class Certainty(IntEnum):
    """The certainty that a value is meant for the parameter."""

    GENERAL = 0
    """The parameter takes any text, such as a search query."""
    FITTING = 1
    """The value has the right shape; other words must show that the tool is meant."""
    EVIDENT = 2
    """The value by itself asks to be computed."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value in the question, with the certainty that it is meant."""

    value: Any
    certainty: Certainty


_ARITHMETIC = re.compile(r"arithmetic|expression|formula|算式|表达式|算术", re.IGNORECASE)
_ZONE = re.compile(r"time.?zone|\biana\b|\btz\b|时区", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(?:city|cities|place|location|country|region|town)\b|城市|地点|地名|国家", re.IGNORECASE
)
_ANY_TEXT = re.compile(
    r"\b(?:query|question|text|message|keywords?|search|prompt|sentence)\b|查询内容|问题|文本|关键词",
    re.IGNORECASE,
)
_FORMATS = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"https?://[^\s，。）)]+",
    "date": r"\d{4}-\d{2}-\d{2}",
    "time": r"\d{1,2}:\d{2}(?::\d{2})?",
    "date-time": r"\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:\d{2})",
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
_EDGE = "(?<![A-Za-z0-9_])"
_QUOTED = re.compile(r"[\"“「『《]([^\"”」』》]+)[\"”」』》]|(?<!\w)'([^']+)'(?!\w)")
_NUMBER_ALONE = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w.]*\d)")


def find_values(name: str, schema: dict[str, Any], question: str, known: Set[str]) -> list[Value]:
    """Return all values in the question that fit a parameter, in order; the first is the best guess.

    `known` are the keys of the words that describe the tool: they name the wish, not its object.
    """
    if isinstance(schema.get("enum"), list):
        return [Value(choice, Certainty.FITTING) for choice in schema["enum"] if _mentions(question, choice)]
    kind = schema.get("type", "string")
    kinds = kind if isinstance(kind, list) else [kind]
    for wanted, find in _FINDERS.items():
        if wanted in kinds:
            return find(name, schema, question, known)
    return []


def _find_text(name: str, schema: dict[str, Any], question: str, known: Set[str]) -> list[Value]:
    about = f"{name.replace('_', ' ')} {schema.get('description', '')} {schema.get('title', '')}"
    shape = _shape(schema)
    if shape is not None:
        return _fitting(re.findall(shape, question))
    if _ARITHMETIC.search(about):
        return _find_arithmetic(schema, question)
    wants_place = bool(_PLACE.search(about))
    if _ZONE.search(about) or wants_place:
        places = [place if wants_place else zone for place, zone in find_places(question)]
        return _fitting(places or (find_names(question, known) if wants_place else []))
    quoted = [first or second for first, second in _QUOTED.findall(question)]
    if quoted:
        return _fitting(quoted)
    if _ANY_TEXT.search(about):
        return [Value(question, Certainty.GENERAL)]
    return _fitting(find_names(question, known) or find_subject(question, known))


def _find_arithmetic(schema: dict[str, Any], question: str) -> list[Value]:
    takes_words = any(re.search(r"[%×÷]", str(example)) for example in schema.get("examples", ()))
    return [
        Value(
            found.text if takes_words else plain_arithmetic(found.text),
            Certainty.EVIDENT if found.sure else Certainty.FITTING,
        )
        for found in find_expressions(question)
    ]


def _find_numbers(_: str, schema: dict[str, Any], question: str, known: Set[str]) -> list[Value]:  # noqa: ARG001 - one of _FINDERS
    whole = schema.get("type") == "integer"
    found = [float(number.replace(",", "")) for number in _NUMBER_ALONE.findall(question)]
    fitting = [int(number) if number.is_integer() else number for number in found]
    return _fitting([number for number in fitting if isinstance(number, int) or not whole])


def _find_lists(name: str, schema: dict[str, Any], question: str, known: Set[str]) -> list[Value]:
    items = schema.get("items")
    found = find_values(name, items if isinstance(items, dict) else {}, question, known)
    return [Value([value.value for value in found], found[0].certainty)] if found else []


_Finder = Callable[[str, dict[str, Any], str, Set[str]], list[Value]]
_FINDERS: dict[str, _Finder] = {
    "string": _find_text,
    "integer": _find_numbers,
    "number": _find_numbers,
    "array": _find_lists,
}


def _fitting(values: Sequence[Any]) -> list[Value]:
    return [Value(value, Certainty.FITTING) for value in dict.fromkeys(values)]


def _mentions(question: str, choice: Any) -> bool:
    return isinstance(choice, str) and set(terms(choice)) <= set(terms(question)) and bool(terms(choice))


def _shape(schema: dict[str, Any]) -> str | None:
    """Return a regular expression for values of a special shape; None: the parameter takes any text."""
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        bare = pattern.removeprefix("^").removesuffix("$")
        try:
            told = re.compile(f"(?:{bare})")
        except re.error:
            return None
        # A pattern that fits any words does not show where the value is.
        if told.groups == 0 and not told.fullmatch("some words") and not told.fullmatch("words"):
            return rf"{_EDGE}(?:{bare})(?![A-Za-z0-9_])"
    examples = [example for example in schema.get("examples", ()) if isinstance(example, str)]
    coded = [example for example in examples if re.fullmatch(r"(?=.*[A-Za-z])(?=.*\d)[\w-]{3,}", example)]
    if not coded or len(coded) < len(examples):
        return None
    shapes = {re.sub(r"[A-Za-z]+", "[A-Za-z]+", re.sub(r"\d+", r"\\d+", example)) for example in coded}
    return rf"{_EDGE}(?:{'|'.join(sorted(shapes))})(?![A-Za-z0-9_])"
