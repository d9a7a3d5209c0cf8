"""JSON from a model or a tool: read leniently, with a bound on its nesting and exact whole numbers. Pure."""

import json
import re
from typing import Any

import msgspec
import orjson

from schemas.codec import NESTING_MAX

DEEPEST = NESTING_MAX - 10
"""Levels of lists and objects in a call's arguments or result. The answer around them adds a few more."""
SHALLOW = 2 * DEEPEST
"""JSON of no more characters or bytes cannot nest too deeply: each level takes two."""

_NESTS = (dict, list, tuple)
_LONG = re.compile(rb"\d{19}")
SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(written: bytes) -> Any:
    """Return the value, also where strict readers refuse it.

    That is for a BOM, NaN, bad UTF-8, a raw line end in a string, half of a surrogate pair.

    Halves stay in the strings (see `mended`), because a stream's next chunk may hold the other one.

    Raises:
        ValueError: this is no JSON.
    """
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError as strict:
        try:
            return json.loads(written.decode("utf-8-sig", "replace"), strict=False)
        except (ValueError, RecursionError):
            raise strict from None


def mended(text: str) -> str:
    """Return the text with surrogate pairs joined, and U+FFFD for each half that is alone."""
    if text.isascii() or not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended_values(value: Any) -> Any:
    """Return a value with all its strings mended; it must not nest too deeply."""
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, dict):
        return {mended(key): mended_values(inner) for key, inner in value.items()}
    return [mended_values(inner) for inner in value] if isinstance(value, list) else value


def nests_too_deeply(value: Any) -> bool:
    """Whether a JSON value nests more than `DEEPEST` levels: no reader could decode an answer with it."""
    level = [value] if isinstance(value, _NESTS) else []
    for _ in range(DEEPEST):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, _NESTS)
        ]
    return bool(level)


def unrounded(value: Any, written: bytes) -> Any:
    """Return `value`, which orjson read from `written`, with every whole number exact.

    orjson rounds whole numbers beyond 64 bits to floats: an account or an amount of 20 digits becomes
    another one. Where nothing was rounded, `value` itself comes back.
    """
    if _LONG.search(written):
        try:
            exact = msgspec.json.decode(written)
            if exact != value:
                return exact
        except (ValueError, RecursionError):  # comparing goes a level deeper than reading
            return value
    return value
