"""What is told of calls to dependencies while they are guarded."""

from typing import Protocol


class GuardObserver(Protocol):
    """Told of every dependency's calls. Called on the event loop, often; must not block."""

    def attempt_finished(self, dependency: str, outcome: str, duration_s: float) -> None:
        """One attempt ended: `ok`, the reason of its error (`agents.errors`), `cancelled` or `defect`."""
        ...

    def call_retried(self, dependency: str, reason: str, wait_s: float) -> None:
        """An attempt failed for `reason`, and the next one follows after `wait_s`."""
        ...

    def call_hedged(self, dependency: str) -> None:
        """A second request was started beside one that takes long."""
        ...

    def breaker_changed(self, dependency: str, state: str, cause: str) -> None:
        """Its breaker is `closed`, `half_open` or `open` now; `cause` is the error that opened it."""
        ...

    def limit_changed(self, dependency: str, limit: int) -> None:
        """So many of its calls may run at once now."""
        ...
