"""JSON with its whole numbers as they were written. Pure.

orjson rounds those beyond 64 bits to floats: an account or an amount of 20 digits becomes another one.
"""

import re
from typing import Any

import msgspec

_LONG = re.compile(rb"\d{19}")


def unrounded(value: Any, written: bytes) -> Any:
    """What orjson has read as `value`, with every whole number exact; `value` itself where all are."""
    if _LONG.search(written):
        try:
            exact = msgspec.json.decode(written)
            if exact != value:
                return exact
        except (ValueError, RecursionError):  # comparing goes a level deeper than reading
            return value
    return value
