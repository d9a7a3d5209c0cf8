"""The reasons for which a reply ended, in the words of many servers. Pure.

Servers write one meaning in many words (`length`, `MAX_TOKENS`, `context_length_exceeded`), so a reason is
read by the words in it. A reason without such a word is the proper end of a reply.
"""

import re
from enum import Enum, auto
from typing import Any


class Ending(Enum):
    """The meaning of a reason."""

    NONE = auto()
    """The reply goes on."""
    PROPER = auto()
    CALLS = auto()
    CUT = auto()
    FILTERED = auto()
    BROKEN = auto()


_NO_REASON = {"", "null", "none"}
_PLAIN = {"stop": Ending.PROPER}
_CALLS = {"tool_calls", "function_call", "tool_use", "tool_call"}
# In this order: `ERROR_TOXIC` is filtered, and `ERROR_LIMIT` is cut.
_WORDS = (
    (
        Ending.FILTERED,
        "filter|safety|recitation|block|spii|prohibit|sensitive|refus|guardrail|moderat|policy|violat|toxic"
        "|risk|^language$",
    ),
    # Gemini's OTHER is an end for a reason that it does not know.
    (Ending.CUT, "length|max|limit|truncat|incomplete|exceed|^other$|^unknown$|unspecified"),
    (
        Ending.BROKEN,
        "error|fail|abort|cancel|exception|timeout|interrupt|disconnect|overload|insufficient|malformed"
        "|unexpected",
    ),
)
_MEANINGS = tuple((ending, re.compile(words)) for ending, words in _WORDS)


def ending_of(written: Any) -> Ending:
    """Return the meaning of a `finish_reason`; anything but a text is none."""
    if not isinstance(written, str):
        return Ending.NONE
    if (plain := _PLAIN.get(written)) is not None:
        return plain
    named = written.strip().lower()
    if named in _NO_REASON:
        return Ending.NONE
    if named in _CALLS:
        return Ending.CALLS
    return next((ending for ending, words in _MEANINGS if words.search(named)), Ending.PROPER)
