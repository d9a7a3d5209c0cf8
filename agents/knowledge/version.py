"""Which knowledge of a tenant there is, named so that two processes mean the same by it. Pure.

A tenant's knowledge is what its records on `documents` come to, and these are in order: the last one
that is in the index names the state of all. Its offset alone would do until the topic is made anew; its
timestamp tells the two topics apart.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from random import getrandbits

Version = tuple[tuple[int, int, int], ...]
"""(partition, offset, timestamp in ms) of the last record on each partition that has one of the tenant."""

_FLAW = -1
"""Stands for a partition, with a number that no other process has."""
_BASE = -1
"""Stands for a timestamp where only an offset is known, below which the tenant's last record is."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A record: its offset, and its timestamp in ms."""

    offset: int
    timestamp: int


class KnowledgeVersions:
    """The version of each tenant's knowledge, kept by whoever reads `documents`.

    A version is told only while it says all: not before everything has been read, and not while
    records of the tenant are on their way into the index.
    """

    def __init__(self) -> None:
        self._base: Mapping[int, int] | None = None
        self._marks: dict[str, dict[int, Mark]] = {}
        self._versions: dict[str, Version] = {}
        self._unseen: Version = ()
        self._changing: set[str] = set()

    def __repr__(self) -> str:
        return f"<KnowledgeVersions {'unknown' if self._base is None else len(self._marks)}>"

    @property
    def known(self) -> bool:
        """Whether versions are told at all."""
        return self._base is not None

    @property
    def marks(self) -> Mapping[str, Mapping[int, Mark]]:
        """The last record of each tenant and partition, for an index that is saved."""
        return self._marks

    def of(self, tenant: str) -> Version | None:
        """The version of what a search finds now; None: it cannot be told, and nothing may rest on it."""
        if self._base is None or tenant in self._changing:
            return None
        return self._versions.get(tenant, self._unseen)

    def restore(self, marks: Mapping[str, Mapping[int, Mark]]) -> None:
        """Go on from what was saved with the index."""
        self._marks = {tenant: dict(each) for tenant, each in marks.items()}
        self._tell(self._marks)

    def begin(self, base: Mapping[int, int] | None = None) -> None:
        """Tell versions from now on: everything there is has been read.

        `base` gives, for each partition that was not read from its beginning, where reading began.
        """
        self._base = dict(base or {})
        self._unseen = self._version({})
        self._tell(self._marks)

    def forget(self) -> None:
        """The index is filled again, or it is not known any more how far it is."""
        self._base = None
        self._marks.clear()
        self._versions.clear()
        self._changing.clear()

    def changing(self, tenants: Iterable[str]) -> None:
        """Records of these tenants are about to change the index."""
        self._changing.update(tenants)

    def changed(self, partition: int, marks: Mapping[str, Mark], flawed: Collection[str] = ()) -> None:
        """All of these tenants' records up to `marks` are in the index.

        `flawed` are tenants of which the index has refused something. Another process' may have taken
        it: from now on their versions are this process' own.
        """
        for tenant, mark in marks.items():
            self._marks.setdefault(tenant, {})[partition] = mark
        for tenant in flawed:
            self._marks.setdefault(tenant, {})[_FLAW] = Mark(getrandbits(62), 0)
        self._changing.difference_update(marks)
        self._tell(marks.keys() | set(flawed))

    def _tell(self, tenants: Iterable[str]) -> None:
        if self._base is not None:
            self._versions.update({tenant: self._version(self._marks[tenant]) for tenant in tenants})

    def _version(self, marks: Mapping[int, Mark]) -> Version:
        last = {partition: (offset, _BASE) for partition, offset in (self._base or {}).items()}
        last |= {partition: (mark.offset, mark.timestamp) for partition, mark in marks.items()}
        return tuple((partition, *last[partition]) for partition in sorted(last))
