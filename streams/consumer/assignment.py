"""The partitions that are ours, across rebalances, and the records of them that may run. Pure.

aiokafka's rebalances are eager: each takes all partitions away and gives most of them back. From the
moment of taking, nothing of a partition starts or goes out. A partition that comes back, and that nobody
else can have had meanwhile, goes on with its running, waiting and completed records. Any other is lost:
its outcomes stay here, and if it ever comes back, it is recovered from the records of `answers`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from streams.consumer.intake import Intake
from streams.consumer.lanes import Lanes
from streams.consumer.lease import Lease
from streams.consumer.partition import Due, Partition, Work
from streams.consumer.recovered import Recovered
from streams.publishing.gate import Gate

_NOT_OURS = Gate()
_NOT_OURS.lose()


@dataclass(frozen=True, slots=True)
class Reassignment:
    """The partitions that an assignment leaves here, takes away and adds."""

    kept: list[Partition]
    lost: list[Partition]
    new: list[Partition]


class Assignment:
    """The partitions of the topic that this worker has.

    Args:
        end_of_answers: the end of a partition of `answers`, as far as it is known; 0 if it is not.
        lease: needed to write anything.

    Attributes:
        epoch: grows with every assignment.
        partitions: ours by number; during a rebalance also those that it has taken.
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
        self.partitions: dict[int, Partition] = {}
        self.lanes: Lanes[Work] = Lanes()
        self._end_of_answers = end_of_answers
        self._generation = -1
        self._committed: dict[int, int] = {}
        """The last commits of partitions that were lost; the group's commits do not move back."""

    @property
    def recovered(self) -> bool:
        """Whether all partitions are recovered."""
        return all(partition.ready for partition in self.partitions.values())

    def gate_of(self, number: int) -> Gate:
        """Return the gate that all records about a partition pass; a lost one if it is not ours."""
        partition = self.partitions.get(number)
        return _NOT_OURS if partition is None else partition.gate

    def hold(self) -> None:
        """A rebalance begins."""
        self.held = True
        for partition in self.partitions.values():
            partition.gate.hold()

    def renew(self, at: float) -> None:
        """The group has answered a request that was sent at that time: we were a member then."""
        self.lease.renew(at)
        if not self.held:
            for partition in self.partitions.values():
                partition.gate.release()

    def assign(self, numbers: Collection[int], generation: int) -> Reassignment:
        """Take these partitions, and no others, as ours in this generation of the group.

        Returns:
            The `new` ones have to be recovered, the `lost` ones cut off.
        """
        # Every generation between would have given each partition to somebody. A member that is
        # expelled has none, -1, and comes back two generations later at the earliest.
        stayed = 0 <= self._generation <= generation <= self._generation + 1
        self.epoch += 1
        self.held = False
        self._generation = generation
        before, self.partitions = self.partitions, {}
        changed = Reassignment([], [], [])
        for number, partition in before.items():
            if not (stayed and partition.ready and number in numbers):
                self._committed[number] = partition.committed or 0
                self._drop(partition)
                changed.lost.append(partition)
        for number in sorted(numbers):
            known = before.get(number)
            if known is not None and stayed and known.ready:
                known.keep(self.epoch)
                self.partitions[number] = known
                changed.kept.append(known)
            else:
                changed.new.append(self._add(number))
        # Those that a gate calls back find all of this done.
        for partition in changed.lost:
            partition.gate.lose()
        for partition in changed.kept:
            partition.gate.release()
        return changed

    def begin_anew(self, number: int) -> Partition:
        """Lose a partition of ours and have it recovered as a new one. Returns the lost one."""
        lost = self.partitions[number]
        self._drop(lost)
        self._add(number)
        lost.gate.lose()
        return lost

    def recover(self, found: Recovered) -> Partition | None:
        """Let the records of this partition run.

        Returns:
            The partition; None where it is not ours any more, or was ready already.
        """
        partition = self.partitions.get(found.number)
        if partition is None or partition.ready:
            return None
        partition.recover(found)
        self.intake.assign(found.number)
        return partition

    def committed_before(self, number: int) -> int:
        """Return the last commit of a partition when we lost it, once; 0 where there was none.

        A recovery that begins below it means that the topic was made anew: a broker deletes the commits of
        a topic with it.
        """
        return self._committed.pop(number, 0)

    def take_in(self, work: Work, now: float) -> None:
        """A record was polled at `now` (seconds); its key is known."""
        partition = work.partition
        if partition.tracker.polled(work.record.offset, now):
            self.intake.received(partition.number, work.size)
            self.lanes.add(partition.number, work.key, work)

    def take(self, most: int) -> list[Work]:
        """Start the next records, at most so many."""
        taken: list[Work] = []
        intake, lanes = self.intake, self.lanes
        slots = 0 if self.held else min(most, intake.slots)
        most_of_tenant = intake.most_of(lanes.tenants)
        while len(taken) < slots and intake.running_bytes < intake.max_bytes:
            work = lanes.take(most_of_tenant)
            if work is None:
                break
            if work.partition.start(work):
                intake.started(work.partition.number, work.size)
                taken.append(work)
            else:
                lanes.release(work)
        return taken

    def take_if(self, wanted: Callable[[Work], bool], most: int) -> list[Work]:
        """Start the wanted ones of the next records, at most so many, though no slot is free."""
        taken: list[Work] = []
        most = 0 if self.held else min(most, self.intake.refusals)
        for work in self.lanes.take_if(wanted, most):
            if work.partition.start(work):
                self.intake.started(work.partition.number, work.size)
                taken.append(work)
            else:
                self.lanes.release(work)
        return taken

    def free_slot(self, work: Work) -> None:
        """Nothing runs for a record that was started; its lane waits until its outcome is safe."""
        work.waits = True
        self.intake.free_slot()
        self.lanes.release(work)

    def finish(self, work: Work) -> None:
        """A record that was started is done, even if its partition is another worker's by now."""
        self.intake.finished(work.size, without_slot=work.waits)
        if not work.waits:
            self.lanes.release(work)
        partition = work.partition
        partition.finish(work)
        if not partition.gate.lost:
            self.lanes.finish(partition.number, work.key)
            # Under a ceiling this would go through all of them for each that finishes; `due` does it.
            if partition.held_back and partition.ceiling is None:
                self._put_back(partition)

    def due(self, partition: Partition) -> Due | None:
        """The commit to make of a partition; None where nothing has changed."""
        due = partition.due(self._end_of_answers(partition.number))
        self._put_back(partition)
        return due

    def _add(self, number: int) -> Partition:
        partition = self.partitions[number] = Partition(number, self.epoch, self.lease.valid)
        return partition

    def _drop(self, partition: Partition) -> None:
        self.lanes.drop(partition.number)
        self.intake.drop(partition.number)

    def _put_back(self, partition: Partition) -> None:
        for work in reversed(partition.freed()):
            self.lanes.put_back(partition.number, work)
