"""What a response's status says: which error it is, and when to call again. Pure."""

import email.utils
from datetime import UTC, datetime

import orjson

from agents.errors import error_of_status
from agents.http.pool import HttpResponse

TOLD_MAX = 200
"""Characters of a server's own error message that are passed on."""


def raise_for_status(dependency: str, response: HttpResponse) -> None:
    """Sort a status into the classes of `agents.errors`; 2xx raises nothing.

    Of the body only what a server says about the error in the usual places is passed on (`error`,
    `error.message`, `message`), shortened: validation errors elsewhere repeat the request.
    """
    status = response.status
    if status // 100 == 2:
        return
    told = _told(response.body)
    message = f"HTTP {status}{': ' + told if told else ''}"
    wait_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
    raise error_of_status(dependency, message, status, wait_s)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them, or an HTTP date; None if neither."""
    if not value:
        return None
    value = value.strip()
    if value.replace(".", "", 1).isdecimal():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # no date, or one with numbers beyond a machine's
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _told(body: bytes) -> str:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    for key in ("error", "message"):
        if isinstance(content, dict) and key in content:
            content = content[key]
    return content[:TOLD_MAX] if isinstance(content, str) else ""
