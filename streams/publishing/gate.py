"""The fence of one partition: its outcomes go out now, wait, or never go out."""

import asyncio
from collections.abc import Callable


class Fenced(Exception):  # noqa: N818 - says why a record was not sent; nothing is wrong with it
    """A record was not sent, because its gate is shut."""


class Gate:
    """Decides whether the outcomes of one partition may be sent. The sender asks it when a batch leaves.

    A rebalance holds the gate: nobody knows yet which worker gets the partition, and the worker that gets it
    reads `answers` at that moment. Afterwards the gate opens again, or the partition is lost, and its
    waiting outcomes are dropped.

    Args:
        member: whether the group surely counts us as a member; while it may not, nothing goes out until
            `release` or `lose` decides.

    Attributes:
        lost: outcomes never go out; the partition's next worker makes them anew.
        blocks: why no more questions of the partition may start, by the dead letter that cannot be written;
            empty: they may.
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
        """Whether outcomes may go out."""
        return not self._held and self._member()

    def hold(self) -> None:
        """Let nothing out for now."""
        self._held = True

    def release(self) -> None:
        """Let outcomes out again and call back all waiters, the first one first."""
        self._held = False
        self._call_back()

    def lose(self) -> None:
        """Let nothing out any more."""
        self._held = self.lost = True
        self._call_back()

    def wait(self, decided: Callable[[], None]) -> None:
        """Call `decided` once the gate is open or lost: at once, where it is."""
        if self.open or self.lost:
            decided()
        else:
            self._waiting.append(decided)

    def departed(self, records: int) -> None:
        """Count records that have passed and are on their way to the broker."""
        self._flying += records

    def arrived(self, records: int) -> None:
        """Count records that were on their way and were acknowledged, or failed."""
        self._flying -= records
        if not self._flying and self._quiet is not None:
            self._quiet.set()

    @property
    def flying(self) -> int:
        """How many records are on their way."""
        return self._flying

    async def aquiet(self) -> None:
        """Return once no record is on its way. Call it while the gate is not open."""
        while self._flying:
            if self._quiet is None:
                self._quiet = asyncio.Event()
            self._quiet.clear()
            await self._quiet.wait()

    def _call_back(self) -> None:
        waiting, self._waiting = self._waiting, []
        for decided in waiting:
            decided()
