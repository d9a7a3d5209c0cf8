"""The version of a tenant's knowledge, a name on which all processes agree, and its position. Pure.

A tenant's records on `documents` are in order, so that the last record in the index names the state of
all its documents. The record's offset would be enough until the topic is recreated; its timestamp tells
the old topic from the new one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from random import getrandbits
from typing import NamedTuple

Version = tuple[tuple[int, int, int], ...]
"""(partition, offset, timestamp in ms) of the tenant's last record on each partition that has one."""

_FLAW = -1
"""Stands for a partition number, beside a random number that no other process has."""
_BASE = -1
"""Stands for a timestamp if only an offset is known, and the tenant's last record is below it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A record's offset and timestamp (in ms)."""

    offset: int
    timestamp: int


class Position(NamedTuple):
    """How far `documents` is in the index: every record below `offset`, the last of them from `timestamp`."""

    offset: int
    timestamp: int


class KnowledgeVersions:
    """The version of each tenant's knowledge; the reader of `documents` keeps it up to date.

    A tenant has no version before everything has been read, nor while its records are on their way into
    the index: a search would then find the old and the new.
    """

    def __init__(self) -> None:
        self._base: Mapping[int, int] | None = None
        self._marks: dict[str, dict[int, Mark]] = {}
        self._versions: dict[str, Version] = {}
        self._unseen: Version = ()
        self._changing: set[str] = set()
        # By partition: the next offset, and the time of the last record below it (None: there is none).
        self._read: dict[int, tuple[int, int | None]] = {}

    def __repr__(self) -> str:
        return f"<KnowledgeVersions {'unknown' if self._base is None else len(self._marks)}>"

    @property
    def known(self) -> bool:
        """Whether tenants have versions at all."""
        return self._base is not None

    @property
    def marks(self) -> Mapping[str, Mapping[int, Mark]]:
        """The last record by tenant and partition, to be saved with an index."""
        return self._marks

    def of(self, tenant: str) -> Version | None:
        """Return the version of the knowledge that a search finds now; None: unknown, so keep no result."""
        if self._base is None or tenant in self._changing:
            return None
        return self._versions.get(tenant, self._unseen)

    @property
    def position(self) -> Position | None:
        """The position in the topic; None: unknown, or there are no records, or several partitions."""
        if self._base is None or len(self._read) != 1:
            return None
        [(offset, timestamp)] = self._read.values()
        return None if timestamp is None else Position(offset, timestamp)

    def flawed(self, tenant: str) -> bool:
        """Whether the index has refused a record of the tenant."""
        return _FLAW in self._marks.get(tenant, ())

    def read_to(self, partition: int, offset: int, timestamp: int | None = None) -> None:
        """Note that all records of a partition below an offset are in the index.

        `timestamp` is that of the last one, in ms; None: no record has come since this was called last.
        """
        if timestamp is None and partition in self._read:
            timestamp = self._read[partition][1]
        self._read[partition] = offset, timestamp

    def restore(self, marks: Mapping[str, Mapping[int, Mark]]) -> None:
        """Go on from the marks that were saved with the index."""
        self._marks = {tenant: dict(each) for tenant, each in marks.items()}
        self._update_versions(self._marks)

    def begin(self, base: Mapping[int, int] | None = None) -> None:
        """Give tenants versions from now on: all records have been read.

        `base` holds the first offset that was read of each partition that was not read from its beginning.
        """
        self._base = dict(base or {})
        self._unseen = self._version({})
        self._update_versions(self._marks)

    def forget(self) -> None:
        """Drop all versions: the index is filled again, or its progress is unknown."""
        self._base = None
        self._marks.clear()
        self._versions.clear()
        self._changing.clear()
        self._read.clear()

    def changing(self, tenants: Iterable[str]) -> None:
        """Withhold these tenants' versions: their records are about to change the index."""
        self._changing.update(tenants)

    def changed(self, partition: int, marks: Mapping[str, Mark], flawed: Collection[str] = ()) -> None:
        """Set these tenants' versions: their records up to `marks` are in the index.

        The index refused a record of each `flawed` tenant. Another process's index may have taken it, so
        that this process shares no version of the tenant with others from now on.
        """
        for tenant, mark in marks.items():
            self._marks.setdefault(tenant, {})[partition] = mark
        for tenant in flawed:
            self._marks.setdefault(tenant, {})[_FLAW] = Mark(getrandbits(62), 0)
        self._changing.difference_update(marks)
        self._update_versions(marks.keys() | set(flawed))

    def _update_versions(self, tenants: Iterable[str]) -> None:
        if self._base is not None:
            self._versions.update({tenant: self._version(self._marks[tenant]) for tenant in tenants})

    def _version(self, marks: Mapping[int, Mark]) -> Version:
        last = {partition: (offset, _BASE) for partition, offset in (self._base or {}).items()}
        last |= {partition: (mark.offset, mark.timestamp) for partition, mark in marks.items()}
        return tuple((partition, *last[partition]) for partition in sorted(last))
