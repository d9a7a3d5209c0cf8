"""Bounds the running questions, the buffered records and the bytes of both.

A partition is *hungry* until its share of the buffer is full, and hungry again when half of it has
drained: a full worker fetches by the hundred, not one record for each that finishes.
"""

from collections.abc import Callable

from streams.consumer.capacity import Capacity

MAX_POLL = 256
"""Records taken in at once: their decoding must not hold the event loop for long."""


class _Share:
    __slots__ = ("buffered", "bytes", "hungry")

    def __init__(self) -> None:
        self.buffered = 0
        self.bytes = 0
        self.hungry = True


class Intake:
    """Counts the records that are buffered (polled, not started) and running, and says where to fetch from.

    Args:
        max_in_flight: questions running at once, until the broker has acked their outcomes. A refused
            question takes no slot: else a flood of refusals would leave few for questions.
        max_buffered: records buffered. Each partition has an equal share, so that one whose lanes
            are stuck leaves room for the others; one poll may overrun a share, not the whole. As many
            outcomes of refused questions may wait for the broker.
        max_bytes: bytes buffered, and as many again running; one poll or record may overrun it.
        tenant_share: of the questions running at once, the most that may be of one tenant while there
            are others.
        has_room: returns whether the outcomes that wait for the broker leave room for more.

    Attributes:
        running_bytes: bytes of the running questions; at `max_bytes` no more may start.
        capacity: how many of `max_in_flight` may run now.
        hungry: the partitions to fetch from.
    """

    def __init__(
        self,
        *,
        max_in_flight: int,
        max_buffered: int,
        max_bytes: int,
        tenant_share: float = 1.0,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._has_room = has_room
        self.capacity = Capacity(max_in_flight)
        self._tenant_share = tenant_share
        self.in_flight = 0
        self.buffered = 0
        self.running_bytes = 0
        self._without_slot = 0
        self.hungry: set[int] = set()
        self._max_buffered = max_buffered
        self.max_bytes = max_bytes
        self._shares: dict[int, _Share] = {}
        self._record_share = max_buffered
        self._byte_share = max_bytes

    def __repr__(self) -> str:
        return f"<Intake in_flight={self.in_flight} buffered={self.buffered} hungry={sorted(self.hungry)}>"

    @property
    def slots(self) -> int:
        """How many more questions may start, for as long as their bytes have room."""
        if self.running_bytes >= self.max_bytes:
            return 0
        return max(0, min(self.capacity.limit - self.running, self.refusals))

    @property
    def refusals(self) -> int:
        """How many more questions may be refused: their outcomes wait for the broker, too."""
        return max(0, self._max_buffered - self._without_slot) if self._has_room() else 0

    @property
    def running(self) -> int:
        """Questions that hold a slot."""
        return self.in_flight - self._without_slot

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the keys and values that are buffered."""
        return sum(share.bytes for share in self._shares.values())

    @property
    def room(self) -> int:
        """How many records the next poll may take, at least one."""
        return max(1, min(MAX_POLL, self._max_buffered - self.buffered))

    def most_of(self, tenants: int) -> int:
        """Return how many questions of one tenant may run where there are so many tenants."""
        most = self.capacity.limit
        return most if tenants <= 1 else max(1, int(self._tenant_share * most))

    def assign(self, partition: int) -> None:
        """Fetch from this partition too."""
        self._shares[partition] = _Share()
        self._share_out()

    def drop(self, partition: int) -> None:
        """Stop fetching from this partition and forget its buffered records; the running ones still count."""
        share = self._shares.pop(partition, None)
        if share is not None:
            self.buffered -= share.buffered
            self._share_out()

    def received(self, partition: int, size: int) -> None:
        """Count a record of `size` bytes as buffered."""
        share = self._shares[partition]
        share.buffered += 1
        share.bytes += size
        self.buffered += 1
        if share.hungry and (share.buffered >= self._record_share or share.bytes >= self._byte_share):
            share.hungry = False
            self.hungry.discard(partition)

    def started(self, partition: int, size: int) -> None:
        """Count a buffered record as running, which may make its partition hungry."""
        share = self._shares[partition]
        share.buffered -= 1
        share.bytes -= size
        self.buffered -= 1
        self.in_flight += 1
        self.running_bytes += size
        if share.hungry or share.buffered * 2 > self._record_share or share.bytes * 2 > self._byte_share:
            return
        share.hungry = True
        self.hungry.add(partition)

    def free_slot(self) -> None:
        """Free the slot of a running record, because only its outcome waits, for the broker."""
        self._without_slot += 1

    def finished(self, size: int, *, without_slot: bool = False) -> None:
        """Count a running record as done, even if its partition is another worker's by now."""
        self.in_flight -= 1
        self._without_slot -= without_slot
        self.running_bytes -= size

    def _share_out(self) -> None:
        count = max(1, len(self._shares))
        self._record_share = max(1, self._max_buffered // count)
        self._byte_share = max(1, self.max_bytes // count)
        self.hungry = set()
        for partition, share in self._shares.items():
            share.hungry = share.buffered < self._record_share and share.bytes < self._byte_share
            if share.hungry:
                self.hungry.add(partition)
