"""The polled offsets of one partition that are not done, and the offset that may be committed.

Only *polled* offsets are tracked, so the gaps that compaction, aborted transactions and their markers
leave cost nothing and hold nothing up. The algorithm is that of Confluent's Parallel Consumer.
"""

from collections import deque
from collections.abc import Iterable, Iterator


class OffsetTracker:
    """The incomplete offsets of one partition, for as long as it stays with us.

    Every method is O(1), amortised; only `incomplete` and `completed` walk.

    Args:
        known: offsets that were completed before, by any worker that had the partition.

    Attributes:
        epoch: the assignment that this tracker belongs to. It grows where the partition stays with us.
        changes: grows with every offset that completes.
    """

    __slots__ = ("_ages", "_done", "_known", "_next", "_open", "changes", "epoch")

    def __init__(self, epoch: int, known: Iterable[int] = ()) -> None:
        self.epoch = epoch
        self.changes = 0
        self._open: deque[int] = deque()
        """Offsets polled and not yet below the commit point, ascending; the ones in `_done` are complete."""
        self._done: set[int] = set()
        self._known = set(known)
        """Offsets that were completed before and are not polled yet."""
        self._ages: deque[tuple[int, float]] = deque()
        """The first offset and the time of each poll that `_open` still holds records of."""
        self._next: int | None = None

    def __repr__(self) -> str:
        return f"<OffsetTracker epoch={self.epoch} commit={self.commit_point} open={self.incomplete_count}>"

    def polled(self, offset: int, now: float) -> bool:
        """Take in the next record, polled at `now` (seconds; the same for all records of a poll).

        Returns:
            Whether it is incomplete; a record that was completed before must not run again.

        Raises:
            ValueError: the offset is not above every one polled before.
        """
        if self._next is not None and offset < self._next:
            raise ValueError(f"offset {offset} polled after {self._next - 1}")
        self._next = offset + 1
        if offset in self._known:
            self._known.discard(offset)
            self.changes += 1
            if self._open:
                self._open.append(offset)
                self._done.add(offset)
            return False
        self._open.append(offset)
        if not self._ages or self._ages[-1][1] != now:
            self._ages.append((offset, now))
        return True

    def pass_over(self, offset: int) -> None:
        """Note that the log was read up to `offset`, and that its end held no record for us.

        The last offset of a transaction is its marker, which is never polled: without this the commit point
        would stay below it, and a partition that is done would seem to have a record left.
        """
        if self._next is None or offset > self._next:
            self._next = offset
            if not self._open:
                self.changes += 1

    def is_done(self, offset: int) -> bool:
        """Whether the record at an offset has its outcome, or there is none; False above all polled ones."""
        if offset in self._known or offset in self._done:
            return True
        lowest = self._open[0] if self._open else self._next
        return lowest is not None and offset < lowest

    def complete(self, offset: int) -> None:
        """Note that the record's outcome is safe.

        Raises:
            ValueError: the offset was not polled, or is complete already.
        """
        opened, done = self._open, self._done
        if not opened or offset < opened[0] or offset in done or self._next is None or offset >= self._next:
            raise ValueError(f"offset {offset} is not incomplete")
        self.changes += 1
        if offset != opened[0]:
            done.add(offset)
            return
        opened.popleft()
        while opened and opened[0] in done:
            done.discard(opened.popleft())

    @property
    def next(self) -> int | None:
        """The offset to read next: one above the highest that was polled or passed over; None before that."""
        return self._next

    @property
    def commit_point(self) -> int | None:
        """The offset below which all polled ones are complete; None before the first poll. It only grows.

        It is the lowest incomplete offset. Without one it is the offset to read next, and above the offsets
        from there on that are known to be complete.
        """
        if self._open:
            return self._open[0]
        point = self._next
        if point is not None:
            while point in self._known:
                point += 1
        return point

    @property
    def completed(self) -> list[int]:
        """The offsets above the commit point that are complete, ascending."""
        point = self.commit_point
        if point is None or not (self._known or self._done):
            return []
        done = self._done
        found = [offset for offset in self._open if offset in done]  # ascending as it is
        if self._known:
            # One below the commit point was compacted away, or waits to be polled.
            found.extend(offset for offset in self._known if offset > point)
            found.sort()
        return found

    @property
    def incomplete_count(self) -> int:
        """How many polled records have no outcome yet."""
        return len(self._open) - len(self._done)

    @property
    def incomplete(self) -> Iterator[int]:
        """The incomplete offsets, ascending."""
        return (offset for offset in self._open if offset not in self._done)

    def oldest_age(self, now: float) -> float:
        """Return the seconds since the lowest incomplete offset was polled; 0 without one."""
        if not self._open:
            return 0.0
        lowest, ages = self._open[0], self._ages
        while len(ages) > 1 and ages[1][0] <= lowest:
            ages.popleft()
        return now - ages[0][1]
