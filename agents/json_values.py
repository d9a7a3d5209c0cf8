"""JSON from a model or a tool: a bound on its nesting, and exact whole numbers. Pure."""

import re
from typing import Any

import msgspec

from schemas.codec import NESTING_MAX

DEEPEST = NESTING_MAX - 10
"""Levels of lists and objects in a call's arguments or result. The answer around them adds a few more."""

_NESTS = (dict, list, tuple)
_LONG = re.compile(rb"\d{19}")


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
