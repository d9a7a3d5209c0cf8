"""How a call to a dependency (model, tool, index, embeddings) can fail, sorted by what to do next.

The classes are those of the error table in ARCHITECTURE.md: whoever calls a dependency translates
its exceptions into these at the boundary, with `raise … from`, so that no stage knows a client library.
"""

from http import HTTPStatus
from typing import ClassVar

from schemas.headers import MESSAGE_MAX


class DependencyError(Exception):
    """A call to a dependency failed. `retriable` says whether the same call may succeed later.

    Attributes:
        dependency: which one, for instance `model` or `tools/weather`.
        message: what went wrong, cut where it is too long to be told.
        status: the HTTP status, where there was one.
        retry_after_s: how long the dependency asked to be left alone, in seconds.
        settled: whether a guard has done what could be done: nothing above it repeats the call.
    """

    retriable: ClassVar[bool] = False
    reason: ClassVar[str] = "error"

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
    """What an answer can carry, whatever it says: a file's name, for one, can hold what UTF-8 cannot."""
    if len(message) > MESSAGE_MAX:
        message = f"{message[: MESSAGE_MAX - 1]}…"
    return message if message.isascii() else message.encode("utf-8", "backslashreplace").decode()


class TransientError(DependencyError):
    """Connection refused or reset, 5xx, a time-out on the wire: the same call may succeed."""

    retriable = True
    reason = "transient"


class ThrottledError(DependencyError):
    """429 or 503: the dependency is well but busy; honour `retry_after_s`."""

    retriable = True
    reason = "throttled"

    @property
    def may_be_down(self) -> bool:
        """Whether this is what a proxy says that has no server behind it: 503, and not for how long."""
        return self.status == HTTPStatus.SERVICE_UNAVAILABLE and self.retry_after_s is None


class PermanentError(DependencyError):
    """400, 401, 403, 404, 422 …: the same call will fail again."""

    reason = "permanent"


def error_of_status(
    dependency: str, message: str, status: int, retry_after_s: float | None = None
) -> DependencyError:
    """An HTTP status that is not 2xx, sorted into the classes here."""
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return ThrottledError(dependency, message, status=status, retry_after_s=retry_after_s)
    if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
        return TransientError(dependency, message, status=status)
    return PermanentError(dependency, message, status=status)


class BadOutputError(DependencyError):
    """It answered, but not in its own format; worth one more try."""

    retriable = True
    reason = "bad_output"


class UnfitOutputError(BadOutputError):
    """It answered in its own format, with nothing that can be used: what it was asked may be why."""


class TimedOutError(DependencyError):
    """The budget ran out before the dependency answered."""

    reason = "timeout"


class OpenBreakerError(DependencyError):
    """Not called: it has failed too often of late, and is left alone for a while."""

    reason = "breaker_open"
