"""What passes between the loop and whoever answers: one record, and the partition that it came from."""

from collections.abc import Callable
from typing import Protocol

from aiokafka import ConsumerRecord

from schemas.codec import DecodeError
from schemas.question import Question
from streams.consumer.offsets import OffsetTracker

Decoded = Question | DecodeError


class Assigned:
    """A partition of `questions` during one assignment; a new one is made when it comes back.

    Attributes:
        committed: the offset that the broker has, as far as we know; None before the first poll.
        lost: revoked since. What still runs of it finishes, and is committed by nobody here.
    """

    __slots__ = ("committed", "lost", "number", "tracker")

    def __init__(self, number: int, epoch: int) -> None:
        self.number = number
        self.tracker = OffsetTracker(epoch)
        self.committed: int | None = None
        self.lost = False


class Work:
    """One record on its way through the worker.

    Attributes:
        key: its lane within the partition.
        decoded: what its value held, once somebody has decoded it; a value is decoded once.
        size: bytes that it holds in memory.
    """

    __slots__ = ("assigned", "decoded", "key", "record", "size")

    def __init__(self, record: ConsumerRecord, assigned: Assigned, size: int) -> None:
        self.record = record
        self.assigned = assigned
        self.size = size
        self.key: bytes = b""
        self.decoded: Decoded | None = None


class Handler(Protocol):
    """Makes an outcome of every record that it is given."""

    def conversation_key(self, work: Work) -> bytes:
        """The lane of a record that has no key. Never raises."""
        ...

    def start(self, work: Work, done: Callable[[Work], None]) -> None:
        """Begin work and return at once; never raises.

        `done(work)` is called once, when the broker has the record's outcome, and not before the
        event loop's next turn.
        """
        ...
