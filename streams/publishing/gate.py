"""Whether the outcomes of one partition may go out now, wait, or must not any more."""

import asyncio
from collections.abc import Callable


class Fenced(Exception):  # noqa: N818 - what happened to a record, not a fault
    """A record was not written, because its gate is shut."""


class Gate:
    """Passed by every outcome of one partition, just before it enters a batch.

    During a rebalance it is held: whose the partition will be is not known, and whoever gets it reads what
    is on `answers` when it gets it. Then it opens again, or the partition is lost, and with it what waits.

    Args:
        member: whether the group surely counts us as a member; where it may not, nothing goes out until
            `release` or `lose` says how it is.

    Attributes:
        lost: outcomes never will go out; whoever has the partition now makes them anew.
        blocks: why nothing more of the partition may start, by what cannot be written; empty: all is well.
    """

    __slots__ = ("_flying", "_held", "_member", "_quiet", "_waiting", "blocks", "lost")

    def __init__(self, member: Callable[[], bool] = lambda: True) -> None:
        self.lost = False
        self.blocks: dict[object, str] = {}
        self._held = False
        self._member = member
        self._flying = 0
        self._waiting: list[Callable[[], None]] = []
        self._quiet: asyncio.Event | None = None

    @property
    def open(self) -> bool:
        """Outcomes may go out."""
        return not self._held and self._member()

    def hold(self) -> None:
        """Let nothing out for now."""
        self._held = True

    def release(self) -> None:
        """Let everything out again; what waited first."""
        self._held = False
        self._wake()

    def lose(self) -> None:
        """Let nothing out any more."""
        self._held = self.lost = True
        self._wake()

    def wait(self, decided: Callable[[], None]) -> None:
        """Call back once the gate is open or lost."""
        self._waiting.append(decided)

    def left(self, records: int) -> None:
        """So many records have passed and are on their way."""
        self._flying += records

    def settled(self, records: int) -> None:
        """So many of them arrived, or failed."""
        self._flying -= records
        if not self._flying and self._quiet is not None:
            self._quiet.set()

    @property
    def flying(self) -> int:
        """Records on their way."""
        return self._flying

    async def aquiet(self) -> None:
        """Returns once nothing is on its way; to be called while the gate is not open."""
        while self._flying:
            if self._quiet is None:
                self._quiet = asyncio.Event()
            self._quiet.clear()
            await self._quiet.wait()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for decided in waiting:
            decided()
