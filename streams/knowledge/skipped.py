"""The records of `documents` that were skipped: told once, counted, and listed for an operator.

The list outlives its process. An index of the process's own is saved with it; for a shared index each commit
of a partition carries that partition's part, as far as it fits.
"""

import zlib
from base64 import b85decode, b85encode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

LISTED_MAX = 500
"""Documents that are listed; the count goes on."""

TOLD_MAX = 300
"""Characters of a reason, and of an id that is a record's key."""

NOTE_MAX = 4096
"""Characters of a commit's metadata: the default of brokers (`offset.metadata.max.bytes`)."""

_NOTED_MAX = 200
_UNPACKED_MAX = 1_048_576
_FORM = "skipped1:"


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
        self._notes: dict[int, str] = {}
        self._partitions: frozenset[int] = frozenset()

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
        self._notes.clear()
        if len(self._listed) > LISTED_MAX:
            del self._listed[next(iter(self._listed))]

    def indexed(self, names: Iterable[tuple[str, str]]) -> None:
        """Take documents off the list: their last records are in the index, or deleted."""
        for name in names:
            if self._listed.pop(name, None) is not None:
                self._notes.clear()

    def restore(self, listed: Iterable[Mapping[str, Any]]) -> None:
        """Begin with the list that was saved with the index."""
        for each in listed:
            skip = Skip(**each)
            self._listed[skip.tenant, skip.id] = skip
        self._notes.clear()

    def clear(self) -> None:
        """Forget the list: all records are read again."""
        self._listed.clear()
        self._notes.clear()

    def note(self, partition: int) -> str:
        """Return a partition's part of the list for its commit: the last ones, as many as fit."""
        if partition not in self._notes:
            skips = [skip for skip in self._listed.values() if skip.partition == partition]
            self._notes[partition] = _packed(skips[-_NOTED_MAX:])
        return self._notes[partition]

    def take_over(self, notes: Mapping[int, str]) -> None:
        """List the documents of exactly these partitions, with the notes of their last commits.

        A partition that this process has had before keeps its part: the note may be older.
        """
        new = notes.keys() - self._partitions
        self._partitions = frozenset(notes)
        gone = [name for name, skip in self._listed.items() if skip.partition not in {None, *notes}]
        for name in gone:
            del self._listed[name]
        for partition in sorted(new):
            self.restore(_unpacked(notes[partition], partition))

    def listed(self) -> list[dict[str, Any]]:
        """The list, oldest first, as `/state` shows it."""
        return [asdict(skip) for skip in self._listed.values()]


def _packed(skips: Collection[Skip]) -> str:
    left = [(skip.tenant, skip.id, skip.offset, skip.reason, skip.at) for skip in skips]
    while left:
        note = _FORM + b85encode(zlib.compress(msgspec.json.encode(left))).decode()
        if len(note) <= NOTE_MAX:
            return note
        del left[: len(left) // 8 + 1]
    return ""


def _unpacked(note: str, partition: int) -> list[dict[str, Any]]:
    """Read a note; nothing where somebody else wrote it."""
    if not note.startswith(_FORM):
        return []
    try:
        packed = b85decode(note.removeprefix(_FORM))
        value = zlib.decompressobj().decompress(packed, _UNPACKED_MAX)
        skips = msgspec.json.decode(value, type=list[tuple[str, str, int | None, str, str]])
    except (ValueError, zlib.error, msgspec.MsgspecError):
        return []
    return [
        asdict(Skip(tenant, name, partition, offset, reason, at))
        for tenant, name, offset, reason, at in skips
    ]
