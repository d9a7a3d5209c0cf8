"""Members of a group that come, go and crash while questions run: the guarantees hold in any order."""

from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRecord
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.consumer.assignment import Assignment
from streams.consumer.intake import Intake
from streams.consumer.lease import Lease
from streams.consumer.offset_map import decode
from streams.consumer.partition import Due, Partition, Work
from streams.consumer.recovered import Recovered

PARTITIONS = (0, 1)
MEMBERS = (0, 1)
SESSION_S = 1.0
members = st.sampled_from(MEMBERS)


class Member:
    """One worker: its assignment, and its records in the pipeline and on their way to the broker."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends: dict[int, int] = dict.fromkeys(PARTITIONS, 0)
        intake = Intake(max_in_flight=4, max_buffered=8, max_bytes=10**6)
        lease = Lease(SESSION_S, clock=lambda: self.now)
        self.assignment = Assignment(intake, lambda number: self.ends[number], lease)
        self.running: list[Work] = []
        self.flying: list[Work] = []
        self.parked: list[Work] = []
        self.pending: list[tuple[int, Partition, Due]] = []
        """Commits that were sent in a generation, and have not reached the broker."""
        self.away = False
        """It was expelled, and does not know."""


class Group(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log: dict[int, list[bytes]] = {number: [] for number in PARTITIONS}
        self.answers: dict[int, list[int]] = {number: [] for number in PARTITIONS}
        self.committed: dict[int, tuple[int, str]] = {}
        self.generation = 0
        self.members = {name: Member() for name in MEMBERS}
        self.clock = 0.0

    # Steps of a member.

    def dispatch(self, member: Member) -> None:
        for work in member.assignment.take(100):
            number, offset = work.record.partition, work.record.offset
            assert offset not in self.answers[number], "what has its outcome runs again"
            member.running.append(work)

    def finish(self, member: Member, work: Work) -> None:
        member.assignment.finish(work)
        self.dispatch(member)

    def decided(self, member: Member, work: Work) -> Callable[[], None]:
        def decide() -> None:
            member.parked.remove(work)
            member.running.append(work)
            if work.partition.gate.lost:
                self.write(member, work)

        return decide

    def write(self, member: Member, work: Work) -> None:
        """Its outcome comes to the gate, and through it to the broker."""
        member.running.remove(work)
        gate, number, offset = work.partition.gate, work.record.partition, work.record.offset
        if gate.lost:
            member.assignment.finish(work)
        elif not gate.open:
            member.parked.append(work)
            gate.wait(self.decided(member, work))
        else:
            assert offset not in self.answers[number], "a second answer"
            keys = self.log[number]
            before = [at for at in range(offset) if keys[at] == keys[offset]]
            assert set(before) <= set(self.answers[number]), "out of order within its key"
            self.answers[number].append(offset)
            gate.departed(1)
            member.flying.append(work)

    def acknowledge(self, member: Member, work: Work) -> None:
        member.flying.remove(work)
        number = work.record.partition
        position = self.answers[number].index(work.record.offset)
        member.ends[number] = max(member.ends[number], position + 1)
        work.partition.gate.arrived(1)
        self.finish(member, work)

    def apply(self, generation: int, assigned: Partition, due: Due) -> bool:
        """A commit reaches the broker."""
        if generation != self.generation:
            return False
        before = self.committed.get(assigned.number, (0, ""))[0]
        assert due.point >= before, "a commit moved backwards"
        assert set(range(due.point)) <= set(self.answers[assigned.number]), "committed beyond an incomplete"
        self.committed[assigned.number] = due.point, due.metadata
        return True

    def recover(self, member: Member, number: int) -> None:
        offset, metadata = self.committed.get(number, (-1, ""))
        found = Recovered(number, max(0, offset), offset if offset >= 0 else None)
        mapped = decode(metadata, offset) if offset >= 0 else None
        begin = 0
        if mapped is not None:
            found.completed.update(mapped.completed)
            begin = mapped.scan_from or 0
        found.completed.update(at for at in self.answers[number][begin:] if at >= found.start)
        found.position = len(self.answers[number])
        member.assignment.recover(found)

    # Rules: the events of a group.

    @initialize()
    def join(self) -> None:
        self.rebalance({0: 0, 1: 0}, frozenset())

    @rule(number=st.sampled_from(PARTITIONS), keys=st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=5))
    def produce(self, number: int, keys: list[bytes]) -> None:
        self.log[number] += keys

    @rule(name=members, number=st.sampled_from(PARTITIONS), count=st.integers(1, 4))
    def poll(self, name: int, number: int, count: int) -> None:
        member = self.members[name]
        assigned = member.assignment.partitions.get(number)
        if member.away or member.assignment.held or assigned is None:
            return
        if not assigned.ready:
            self.recover(member, number)
            assigned = member.assignment.partitions[number]
        if number not in member.assignment.intake.hungry:
            return
        begin = assigned.resume
        assert begin is not None
        self.clock += 1
        for offset in range(begin, min(begin + count, len(self.log[number]))):
            key = self.log[number][offset]
            record: Any = ConsumerRecord("q", number, offset, 0, 0, key, b"", None, 1, 0, ())
            work = Work(record, assigned, 1)
            work.key = key
            member.assignment.take_in(work, self.clock)
        self.dispatch(member)

    @rule(name=members, pick=st.integers(0, 3), acknowledged=st.booleans())
    def outcome(self, name: int, pick: int, acknowledged: bool) -> None:
        member = self.members[name]
        # One that slept through its expulsion and wakes up goes on until it is told.
        if member.running:
            work = member.running[pick % len(member.running)]
            self.write(member, work)
            if acknowledged and work in member.flying:
                self.acknowledge(member, work)

    @rule(name=members, pick=st.integers(0, 3))
    def late_acknowledgement(self, name: int, pick: int) -> None:
        member = self.members[name]
        if member.flying and not member.away:
            self.acknowledge(member, member.flying[pick % len(member.flying)])

    @rule(name=members, fate=st.sampled_from(["arrives", "arrives, the reply is lost", "is lost", "is late"]))
    def commit(self, name: int, fate: str) -> None:
        member = self.members[name]
        if member.away or member.assignment.held:
            return
        for assigned in member.assignment.partitions.values():
            due = member.assignment.due(assigned)
            if due is None:
                continue
            if fate == "is late":
                member.pending.append((self.generation, assigned, due))
            elif fate != "is lost" and self.apply(self.generation, assigned, due) and fate == "arrives":
                assigned.commit(due)
        self.dispatch(member)

    @rule(name=members)
    def late_commit(self, name: int) -> None:
        """One at a time is under way, so it comes before the member's next, or after its generation."""
        pending, self.members[name].pending = self.members[name].pending, []
        for generation, assigned, due in pending:
            if due.point >= self.committed.get(assigned.number, (0, ""))[0]:
                self.apply(generation, assigned, due)

    @rule(name=members, number=st.sampled_from(PARTITIONS))
    def recovered(self, name: int, number: int) -> None:
        member = self.members[name]
        assigned = member.assignment.partitions.get(number)
        if assigned is not None and not assigned.ready and not member.away and not member.assignment.held:
            self.recover(member, number)

    @rule(
        owners=st.fixed_dictionaries(dict.fromkeys(PARTITIONS, members)),
        away=st.frozensets(members, max_size=1),
    )
    def rebalance(self, owners: dict[int, int], away: frozenset[int]) -> None:
        """The group gives out its partitions anew; who is `away` hears nothing of it and gets nothing."""
        for name, member in self.members.items():
            if name in away or member.away:
                member.away = True
                member.now += 2 * SESSION_S
                continue
            member.assignment.hold()
            for work in list(member.flying):
                self.acknowledge(member, work)
            for assigned in member.assignment.partitions.values():
                due = member.assignment.due(assigned)
                if due is not None and self.apply(self.generation, assigned, due):
                    assigned.commit(due)
        self.generation += 1
        there = [name for name in MEMBERS if name not in away]
        for name in there:
            member = self.members[name]
            if member.away:  # it hears that it was expelled only now
                member.away = False
                member.assignment.hold()
                for work in list(member.flying):
                    self.acknowledge(member, work)
            mine = [n for n, owner in owners.items() if (owner if owner in there else there[0]) == name]
            member.assignment.renew(member.now)
            changed = member.assignment.assign(mine, self.generation)
            for lost in changed.lost:
                for work in list(lost.running):
                    if work in member.running:
                        member.running.remove(work)
                        member.assignment.finish(work)
            self.dispatch(member)

    @rule(number=st.sampled_from(PARTITIONS), first=members, back=st.booleans())
    def hand_over(self, number: int, first: int, back: bool) -> None:
        """A member sleeps through a rebalance; the other works on its records; then it is back."""
        self.poll(first, number, 2)
        self.rebalance(dict.fromkeys(PARTITIONS, 1 - first), frozenset({first}))
        self.poll(1 - first, number, 2)
        self.outcome(1 - first, 0, acknowledged=True)
        if back:
            self.rebalance(dict.fromkeys(PARTITIONS, first), frozenset())

    @rule(name=members, number=st.sampled_from(PARTITIONS))
    def crash_unheard(self, name: int, number: int) -> None:
        """An answer is written without an acknowledgement, a later one with it; a commit; a kill."""
        self.rebalance(dict.fromkeys(PARTITIONS, name), frozenset())
        self.poll(name, number, 4)
        self.outcome(name, 0, acknowledged=False)
        self.outcome(name, 0, acknowledged=True)
        self.commit(name, "arrives")
        self.crash(name)
        self.rebalance(dict.fromkeys(PARTITIONS, 1 - name), frozenset())
        self.poll(1 - name, number, 4)

    @rule(name=members)
    def crash(self, name: int) -> None:
        """A kill: the broker has the outcomes that had left; its partitions wait for the group to notice."""
        self.members[name] = Member()

    @invariant()
    def each_answer_is_there_once(self) -> None:
        for answers in self.answers.values():
            assert len(answers) == len(set(answers))

    def teardown(self) -> None:
        """In the end somebody finishes everything."""
        self.rebalance(dict.fromkeys(PARTITIONS, 0), frozenset())
        member = self.members[0]
        for _ in range(1000):
            for number in PARTITIONS:
                self.recovered(0, number)
                self.poll(0, number, 4)
            self.commit(0, "arrives")
            while member.running:
                self.outcome(0, 0, acknowledged=True)
            if all(len(self.answers[n]) == len(self.log[n]) for n in PARTITIONS):
                break
        assert {n: sorted(a) for n, a in self.answers.items()} == {
            n: list(range(len(keys))) for n, keys in self.log.items()
        }, "something was lost"
        self.commit(0, "arrives")
        for number in PARTITIONS:
            if self.log[number]:
                assert self.committed[number][0] == len(self.log[number])
        assert member.assignment.intake.in_flight == 0


TestGroup = Group.TestCase
TestGroup.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
