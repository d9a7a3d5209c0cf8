"""Records that wait to be sent, by their place: a topic and one of its partitions. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from schemas.headers import Header
from streams.publishing.gate import Gate
from streams.publishing.records import Record

Place = tuple[str, int]


class Item:
    """A record in its queue.

    Attributes:
        gate: what it has to pass when it leaves; None: nothing.
        alone: it was in a batch that was refused for its size: which record was too large, shows alone.
    """

    __slots__ = ("alone", "gate", "record")

    def __init__(self, record: Record, gate: Gate | None = None) -> None:
        self.record = record
        self.gate = gate
        self.alone = False

    def settled(self, error: BaseException | None) -> None:
        """Told once, in a turn of its own: None when the broker has the record, else why it has not."""
        raise NotImplementedError


class Batch(Protocol):
    """A batch in the making."""

    def append(
        self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[Header]
    ) -> object | None:
        """Add a record; None where it is full."""
        ...


class Queues:
    """A queue a place, of which at most one batch is on its way.

    Attributes:
        queued: records that have not left.
    """

    def __init__(self) -> None:
        self.queued = 0
        self._queues: dict[Place, deque[Item]] = {}
        self._ready: set[Place] = set()
        self._flying: dict[Place, list[Item]] = {}

    @property
    def idle(self) -> bool:
        """Whether every record is settled."""
        return not self.queued and not self._flying

    @property
    def flying(self) -> list[tuple[Place, list[Item]]]:
        """The batches on their way."""
        return list(self._flying.items())

    def add(self, place: Place, item: Item) -> bool:
        """Returns whether it can leave now."""
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = deque()
        queue.append(item)
        self.queued += 1
        if place in self._flying:
            return False
        self._ready.add(place)
        return True

    def ready(self) -> set[Place]:
        """The places from which a batch can leave now; each is told once."""
        ready, self._ready = self._ready, set()
        return ready

    def depart(self, place: Place, batch: Batch) -> tuple[list[Item], list[Item]]:
        """Take the next batch of a place, as far as it takes records.

        Returns:
            What is on its way from now on, and what was taken out because its gate is not open.
        """
        items: list[Item] = []
        fenced: list[Item] = []
        queue = self._queues[place]
        gate, opened = None, True
        # What came while an earlier place was waited for may have made this one ready twice.
        while place not in self._flying and queue:
            item = queue[0]
            if items and (item.alone or items[-1].alone):
                break
            if item.gate is not gate:
                # Asked now, just before the batch leaves, and once: nobody else has a turn meanwhile.
                gate = item.gate
                opened = gate is None or gate.open
            if not opened:
                fenced.append(queue.popleft())
                continue
            record = item.record
            added = batch.append(key=record.key, value=record.value, headers=record.headers, timestamp=None)
            if added is None:
                break
            items.append(queue.popleft())
        self.queued -= len(items) + len(fenced)
        if items:
            self._flying[place] = items
            for gate, count in _gates(items):
                gate.left(count)
        return items, fenced

    def shut(self, place: Place) -> list[Item]:
        """Take out what waits at a gate that is not open; the rest stays, and is not ready any more."""
        fenced = [item for item in self._queues[place] if item.gate is not None and not item.gate.open]
        if fenced:
            left = [item for item in self._queues[place] if item.gate is None or item.gate.open]
            self._queues[place] = deque(left)
            self.queued -= len(fenced)
        return fenced

    def give_up(self, place: Place) -> list[Item]:
        """Take out all that waits."""
        items, self._queues[place] = list(self._queues[place]), deque()
        self.queued -= len(items)
        return items

    def arrive(self, place: Place, items: list[Item]) -> bool:
        """The batch is not on its way any more; False where that was known."""
        if self._flying.get(place) is not items:
            return False
        del self._flying[place]
        for gate, count in _gates(items):
            gate.settled(count)
        return True

    def separate(self, place: Place, items: list[Item]) -> None:
        """Put a batch back to the front of its queue, to be sent record by record."""
        for item in items:
            item.alone = True
        self._queues[place].extendleft(reversed(items))
        self.queued += len(items)

    def more(self, place: Place) -> bool:
        """Whether another batch of the place can leave now; if so, it is told as ready."""
        if not self._queues[place] or place in self._flying:
            return False
        self._ready.add(place)
        return True


def _gates(items: Iterable[Item]) -> list[tuple[Gate, int]]:
    """How many of them have passed each gate."""
    passed = Counter([item.gate for item in items])
    return [(gate, count) for gate, count in passed.items() if gate is not None]
