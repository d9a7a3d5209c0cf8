"""How deeply what a model or a tool wrote is nested: an answer that holds it must be readable. Pure."""

from typing import Any

from schemas.codec import NESTING_MAX

DEEPEST = NESTING_MAX - 10
"""Levels of lists and objects in a call's arguments or result; the answer around them has some of its own."""

_NESTS = (dict, list, tuple)


def nests_too_deeply(value: Any) -> bool:
    """Whether a value as JSON has it nests more than `DEEPEST` levels."""
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
