"""Errors from a response's status, and the time to wait before the next call. Pure."""

import email.utils
from datetime import UTC, datetime

from agents.errors import error_of_status
from agents.http.pool import HttpResponse
from agents.http.problems import told_by


def raise_for_status(dependency: str, response: HttpResponse) -> None:
    """Raise the error of `agents.errors` that stands for the status; 2xx raises nothing.

    The error repeats only the message in the usual places of the body (see `agents.http.problems`),
    shortened.
    """
    status = response.status
    if status // 100 == 2:
        return
    told = told_by(response.body)
    message = f"HTTP {status}{': ' + told if told else ''}"
    wait_s = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
    raise error_of_status(dependency, message, status, wait_s)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or an HTTP date; None if neither."""
    if not value:
        return None
    value = value.strip()
    if value.replace(".", "", 1).isdecimal():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # no date, or one with numbers that are too large
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
