"""Ends the questions that their askers have called back: those that run, and those that wait for a slot."""

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import ConsumerRecord

from schemas.control import CancelReason
from streams.consumer.assignment import Assignment
from streams.consumer.cancels import Cancels
from streams.consumer.partition import Work

Stop = Callable[[Work, CancelReason], None]
"""Stops a question that runs; one whose outcome is made already goes on."""


class Cancelling:
    """Applies the records of `questions.control`.

    It stops the questions that run. Those that wait are refused with those that have no time left.
    """

    def __init__(self, cancels: Cancels, assignment: Assignment, *, stop: Stop) -> None:
        self._cancels = cancels
        self._assignment = assignment
        self._stop = stop
        self._recovering: dict[int, Callable[[int], bool]] = {}

    @property
    def kept(self) -> int:
        """How many cancels are kept."""
        return self._cancels.count

    def ignored(self, reason: str) -> int:
        """How many records were passed over for a reason (see `streams.consumer.cancels.IGNORED`)."""
        return self._cancels.ignored[reason]

    def state(self) -> dict[str, Any]:
        """Return its part of `/state`."""
        return {"kept": self.kept, "ignored": dict(self._cancels.ignored)}

    def recovering(self, number: int, done: Callable[[int], bool]) -> None:
        """Ask `done` which questions of a partition have their outcome, until `recovered`."""
        self._recovering[number] = done

    def recovered(self, number: int) -> None:
        """Ask the partition itself from now on."""
        self._recovering.pop(number, None)

    def take(self, number: int, records: Sequence[ConsumerRecord]) -> None:
        """Take in records of one partition of the topic."""
        partition = self._assignment.partitions.get(number)
        if partition is None:
            return
        kept = [self._cancels.take(record, self._done) for record in records]
        if not any(kept) or not partition.ready:
            return
        for work in list(partition.running):
            reason = self._cancels.of(work)
            if reason is not None:
                self._stop(work, reason)

    def _done(self, number: int, offset: int) -> bool:
        done = self._recovering.get(number)
        if done is not None:
            return done(offset)
        partition = self._assignment.partitions.get(number)
        return partition is not None and partition.is_done(offset)
