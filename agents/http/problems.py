"""The error that a server tells in a body: its message and its code, in the shapes that servers use. Pure.

Only messages are repeated. A validation error often holds the request too (`input`), which must not get into
an answer or a log.
"""

import html
import re
from typing import Any

from agents.errors import DependencyError, ThrottledError, TransientError, error_of_status
from agents.json_values import mended, read_json

TOLD_MAX = 200
"""Characters of a server's own error message that an error repeats."""

_MESSAGES = (
    *("error", "message", "detail", "errors", "errormessage", "errordescription", "errormsg", "msg", "title"),
    *("exception", "failure", "fault", "response", "reason"),
)
"""The fields that hold a message, or an object or a list with one in it; the first that holds one counts.

Without their `_`, and in lower case: `errorMessage` is `error_message`.
"""
_ONLY_IN_ERRORS = {"response", "reason"}
"""Fields that hold a message in an error, and something else elsewhere."""
_NAMED = re.compile(r"exception$|error$")
"""Other fields that do, as in Bedrock's `{"internalServerException": {…}}`."""
_CODES = ("code", "status", "status_code", "http_status", "error_code")
_DEEPEST = 6
_SEVERAL = 3
_BUSY = re.compile(
    r"rate.?limit|too.?many.?requests|overloaded|resource.?exhausted|unavailable|throttl", re.IGNORECASE
)
_TITLE = re.compile(r"<(title|h1)\b[^<>]*>([^<]{1,400})", re.IGNORECASE)
_NO_WORDS = re.compile("[<{\0\ufffd]")
_BLANKS = re.compile(r"\s+")


def told_in(content: Any, deepest: int = _DEEPEST) -> str:
    """Return the message in a decoded body, on one line; "" if it holds none."""
    if isinstance(content, str):
        return _BLANKS.sub(" ", mended(content)).strip()
    if deepest and isinstance(content, dict):
        for value in _places(content).values():
            if told := told_in(value, deepest - 1):
                place = content.get("loc")
                if isinstance(place, list):
                    told = f"{'.'.join(str(part) for part in place)}: {told}"
                return told
    if deepest and isinstance(content, list):
        return "; ".join(filter(None, (told_in(part, deepest - 1) for part in content[:_SEVERAL])))
    return ""


def _places(content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that may hold the message, the likeliest first."""
    plain = {str(key).replace("_", "").lower(): value for key, value in content.items()}
    named = [key for key in plain if key not in _MESSAGES and _NAMED.search(key)]
    return {key: plain[key] for key in (*_MESSAGES, *named) if key in plain}


def told_by(body: bytes) -> str:
    """Return the message in a body, shortened; of a page, its title; of one short line, all of it."""
    try:
        told = told_in(read_json(body))
    except ValueError:
        text = body[:10_000].decode(errors="replace")
        page = _TITLE.search(text)
        told = " ".join((html.unescape(page[2]) if page else text).split())
        if not page and (len(told) > TOLD_MAX or _NO_WORDS.search(told)):
            told = ""  # neither a page nor a message
    return told[:TOLD_MAX]


def is_error(content: dict[str, Any]) -> bool:
    """Whether a completion, or a chunk of one, is an error in truth: servers send these with HTTP 200."""
    if content.get("error"):
        return True
    if content.get("choices"):
        return False
    kinds = (content.get("object"), content.get("type"), content.get("status"))
    if any(isinstance(kind, str) and kind.lower().endswith(("error", "failed")) for kind in kinds):
        return True
    # Another protocol's chunk has a message with a role: it is no error, and no answer either.
    message = content.get("message")
    return any(
        told_in(value)
        for key, value in _places(content).items()
        if key not in _ONLY_IN_ERRORS
        and not (value is message and isinstance(value, dict) and "role" in value)
    )


def error_told(dependency: str, content: Any, prefix: str) -> DependencyError:
    """Turn an error that came with HTTP 200 into ours: its code or its type may stand for a status."""
    message = f"{prefix}: {told_in(content)[:TOLD_MAX] or 'an error without a message'}"
    places = [content, content.get("error")] if isinstance(content, dict) else []
    told = [place for place in places if isinstance(place, dict)]
    for place in told:
        for key in _CODES:
            code = place.get(key)
            status = int(code) if isinstance(code, int | str) and re.fullmatch("[45]\\d\\d", str(code)) else 0
            if status:
                return error_of_status(dependency, message, status)
    if any(_BUSY.search(str(place.get(key))) for place in told for key in ("type", "code", "status")):
        return ThrottledError(dependency, message)
    return TransientError(dependency, message)
