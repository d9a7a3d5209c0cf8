"""The records of `documents` that were skipped: told once, counted, and listed for an operator."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

LISTED_MAX = 500
"""Documents that are listed; the count goes on."""

TOLD_MAX = 300
"""Characters of a reason, and of an id that is a record's key."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A document that is not in the index as its last record says.

    Attributes:
        id: the document's; the record's key, where no document can be read.
        offset: the record's, on `partition` of `documents`; None: it was read before this worker started.
        at: when it was skipped.
    """

    tenant: str
    id: str
    partition: int | None
    offset: int | None
    reason: str
    at: str


class Skipped:
    """The skipped records of one feed. A document that is indexed after all leaves the list."""

    def __init__(self) -> None:
        self.count = 0
        self._listed: dict[tuple[str, str], Skip] = {}

    def __contains__(self, name: tuple[str, str]) -> bool:
        return name in self._listed

    def add(
        self, name: tuple[str, str], place: tuple[int, int] | None, reason: str, at: datetime | None = None
    ) -> None:
        """Note a record that was skipped."""
        self.count += 1
        name = (name[0], name[1][:TOLD_MAX])
        partition, offset = place or (None, None)
        when = (at or datetime.now(UTC)).isoformat(timespec="milliseconds")
        self._listed.pop(name, None)
        self._listed[name] = Skip(*name, partition, offset, reason[:TOLD_MAX], when)
        if len(self._listed) > LISTED_MAX:
            del self._listed[next(iter(self._listed))]

    def indexed(self, names: Iterable[tuple[str, str]]) -> None:
        """Take documents off the list: their last records are in the index, or deleted."""
        for name in names:
            self._listed.pop(name, None)

    def restore(self, listed: Iterable[Mapping[str, Any]]) -> None:
        """Begin with the list that was saved with the index."""
        for each in listed:
            skip = Skip(**each)
            self._listed[skip.tenant, skip.id] = skip

    def clear(self) -> None:
        """Forget the list: all records are read again."""
        self._listed.clear()

    def listed(self) -> list[dict[str, Any]]:
        """The list, oldest first, as `/state` shows it."""
        return [asdict(skip) for skip in self._listed.values()]
