"""The partitions that are ours: what of them may run, across rebalances. Pure.

aiokafka's rebalances are eager: each takes everything away and gives most of it back. From the moment of
taking, nothing of a partition starts or goes out. Where it comes back, and nobody can have had it
meanwhile, all goes on as it was: what runs, what waits, what is done. Else it is lost: its outcomes stay
here, and if it ever comes back, then as a new one, recovered from what others have written.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from streams.consumer.intake import Intake
from streams.consumer.lanes import Lanes
from streams.consumer.lease import Lease
from streams.consumer.offset_map import encode, may_start_beyond
from streams.consumer.recovery import Recovered
from streams.consumer.work import Assigned, Work


@dataclass(frozen=True, slots=True)
class Changed:
    """What an assignment made of the partitions."""

    kept: list[Assigned]
    lost: list[Assigned]
    new: list[Assigned]


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be committed of a partition; `changes` is the tracker's, when this was made."""

    point: int
    metadata: str
    changes: int


class Assignment:
    """What this worker has of the topic.

    Args:
        end_of_answers: the end of a partition of `answers`, as far as it is known; 0 if it is not.
        lease: what everything written needs.

    Attributes:
        epoch: grows with every assignment.
        partitions: ours by number; those that a rebalance under way has taken, too.
        held: a rebalance is under way.
    """

    def __init__(
        self,
        intake: Intake,
        end_of_answers: Callable[[int], int] = lambda _: 0,
        lease: Lease | None = None,
    ) -> None:
        self.intake = intake
        self.lease = Lease() if lease is None else lease
        self.epoch = 0
        self.held = False
        self.partitions: dict[int, Assigned] = {}
        self.lanes: Lanes[Work] = Lanes()
        self._end_of_answers = end_of_answers
        self._generation = -1

    @property
    def recovered(self) -> bool:
        """Whether what was done before is known of all of them."""
        return all(assigned.ready for assigned in self.partitions.values())

    def hold(self) -> None:
        """A rebalance begins."""
        self.held = True
        for assigned in self.partitions.values():
            assigned.gate.hold()

    def renew(self, at: float) -> None:
        """The group has answered to what was sent to it at that time: we were a member then."""
        self.lease.renew(at)
        if not self.held:
            for assigned in self.partitions.values():
                assigned.gate.release()

    def assign(self, numbers: Collection[int], generation: int) -> Changed:
        """These are ours in this generation of the group, and no others.

        `new` ones have to be recovered, `lost` ones cut off.
        """
        # Every generation between would have given each partition to somebody. A member that is
        # expelled has none, -1, and comes back two generations later at the earliest.
        stayed = 0 <= self._generation <= generation <= self._generation + 1
        self.epoch += 1
        self.held = False
        self._generation = generation
        before, self.partitions = self.partitions, {}
        changed = Changed([], [], [])
        for number, assigned in before.items():
            if not (stayed and assigned.ready and number in numbers):
                self.lanes.drop(number)
                self.intake.drop(number)
                changed.lost.append(assigned)
        for number in sorted(numbers):
            known = before.get(number)
            if known is not None and stayed and known.ready:
                known.tracker.epoch = self.epoch
                self.partitions[number] = known
                changed.kept.append(known)
            else:
                fresh = self.partitions[number] = Assigned(number, self.epoch, self.lease.valid)
                changed.new.append(fresh)
        # Whoever is told by a gate finds all of this done.
        for assigned in changed.lost:
            assigned.gate.lose()
        for assigned in changed.kept:
            assigned.gate.release()
        return changed

    def recover(self, found: Recovered) -> Assigned | None:
        """Records of this partition may run; None where it is not ours any more, or ready already."""
        assigned = self.partitions.get(found.number)
        if assigned is None or assigned.ready:
            return None
        assigned.tracker = type(assigned.tracker)(assigned.tracker.epoch, found.completed)
        assigned.start = found.start
        assigned.committed = found.committed
        assigned.position = found.position
        assigned.ready = True
        self.intake.assign(found.number)
        return assigned

    def take_in(self, work: Work, now: float) -> None:
        """A record was polled; its key is known."""
        assigned = work.assigned
        if assigned.committed is None:
            assigned.committed = work.record.offset
        if assigned.tracker.polled(work.record.offset, now):
            self.intake.received(assigned.number, work.size)
            self.lanes.add(assigned.number, work.key, work)

    def take(self, most: int) -> list[Work]:
        """The next records to start, no more than so many."""
        taken: list[Work] = []
        intake, lanes = self.intake, self.lanes
        slots = 0 if self.held else min(most, intake.slots)
        most_of_tenant = intake.most_of(lanes.tenants)
        while len(taken) < slots and intake.running_bytes < intake.max_bytes:
            work = lanes.take(most_of_tenant)
            if work is None:
                break
            if self._start(work):
                taken.append(work)
        return taken

    def take_if(self, wanted: Callable[[Work], bool], most: int) -> list[Work]:
        """Those of the next records that are wanted, no more than so many, though no slot is free."""
        most = 0 if self.held else min(most, self.intake.refusals)
        return [work for work in self.lanes.take_if(wanted, most) if self._start(work)]

    def free_slot(self, work: Work) -> None:
        """For a record that was started nothing runs; its lane waits until its outcome is safe."""
        work.waits = True
        self.intake.free_slot()
        self.lanes.release(work)

    def finish(self, work: Work) -> None:
        """A record that was started is done, whoever its partition belongs to by now."""
        self.intake.finished(work.size, without_slot=work.waits)
        if not work.waits:
            self.lanes.release(work)
        assigned = work.assigned
        assigned.running.pop(work, None)
        if not assigned.gate.lost:
            assigned.tracker.complete(work.record.offset)
            self.lanes.finish(assigned.number, work.key)
            if assigned.above and assigned.ceiling is None and not assigned.gate.blocks:
                self._limit(assigned, None)

    def due(self, assigned: Assigned) -> Due | None:
        """What is to be committed: where the offset has grown or the map has changed."""
        assigned.position = max(assigned.position, self._end_of_answers(assigned.number))
        tracker = assigned.tracker
        point, changes = tracker.commit_point, tracker.changes
        if not assigned.ready or point is None:
            return None
        if assigned.committed is not None and point < assigned.committed:
            return None  # never back: what is below has its outcome
        if point == assigned.committed and changes == assigned.changes:
            return None
        completed = tracker.completed
        # Where the map is left out, only times tell where to scan from: what an earlier map named is below.
        encoded = encode(point, completed, self.scan_from(assigned), stripped_scan_from=None)
        fits = may_start_beyond(encoded.ratio)
        if not fits or assigned.ceiling is not None:
            self._limit(assigned, None if fits else completed[-1])
        return Due(point, encoded.metadata, changes)

    def committed(self, assigned: Assigned, due: Due) -> None:
        """The broker has it."""
        assigned.committed, assigned.changes = due.point, due.changes

    def scan_from(self, assigned: Assigned) -> int:
        """Every answer that completes what is incomplete now will be at this position or above."""
        # Ends only grow, so the one known when the first of those running was started is the lowest.
        return next(iter(assigned.running.values()), assigned.position)

    def _start(self, work: Work) -> bool:
        """Whether it may, or waits until it may."""
        assigned = work.assigned
        ceiling = assigned.ceiling
        if assigned.gate.blocks or (ceiling is not None and work.record.offset > ceiling):
            self.lanes.release(work)
            assigned.above.append(work)
            return False
        assigned.running[work] = assigned.position
        self.intake.started(assigned.number, work.size)
        return True

    def _limit(self, assigned: Assigned, ceiling: int | None) -> None:
        assigned.ceiling = ceiling
        above, assigned.above = assigned.above, []
        if not assigned.lost:
            for work in reversed(above):
                self.lanes.put_back(assigned.number, work)
