"""What passes between the loop and whoever answers: one record, and the partition that it came from."""

import math
from collections.abc import Callable
from typing import Protocol

from aiokafka import ConsumerRecord

from schemas.codec import DecodeError
from schemas.headers import RequestHeaders
from schemas.question import Question
from streams.consumer.offsets import OffsetTracker
from streams.publishing.gate import Gate

Decoded = Question | DecodeError


class Assigned:
    """A partition of `questions` for as long as it stays with us, rebalances that leave it here included.

    Attributes:
        ready: what was done of it before is known, so that its records may run.
        start: the offset that reading begins at; None before it is ready.
        committed: the offset that the broker has, as far as we know; None before the first poll.
        changes: what of `tracker.changes` the broker has.
        position: the end of its partition of `answers`, when that was last looked at: at a commit, at first
            when it was recovered.
        running: what was started and has no outcome, in the order of starts, with that position of the time.
        ceiling: no record above this offset may start: the map would not fit into a commit.
        above: records that are their lane's head, and wait for the ceiling to rise.
        gate: passed by its outcomes.
    """

    __slots__ = (
        "above",
        "ceiling",
        "changes",
        "committed",
        "gate",
        "number",
        "position",
        "ready",
        "running",
        "start",
        "tracker",
    )

    def __init__(self, number: int, epoch: int, member: Callable[[], bool] = lambda: True) -> None:
        self.number = number
        self.tracker = OffsetTracker(epoch)
        self.ready = False
        self.start: int | None = None
        self.committed: int | None = None
        self.changes = 0
        self.position = 0
        self.running: dict[Work, int] = {}
        self.ceiling: int | None = None
        self.above: list[Work] = []
        self.gate = Gate(member)

    @property
    def lost(self) -> bool:
        """Another's now. What still runs of it finishes for nobody."""
        return self.gate.lost

    @property
    def resume(self) -> int | None:
        """The offset to read next."""
        return self.start if self.tracker.next is None else self.tracker.next


class Work:
    """One record on its way through the worker.

    Attributes:
        key: its lane within the partition.
        tenant: whose turn it takes.
        decoded: what its value held.
        request: what its headers say; None where they have not been read.
        expires_at: when its time is over, in unix seconds; infinite where nothing says.
        late_at: when it has waited for too long, should many do.
        size: bytes that it holds in memory.
        waits: nothing runs for it any more, or ever did: its outcome waits for the broker, without a slot.
    """

    __slots__ = (
        "assigned",
        "decoded",
        "expires_at",
        "key",
        "late_at",
        "record",
        "request",
        "size",
        "tenant",
        "waits",
    )

    def __init__(self, record: ConsumerRecord, assigned: Assigned, size: int) -> None:
        self.record = record
        self.assigned = assigned
        self.size = size
        self.key: bytes = b""
        self.tenant = ""
        self.decoded: Decoded | None = None
        self.request: RequestHeaders | None = None
        self.expires_at = self.late_at = math.inf
        self.waits = False


class Handler(Protocol):
    """Makes an outcome of every record that it is given."""

    def prepare(self, work: Work) -> None:
        """Fill in its lane, its tenant and its times. Never raises."""
        ...

    def start(self, work: Work, done: Callable[[Work], None]) -> bool:
        """Begin work and return at once; never raises. False: nothing runs, its outcome is on its way.

        `done(work)` is called once, and not before the event loop's next turn: when the broker has the
        record's outcome, or, where the record's partition is lost, when nothing is left of it here.
        """
        ...

    def refuses(self, work: Work) -> bool:
        """Whether `start` would refuse it because of the time that has passed. Never raises."""
        ...

    def drop(self, number: int) -> None:
        """This partition is lost: forget what is known of it."""
        ...

    def abandon(self, work: Work) -> None:
        """The partition of this record, which was started, is lost: spend no more on it."""
        ...
