"""Records that wait to be sent, by their place: a topic and one of its partitions. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from schemas.headers import Header
from streams.publishing.gate import Gate
from streams.publishing.records import Record

Place = tuple[str, int]


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
        self._queues: dict[Place, deque[Record]] = {}
        self._ready: set[Place] = set()
        self._flying: dict[Place, list[Record]] = {}

    @property
    def idle(self) -> bool:
        """Whether every record is settled."""
        return not self.queued and not self._flying

    @property
    def flying(self) -> list[tuple[Place, list[Record]]]:
        """The batches on their way."""
        return list(self._flying.items())

    def add(self, place: Place, record: Record) -> bool:
        """Returns whether it can leave now."""
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = deque()
        queue.append(record)
        self.queued += 1
        if place in self._flying:
            return False
        self._ready.add(place)
        return True

    def ready(self) -> set[Place]:
        """The places from which a batch can leave now; each is told once."""
        ready, self._ready = self._ready, set()
        return ready

    def depart(self, place: Place, batch: Batch) -> tuple[list[Record], list[Record]]:
        """Take the next batch of a place, as far as it takes records.

        Returns:
            What is on its way from now on, and what was taken out because its gate is not open.
        """
        records: list[Record] = []
        fenced: list[Record] = []
        queue = self._queues[place]
        gate, opened = None, True
        # What came while an earlier place was waited for may have made this one ready twice.
        while place not in self._flying and queue:
            record = queue[0]
            if records and (record.alone or records[-1].alone):
                break
            if record.gate is not gate:
                # Asked now, just before the batch leaves, and once: nobody else has a turn meanwhile.
                gate = record.gate
                opened = gate is None or gate.open
            if not opened:
                fenced.append(queue.popleft())
                continue
            added = batch.append(key=record.key, value=record.value, headers=record.headers, timestamp=None)
            if added is None:
                break
            records.append(queue.popleft())
        self.queued -= len(records) + len(fenced)
        if records:
            self._flying[place] = records
            for gate, count in _gates(records):
                gate.left(count)
        return records, fenced

    def shut(self, place: Place) -> list[Record]:
        """Take out what waits at a gate that is not open; the rest stays, and is not ready any more."""
        fenced = [
            record for record in self._queues[place] if record.gate is not None and not record.gate.open
        ]
        if fenced:
            left = [record for record in self._queues[place] if record.gate is None or record.gate.open]
            self._queues[place] = deque(left)
            self.queued -= len(fenced)
        return fenced

    def waits(self, place: Place) -> bool:
        """Whether something of the place has not left."""
        return bool(self._queues[place])

    def give_up(self, place: Place) -> list[Record]:
        """Take out all that waits."""
        records, self._queues[place] = list(self._queues[place]), deque()
        self.queued -= len(records)
        return records

    def arrive(self, place: Place, records: list[Record]) -> bool:
        """The batch is not on its way any more; False where that was known."""
        if self._flying.get(place) is not records:
            return False
        del self._flying[place]
        for gate, count in _gates(records):
            gate.settled(count)
        return True

    def separate(self, place: Place, records: list[Record]) -> None:
        """Put a batch back to the front of its queue, to be sent record by record."""
        for record in records:
            record.alone = True
        self._queues[place].extendleft(reversed(records))
        self.queued += len(records)

    def more(self, place: Place) -> bool:
        """Whether another batch of the place can leave now; if so, it is told as ready."""
        if not self._queues[place] or place in self._flying:
            return False
        self._ready.add(place)
        return True


def _gates(records: Iterable[Record]) -> list[tuple[Gate, int]]:
    """How many of them have passed each gate."""
    passed = Counter([record.gate for record in records])
    return [(gate, count) for gate, count in passed.items() if gate is not None]
