"""How deeply what a model or a tool wrote is nested: an answer that holds it must be readable. Pure."""

from typing import Any

from schemas.codec import NESTING_MAX

DEEPEST = NESTING_MAX - 10
"""Levels of lists and objects in a call's arguments or result; the answer around them has some of its own."""


def nests_too_deeply(value: Any) -> bool:
    """Whether a value as JSON has it nests more than `DEEPEST` levels."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return False
    return True


def _members(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [member for member in inner if isinstance(member, dict | list | tuple)]
