"""Which offsets of one partition are done, and up to where that may be committed.

Only *polled* offsets are tracked, so the gaps that compaction and transaction markers leave cost
nothing and hold nothing up. The algorithm is that of Confluent's Parallel Consumer.
"""

from collections import deque
from collections.abc import Iterator


class OffsetTracker:
    """The incomplete offsets of one partition during one assignment.

    Every method is O(1), amortised; only `incomplete` walks.

    Attributes:
        epoch: which assignment this tracker belongs to. What finishes after a partition was revoked
            finds a tracker of a past epoch, and is committed by nobody.
    """

    __slots__ = ("_ages", "_done", "_next", "_open", "epoch")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._open: deque[int] = deque()
        """Polled and not yet below the commit point, ascending; those in `_done` are complete."""
        self._done: set[int] = set()
        self._ages: deque[tuple[int, float]] = deque()
        """(first offset, time) of each poll that `_open` still holds records of."""
        self._next: int | None = None

    def __repr__(self) -> str:
        return f"<OffsetTracker epoch={self.epoch} commit={self.commit_point} open={self.incomplete_count}>"

    def polled(self, offset: int, now: float) -> None:
        """Take in the next record, polled at `now` (seconds; the same for all records of a poll).

        Raises:
            ValueError: the offset is not above every one polled before.
        """
        if self._next is not None and offset < self._next:
            raise ValueError(f"offset {offset} polled after {self._next - 1}")
        self._open.append(offset)
        self._next = offset + 1
        if not self._ages or self._ages[-1][1] != now:
            self._ages.append((offset, now))

    def complete(self, offset: int) -> None:
        """The record's outcome is safe.

        Raises:
            ValueError: the offset was not polled, or is complete already.
        """
        opened, done = self._open, self._done
        if not opened or offset < opened[0] or offset in done or self._next is None or offset >= self._next:
            raise ValueError(f"offset {offset} is not incomplete")
        if offset != opened[0]:
            done.add(offset)
            return
        opened.popleft()
        while opened and opened[0] in done:
            done.discard(opened.popleft())

    @property
    def commit_point(self) -> int | None:
        """Everything polled below it is complete; None before anything was polled.

        The lowest incomplete offset; with none, one above the highest polled.
        """
        return self._open[0] if self._open else self._next

    @property
    def incomplete_count(self) -> int:
        """How many polled records have no outcome yet."""
        return len(self._open) - len(self._done)

    @property
    def incomplete(self) -> Iterator[int]:
        """The incomplete offsets, ascending."""
        return (offset for offset in self._open if offset not in self._done)

    def oldest_age(self, now: float) -> float:
        """Seconds since the lowest incomplete offset was polled; 0 with none."""
        if not self._open:
            return 0.0
        lowest, ages = self._open[0], self._ages
        while len(ages) > 1 and ages[1][0] <= lowest:
            ages.popleft()
        return now - ages[0][1]
