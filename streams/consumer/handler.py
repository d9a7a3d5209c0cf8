"""The interface of the handler, which makes outcomes of the records that the loop hands out."""

from collections.abc import Callable
from typing import Protocol

from streams.consumer.partition import Work


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
        """Return whether `start` would refuse it, for lack of time or as cancelled; never raise."""
        ...

    def drop(self, number: int) -> None:
        """Forget the state of a partition that is lost."""
        ...

    def abandon(self, work: Work) -> None:
        """Spend no more on a started record, because its partition is lost."""
        ...
