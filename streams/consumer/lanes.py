"""Which records may run now: one lane a key, in offset order, and only its head runs.

A lane exists while it holds a record, running or waiting, and no longer. Lanes whose head may run
form one queue a partition, and the partitions take turns, so that a flood in one delays no other.
"""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

W = TypeVar("W")
Key = Hashable


class _Partition(Generic[W]):
    __slots__ = ("lanes", "ready")

    def __init__(self) -> None:
        self.lanes: dict[Key, deque[W] | None] = {}
        """What waits behind each lane's head; None, not an empty deque: most lanes hold one record."""
        self.ready: deque[W] = deque()


class Lanes(Generic[W]):
    """The lanes of all partitions. What it is given it hands out once, with `take`."""

    __slots__ = ("_partitions", "_turns")

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition[W]] = {}
        self._turns: deque[int] = deque()
        """Partitions with something ready, in the order in which they are served; each once."""

    def __repr__(self) -> str:
        return f"<Lanes { ({number: len(held.lanes) for number, held in self._partitions.items()}) }>"

    def __len__(self) -> int:
        """How many lanes there are."""
        return sum(len(held.lanes) for held in self._partitions.values())

    def add(self, partition: int, key: Key, work: W) -> None:
        """Put a record at the end of its lane. Records of a partition are added in offset order."""
        held = self._partitions.get(partition)
        if held is None:
            held = self._partitions[partition] = _Partition()
        if key not in held.lanes:
            held.lanes[key] = None
            self._make_ready(partition, held, work)
            return
        waiting = held.lanes[key]
        if waiting is None:
            held.lanes[key] = deque((work,))
        else:
            waiting.append(work)

    def take(self) -> W | None:
        """The next record to run, or None where every lane's head is running already."""
        if not self._turns:
            return None
        number = self._turns[0]
        ready = self._partitions[number].ready
        work = ready.popleft()
        if ready:
            self._turns.rotate(-1)
        else:
            self._turns.popleft()
        return work

    def put_back(self, partition: int, work: W) -> None:
        """Give back what was taken and did not run; it is the partition's next."""
        held = self._partitions[partition]
        if not held.ready:
            self._turns.append(partition)
        held.ready.appendleft(work)

    def finish(self, partition: int, key: Key) -> None:
        """The lane's head, which was taken, is done: what waits behind it may run."""
        held = self._partitions[partition]
        waiting = held.lanes[key]
        if waiting is None:
            del held.lanes[key]
            return
        following = waiting.popleft()
        if not waiting:
            held.lanes[key] = None
        self._make_ready(partition, held, following)

    def drop(self, partition: int) -> None:
        """Forget the partition's lanes with all that waits in them."""
        if self._partitions.pop(partition, None) is not None and partition in self._turns:
            self._turns.remove(partition)

    def _make_ready(self, partition: int, held: _Partition[W], work: W) -> None:
        if not held.ready:
            self._turns.append(partition)
        held.ready.append(work)
