"""Notices a transaction that a producer has left open: nothing behind its beginning can be read. Pure."""

from typing import NamedTuple

WARN_S = 60.0
"""A transaction that holds a partition for longer is reported."""


class Progress(NamedTuple):
    """How far a partition was read, and how far it can be.

    Attributes:
        position: the offset that is read next; -1: not known.
        stable: the last stable offset, as of the last fetch: no transaction is open below it. -1: not known.
        end: the end of the log, as of the last fetch; -1: not known.
    """

    position: int
    stable: int
    end: int


UNKNOWN = Progress(-1, -1, -1)


def progress_of(position: int, stable: int | None, end: int | None) -> Progress:
    """Return the progress from aiokafka's values, which are None before the first fetch."""
    return Progress(position, -1 if stable is None else stable, -1 if end is None else end)


class OpenTransaction:
    """The transaction that holds one partition, if there is one."""

    __slots__ = ("_since", "_stable", "_told")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Count no transaction as open, because nobody reads the partition now."""
        self._stable = -1
        self._since = 0.0
        self._told = False

    def look(self, progress: Progress, now: float) -> None:
        """Take in how far the partition was read at `now`, in seconds on a clock that only grows."""
        stable = progress.stable
        if not (0 <= stable <= progress.position and stable < progress.end):
            self.forget()
        elif stable != self._stable:
            self._stable, self._since, self._told = stable, now, False

    def held_s(self, now: float) -> float:
        """Return for how long it has kept us from reading on; 0: none does."""
        return 0.0 if self._stable < 0 else now - self._since

    def due(self, now: float) -> bool:
        """Whether to report it now: once, when it has held the partition for longer than `WARN_S`."""
        if self._told or self.held_s(now) <= WARN_S:
            return False
        self._told = True
        return True
