"""A record that whoever sends it hears of again."""

from collections.abc import Callable

from streams.publishing.gate import Gate
from streams.publishing.queues import Item
from streams.publishing.records import Record


class Reported(Item):
    """Calls back with itself and with what became of it."""

    def __init__(
        self,
        record: Record,
        report: Callable[[Record, BaseException | None], object],
        gate: Gate | None = None,
    ) -> None:
        super().__init__(record, gate)
        self.settled = lambda error: report(record, error)  # type: ignore[method-assign]
