"""A record on its way from the loop to its handler and back."""

import math
from collections.abc import Callable
from typing import Protocol

from aiokafka import ConsumerRecord

from streams.consumer.partition import Partition
from streams.publishing.records import Inquiry


class Work:
    """One record on its way through the worker.

    Attributes:
        key: its lane within the partition.
        tenant: the tenant whose turn it takes.
        inquiry: the decoded record; set by the handler's `prepare`.
        expires_at: when its deadline is, in unix seconds; infinite where it has none.
        late_at: when it has waited for too long, in unix seconds, should many do so.
        size: bytes that it holds in memory.
        waits: its outcome waits for the broker, without a slot, because nothing runs for it.
    """

    __slots__ = (
        "expires_at",
        "inquiry",
        "key",
        "late_at",
        "partition",
        "record",
        "size",
        "tenant",
        "waits",
    )

    inquiry: Inquiry

    def __init__(self, record: ConsumerRecord, partition: Partition, size: int) -> None:
        self.record = record
        self.partition = partition
        self.size = size
        self.key: bytes = b""
        self.tenant = ""
        self.expires_at = self.late_at = math.inf
        self.waits = False


class Handler(Protocol):
    """Makes an outcome of every record that it is given."""

    def prepare(self, work: Work) -> None:
        """Fill in its inquiry, its lane, its tenant and its times; never raise."""
        ...

    def start(self, work: Work, done: Callable[[Work], None]) -> bool:
        """Begin work and return at once; never raise.

        `done(work)` is called once, and not before the event loop's next turn: when the broker has the
        record's outcome, or, where the record's partition is lost, when nothing is left of it here.

        Returns:
            False where nothing runs, because the outcome is on its way already.
        """
        ...

    def refuses(self, work: Work) -> bool:
        """Return whether `start` would refuse it for lack of time; never raise."""
        ...

    def drop(self, number: int) -> None:
        """Forget the state of a partition that is lost."""
        ...

    def abandon(self, work: Work) -> None:
        """Spend no more on a started record, because its partition is lost."""
        ...
