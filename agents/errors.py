"""Errors of a call to a dependency (model, tool, index, embeddings), one class for each way to go on.

The classes are those of the error table in ARCHITECTURE.md. A component translates the exceptions of its
client library into these with `raise … from`, so that no stage knows a client library.
"""

from http import HTTPStatus
from typing import ClassVar

from schemas.headers import MESSAGE_MAX


class DependencyError(Exception):
    """A call to a dependency failed. `retriable` says whether the same call may succeed later.

    Attributes:
        dependency: its name, for instance `model` or `tools/weather`.
        message: the problem, cut at `MESSAGE_MAX` characters.
        status: the HTTP status, if there was one.
        retry_after_s: seconds that the dependency asked to wait before the next call.
        settled: whether a guard has given up on the call, so that nothing above it repeats the call.
    """

    retriable: ClassVar[bool] = False
    reason: ClassVar[str] = "error"
    of_server: ClassVar[bool] = True
    """Whether it tells of the dependency, and not only of this one call."""

    def __init__(
        self,
        dependency: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        message = _tellable(message)
        super().__init__(f"{dependency}: {message}")
        self.dependency = dependency
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.settled = False


def _tellable(message: str) -> str:
    """Make the message fit for an answer: a file's name in it, for one, can hold characters outside UTF-8."""
    if len(message) > MESSAGE_MAX:
        message = f"{message[: MESSAGE_MAX - 1]}…"
    return message if message.isascii() else message.encode("utf-8", "backslashreplace").decode()


class TransientError(DependencyError):
    """Connection refused or reset, 5xx, a time-out on the wire: the same call may succeed."""

    retriable = True
    reason = "transient"


class ThrottledError(DependencyError):
    """429 or 503: the dependency works but is busy. Honour `retry_after_s`."""

    retriable = True
    reason = "throttled"

    @property
    def may_be_down(self) -> bool:
        """Whether a proxy without a server behind it may have answered: 503 without a Retry-After."""
        return self.status == HTTPStatus.SERVICE_UNAVAILABLE and self.retry_after_s is None


class PermanentError(DependencyError):
    """400, 401, 403, 404, 422 …: the same call will fail again."""

    reason = "permanent"


class UnusableServerError(PermanentError):
    """Nothing was sent: the certificate is not trusted, or the address may not or cannot be called."""


def error_of_status(
    dependency: str, message: str, status: int, retry_after_s: float | None = None
) -> DependencyError:
    """Return the error that stands for an HTTP status other than 2xx."""
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return ThrottledError(dependency, message, status=status, retry_after_s=retry_after_s)
    if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
        return TransientError(dependency, message, status=status)
    return PermanentError(dependency, message, status=status)


class BadOutputError(DependencyError):
    """The dependency answered, but not in its own format. The call is worth one more try."""

    retriable = True
    reason = "bad_output"


class UnfitOutputError(BadOutputError):
    """The dependency answered in its own format, but with nothing to use. The question may be the cause."""

    of_server = False


class TimedOutError(DependencyError):
    """The budget ran out before the dependency answered."""

    reason = "timeout"


class OpenBreakerError(DependencyError):
    """Nothing was called: the dependency has failed too often, and its breaker is open."""

    reason = "breaker_open"
    of_server = False
