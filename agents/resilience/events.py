"""The events of guarded calls, for observers."""

from typing import Protocol

from agents.errors import DependencyError


class GuardObserver(Protocol):
    """Observes the calls of every dependency. Its methods run often, on the event loop: none may block."""

    def attempt_finished(self, dependency: str, outcome: str, duration_s: float) -> None:
        """Note an attempt's end: `ok`, its error's reason (`agents.errors`), `cancelled` or `defect`."""
        ...

    def attempt_failed(self, dependency: str, error: DependencyError) -> None:
        """Note the error of an attempt that failed for a reason of the dependency's, not of this one call."""
        ...

    def call_retried(self, dependency: str, reason: str, wait_s: float) -> None:
        """Note that an attempt failed for `reason`, and that the next one follows after `wait_s`."""
        ...

    def call_hedged(self, dependency: str) -> None:
        """Note that a second request was started beside a slow one."""
        ...

    def breaker_changed(self, dependency: str, state: str, cause: str) -> None:
        """Note that a breaker is now `closed`, `half_open` or `open`; `cause` is the error that opened it."""
        ...

    def limit_changed(self, dependency: str, limit: int) -> None:
        """Note that `limit` calls to the dependency may run at once now."""
        ...
