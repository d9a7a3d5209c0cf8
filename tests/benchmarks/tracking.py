"""The cost of incomplete offsets: bytes each, whether memory stays flat as they come and go, and a commit.

    python -m tests.benchmarks.tracking [--offsets N] [--partitions N] [--rounds N]

No broker: only the accounts of the offsets (tracker, lanes, intake) are measured. The records themselves are
left out, and each is a conversation of its own.
"""

import argparse
import random
import time
import tracemalloc

import msgspec
from aiokafka import ConsumerRecord

from streams.consumer.assignment import Assignment
from streams.consumer.intake import Intake
from streams.consumer.partition import Work
from streams.consumer.recovered import Recovered


class Tracked(msgspec.Struct):
    """The results.

    Attributes:
        bytes_each: memory held for an incomplete record besides the record, in each round.
        due_ms: the time of `Assignment.due` for all partitions, with half of the polled records done, in no
            order; and for the slowest of them, for which the event loop waits.
    """

    bytes_each: list[float]
    due_ms: float
    longest_due_ms: float


class Tracking:
    """An assignment with a number of partitions, of which only the records taken here run."""

    def __init__(self, partitions: int, limit: int) -> None:
        intake = Intake(max_in_flight=limit, max_buffered=limit, max_bytes=2**40)
        self.assignment = Assignment(intake)
        self.assignment.assign(range(partitions), 1)
        for number in range(partitions):
            self.assignment.recover(Recovered(number, 0, 0))
        self.partitions = partitions
        self.next = 0
        self.running: list[Work] = []

    def records(self, count: int) -> list[ConsumerRecord]:
        """The next records, the partitions in turn."""
        made = []
        for number in range(self.next, self.next + count):
            offset, partition = divmod(number, self.partitions)
            key = f"conversation-{number}".encode()
            made.append(
                ConsumerRecord("questions", partition, offset, 0, 0, key, b"{}", None, len(key), 2, ())
            )
        self.next += count
        return made

    def take_in(self, records: list[ConsumerRecord]) -> None:
        """Poll and start records."""
        for record in records:
            work = Work(record, self.assignment.partitions[record.partition], 100)
            work.key = record.key
            self.assignment.take_in(work, float(record.offset // 64))
        self.running += self.assignment.take(len(records))

    def finish(self, count: int) -> None:
        """Finish the oldest running records, in no order."""
        oldest, self.running = self.running[:count], self.running[count:]
        random.Random(self.next).shuffle(oldest)
        for work in oldest:
            self.assignment.finish(work)

    def due(self) -> list[float]:
        """CPU seconds for making each partition's part of a commit."""
        took = []
        for partition in self.assignment.partitions.values():
            started = time.thread_time()
            due = self.assignment.due(partition)
            took.append(time.thread_time() - started)
            if due is not None:
                partition.commit(due)
        return took


def measure(offsets: int, partitions: int, rounds: int) -> Tracked:
    """Keep `offsets` incomplete over some rounds; in each, half of them finish and new ones come."""
    tracking = Tracking(partitions, 2 * offsets)
    bytes_each: list[float] = []
    tracemalloc.start()
    records = tracking.records(offsets)
    of_records, _ = tracemalloc.get_traced_memory()
    for _ in range(rounds):
        tracking.take_in(records)
        records.clear()
        held, _ = tracemalloc.get_traced_memory()
        bytes_each.append((held - of_records) / offsets)
        tracking.finish(offsets // 2)
        tracking.due()
        records = tracking.records(offsets // 2)
    tracemalloc.stop()
    timed = Tracking(partitions, 2 * offsets)
    timed.take_in(timed.records(2 * offsets))
    random.Random(offsets).shuffle(timed.running)
    timed.finish(offsets)
    due = timed.due()
    return Tracked(bytes_each, sum(due) * 1000, max(due) * 1000)


def show(tracked: Tracked) -> None:
    """Print the results of `measure`."""
    first, last = tracked.bytes_each[0], tracked.bytes_each[-1]
    print(
        f"incomplete offsets: {first:.0f} bytes each at first, {last:.0f} after {len(tracked.bytes_each)} "
        f"rounds; their maps take {tracked.due_ms:.0f} ms, the longest {tracked.longest_due_ms:.2f} ms"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--offsets", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    show(measure(options.offsets, options.partitions, options.rounds))
