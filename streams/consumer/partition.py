"""One partition of `questions` while it is ours: which records may start, which offset is due. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import ConsumerRecord

from schemas.control import CancelReason
from streams.consumer.offset_map import encode, may_start_beyond
from streams.consumer.offsets import OffsetTracker
from streams.consumer.recovered import Recovered
from streams.kafka.transactions import OpenTransaction, Progress
from streams.publishing.gate import Gate
from streams.publishing.records import Inquiry


@dataclass(frozen=True, slots=True)
class Due:
    """A commit to make.

    Attributes:
        point: the offset.
        metadata: the offset map above it.
        changes: the tracker's `changes` at the time.
    """

    point: int
    metadata: str
    changes: int


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
        cancelled: why its asker has called it back; None: not so, or too late.
    """

    __slots__ = (
        "cancelled",
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

    def __init__(self, record: ConsumerRecord, partition: "Partition", size: int) -> None:
        self.record = record
        self.partition = partition
        self.size = size
        self.key: bytes = b""
        self.tenant = ""
        self.expires_at = self.late_at = math.inf
        self.waits = False
        self.cancelled: CancelReason | None = None

    def is_cancelled(self) -> bool:
        """Whether its asker has called it back, and it stops."""
        return self.cancelled is not None


class Partition:
    """A partition for as long as it stays with us, across the rebalances that leave it here.

    Args:
        epoch: of the assignment that gave it to us.
        member: whether the group surely counts us as a member (see `lease`).

    Attributes:
        tracker: its offsets that were polled.
        gate: passed by its outcomes.
        ready: it is recovered, so its records may run.
        committed: the offset that the broker has, as far as we know; None: nothing.
        position: the end of its partition of `answers`, as of the last commit or of the recovery.
        running: the started records without an outcome, in the order of their starts, each with the
            `position` of that moment.
        ceiling: no record above this offset may start, because the map would not fit into a commit; None:
            all may.
        held_back: the heads of lanes that may not start yet.
        transaction: the one that keeps us from reading on.
    """

    __slots__ = (
        "_committed_changes",
        "_start",
        "ceiling",
        "committed",
        "gate",
        "held_back",
        "number",
        "position",
        "ready",
        "running",
        "tracker",
        "transaction",
    )

    def __init__(self, number: int, epoch: int, member: Callable[[], bool] = lambda: True) -> None:
        self.number = number
        self.tracker = OffsetTracker(epoch)
        self.gate = Gate(member)
        self.ready = False
        self.committed: int | None = None
        self.position = 0
        self.running: dict[Work, int] = {}
        self.ceiling: int | None = None
        self.held_back: list[Work] = []
        self.transaction = OpenTransaction()
        self._start = 0
        self._committed_changes = 0

    def __repr__(self) -> str:
        return f"<Partition {self.number} ready={self.ready} {self.tracker}>"

    @property
    def lost(self) -> bool:
        """Another worker has it now; the outcomes of the records that still run are dropped."""
        return self.gate.lost

    @property
    def resume(self) -> int:
        """The offset to read next, once it is ready."""
        return self._start if self.tracker.next is None else self.tracker.next

    @property
    def scan_from(self) -> int:
        """The position in `answers` below which no answer completes a record that is incomplete now."""
        # Ends only grow, so the one known when the first of those running was started is the lowest.
        return next(iter(self.running.values()), self.position)

    def is_done(self, offset: int) -> bool:
        """Whether the record at an offset has its outcome, as far as we know."""
        return offset < self._start or self.tracker.is_done(offset)

    def keep(self, epoch: int) -> None:
        """It stays with us in this assignment."""
        self.tracker.epoch = epoch

    def recover(self, found: Recovered) -> None:
        """Begin where the recovery says; its records may run."""
        self.tracker = OffsetTracker(self.tracker.epoch, found.completed)
        self.committed = found.committed
        self.position = found.position
        self._start = found.start
        self.ready = True

    def look(self, progress: Progress, now: float) -> None:
        """Take in how far its log was read and can be read.

        Every record below `progress.position` must have been taken in.
        """
        if progress.position > self.resume:
            self.tracker.pass_over(progress.position)
        self.transaction.look(progress, now)

    def start(self, work: Work) -> bool:
        """Start the record, or hold it back. Returns whether it was started."""
        ceiling = self.ceiling
        if self.gate.blocks or (ceiling is not None and work.record.offset > ceiling):
            self.held_back.append(work)
            return False
        self.running[work] = self.position
        return True

    def finish(self, work: Work) -> None:
        """A started record has its outcome, or nothing is left of it because the partition is lost."""
        self.running.pop(work, None)
        if not self.gate.lost:
            self.tracker.complete(work.record.offset)

    def freed(self) -> list[Work]:
        """Take out the records that need not be held back any more, in their order."""
        if not self.held_back or self.gate.blocks or self.gate.lost:
            return []
        ceiling = self.ceiling
        if ceiling is None:
            freed, self.held_back = self.held_back, []
        else:
            freed = [work for work in self.held_back if work.record.offset <= ceiling]
            self.held_back = [work for work in self.held_back if work.record.offset > ceiling]
        return freed

    def due(self, end_of_answers: int) -> Due | None:
        """The commit to make where the commit point or the map has changed, and the ceiling that it sets.

        Args:
            end_of_answers: the end of its partition of `answers`, as far as it is known.
        """
        self.position = max(self.position, end_of_answers)
        tracker = self.tracker
        point, changes = tracker.commit_point, tracker.changes
        if point is None or (changes == self._committed_changes and self.committed in (None, point)):
            return None
        completed = tracker.completed
        encoded = encode(point, completed, self.scan_from)
        self.ceiling = None if may_start_beyond(encoded.ratio) else completed[-1]
        return Due(point, encoded.metadata, changes)

    def commit(self, due: Due) -> None:
        """The broker has this commit."""
        self.committed, self._committed_changes = due.point, due.changes
