"""The records that wait to be sent, by their place: a topic and one of its partitions. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from schemas.headers import Header
from streams.publishing.gate import Gate
from streams.publishing.records import Record

Destination = tuple[str, int]


class Batch(Protocol):
    """A batch that is being filled."""

    def append(
        self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[Header]
    ) -> object | None:
        """Add a record. Return None if the batch is full."""
        ...


class Queues:
    """One queue for each place; at most one batch of a place is on its way.

    Attributes:
        queued: how many records have not left.
    """

    def __init__(self) -> None:
        self.queued = 0
        self._queues: dict[Destination, deque[Record]] = {}
        self._ready: set[Destination] = set()
        self._flying: dict[Destination, list[Record]] = {}

    @property
    def idle(self) -> bool:
        """Whether no record waits and none is on its way."""
        return not self.queued and not self._flying

    @property
    def flying(self) -> list[tuple[Destination, list[Record]]]:
        """The batches on their way."""
        return list(self._flying.items())

    def add(self, place: Destination, record: Record) -> bool:
        """Queue a record. Return whether its place can send a batch now."""
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = deque()
        queue.append(record)
        self.queued += 1
        if place in self._flying:
            return False
        self._ready.add(place)
        return True

    def ready(self) -> set[Destination]:
        """Return the places that can send a batch now. Each is returned once."""
        ready, self._ready = self._ready, set()
        return ready

    def depart(self, place: Destination, batch: Batch) -> tuple[list[Record], list[Record]]:
        """Fill the next batch of a place. This is where the gates fence.

        Returns:
            The records that are on their way from now on, and those taken out because their gate is not
            open.
        """
        records: list[Record] = []
        fenced: list[Record] = []
        queue = self._queues[place]
        gate, opened = None, True
        # A record that came while the sender waited for an earlier place may have made this one ready twice.
        while place not in self._flying and queue:
            record = queue[0]
            if records and (record.alone or records[-1].alone):
                break
            if record.gate is not gate:
                # Asked just before the batch leaves, and once: nothing else runs in between.
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
                gate.departed(count)
        return records, fenced

    def shut(self, place: Destination) -> list[Record]:
        """Take out the records whose gate is not open. The place is not ready any more."""
        fenced = [
            record for record in self._queues[place] if record.gate is not None and not record.gate.open
        ]
        if fenced:
            left = [record for record in self._queues[place] if record.gate is None or record.gate.open]
            self._queues[place] = deque(left)
            self.queued -= len(fenced)
        return fenced

    def waits(self, place: Destination) -> bool:
        """Whether records of the place have not left."""
        return bool(self._queues[place])

    def give_up(self, place: Destination) -> list[Record]:
        """Take out all waiting records of the place."""
        records, self._queues[place] = list(self._queues[place]), deque()
        self.queued -= len(records)
        return records

    def arrive(self, place: Destination, records: list[Record]) -> bool:
        """Note that the batch is not on its way any more. Return False if that was noted before."""
        if self._flying.get(place) is not records:
            return False
        del self._flying[place]
        for gate, count in _gates(records):
            gate.arrived(count)
        return True

    def separate(self, place: Destination, records: list[Record]) -> None:
        """Put a batch back to the front of its queue, to be sent one record at a time."""
        for record in records:
            record.alone = True
        self._queues[place].extendleft(reversed(records))
        self.queued += len(records)

    def more(self, place: Destination) -> bool:
        """Whether the place can send another batch now; if so, `ready` returns it."""
        if not self._queues[place] or place in self._flying:
            return False
        self._ready.add(place)
        return True


def _gates(records: Iterable[Record]) -> list[tuple[Gate, int]]:
    """Return how many of the records have passed each gate."""
    passed = Counter([record.gate for record in records])
    return [(gate, count) for gate, count in passed.items() if gate is not None]
