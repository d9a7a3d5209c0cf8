"""The sink for calls that fail: a warning that names the setting to check, and each dependency's last error.

A server that refuses fails every question with the same line, or with one that differs by a number in it. So
one warning a minute is written for each dependency and kind of failure, with how many there were since.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents.errors import DependencyError
from streams.telemetry.hook import Hook

AGAIN_S = 60.0
"""How long the failures of one kind are only counted after a warning."""
KINDS_MAX = 256
"""How many kinds of failure are remembered: those of the dependencies that have failed last."""
MESSAGE_MAX = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Trouble:
    at: float
    status: int | None
    message: str
    remedy: str


class Troubles(Hook):
    """Warns of failing dependencies, and keeps the last error of each for `/state`.

    Args:
        remedy: returns the settings to check, as a clause, for a dependency and its error.
        mask: takes secrets out of a server's message.
        clock: returns unix seconds.
    """

    def __init__(
        self,
        remedy: Callable[[str, DependencyError], str],
        *,
        mask: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._remedy = remedy
        self._mask = mask
        self._clock = clock
        self._last: dict[str, _Trouble] = {}
        self._told: dict[tuple[str, int | str], tuple[float, int]] = {}

    def attempt_failed(self, dependency: str, error: DependencyError) -> None:
        """See `Hook`."""
        now = self._clock()
        message = " ".join(self._mask(error.message).split())
        if len(message) > MESSAGE_MAX:
            message = f"{message[: MESSAGE_MAX - 1]}…"
        trouble = _Trouble(now, error.status, message, self._remedy(dependency, error))
        self._last[dependency] = trouble
        kind = dependency, error.status or error.reason
        at, held_back = self._told.pop(kind, (0.0, 0))
        if 0.0 <= now - at < AGAIN_S:
            self._told[kind] = at, held_back + 1
            return
        if len(self._told) >= KINDS_MAX:
            del self._told[next(iter(self._told))]
        self._told[kind] = now, 0
        log.warning(
            "a call to %s failed: %s; %s%s",
            dependency,
            message,
            trouble.remedy,
            f" ({held_back} more like it since this was last written)" if held_back else "",
            extra={"dependency": dependency, "status": error.status},
        )

    def last_error(self, dependency: str) -> dict[str, Any] | None:
        """Return the last error of a dependency, for `/state`; None: it has not failed."""
        last = self._last.get(dependency)
        if last is None:
            return None
        return {
            "at": datetime.fromtimestamp(last.at, UTC).isoformat(timespec="milliseconds"),
            "age_s": round(max(0.0, self._clock() - last.at), 3),
            "status": last.status,
            "message": last.message,
            "remedy": last.remedy,
        }
