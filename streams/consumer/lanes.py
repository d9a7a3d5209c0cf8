"""Decides which records may run now: one lane a key, in offset order, and only its head runs.

A lane exists while it holds a record, running or waiting, and no longer. Lanes whose head may run are
queued by tenant, the tenants take turns, and within a tenant its partitions do: a flood in one delays no
other.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from itertools import islice
from typing import Generic, Protocol, TypeVar


class Tenanted(Protocol):
    """A record that is queued, and belongs to a tenant."""

    tenant: str


W = TypeVar("W", bound=Tenanted)
Key = Hashable


class _Tenant(Generic[W]):
    __slots__ = ("idle", "ready", "running", "turns")

    def __init__(self) -> None:
        self.ready: dict[int, deque[W]] = {}
        self.turns: deque[int] = deque()
        """Partitions with something ready, in the order in which they are served; each once."""
        self.running = 0
        self.idle = False


class Lanes(Generic[W]):
    """The lanes of all partitions. Each record that is added is handed out once, with `take`."""

    __slots__ = ("_lanes", "_tenants", "_turns")

    def __init__(self) -> None:
        self._lanes: dict[int, dict[Key, deque[W] | None]] = {}
        """The records behind each lane's head; None, not an empty deque: most lanes hold one record."""
        self._tenants: dict[str, _Tenant[W]] = {}
        self._turns: OrderedDict[str, None] = OrderedDict()
        """Tenants with something ready, in the order in which they are served; each once."""

    def __repr__(self) -> str:
        return f"<Lanes { ({number: len(lanes) for number, lanes in self._lanes.items()}) }>"

    def __len__(self) -> int:
        """How many lanes there are."""
        return sum(len(lanes) for lanes in self._lanes.values())

    @property
    def tenants(self) -> int:
        """How many tenants had records lately; see `sweep`."""
        return len(self._tenants)

    def running(self, tenant: str) -> int:
        """Return how many of a tenant's records were taken and not released."""
        known = self._tenants.get(tenant)
        return 0 if known is None else known.running

    def add(self, partition: int, key: Key, work: W) -> None:
        """Put a record at the end of its lane. Records of a partition are added in offset order."""
        lanes = self._lanes.get(partition)
        if lanes is None:
            lanes = self._lanes[partition] = {}
        if key not in lanes:
            lanes[key] = None
            self._queue(partition, work).append(work)
            return
        waiting = lanes[key]
        if waiting is None:
            lanes[key] = deque((work,))
        else:
            waiting.append(work)

    def take(self, most: int) -> W | None:
        """Take the next record to run; None where none may: at most `most` of each tenant run at once."""
        turns = self._turns
        for _ in range(len(turns)):
            name = next(iter(turns))
            tenant = self._tenants[name]
            if tenant.running >= most:
                turns.move_to_end(name)
                continue
            ready = tenant.ready[tenant.turns[0]]
            work = ready.popleft()
            if ready:
                tenant.turns.rotate(-1)
            else:
                tenant.turns.popleft()
            if tenant.turns:
                turns.move_to_end(name)
            else:
                del turns[name]
            tenant.running += 1
            return work
        return None

    def take_if(self, wanted: Callable[[W], bool], most: int) -> list[W]:
        """Take at most `most` of the wanted records that may run, without a limit for a tenant."""
        taken: list[W] = []
        for name in list(self._turns):
            tenant = self._tenants[name]
            for partition in list(tenant.turns):
                ready = tenant.ready[partition]
                found = list(islice(filter(wanted, ready), most - len(taken)))
                if not found:
                    continue
                taken += found
                tenant.running += len(found)
                # Only as far as the last of them, because many may be behind it.
                kept: list[W] = []
                for work in found:
                    while (passed := ready.popleft()) is not work:
                        kept.append(passed)
                ready.extendleft(reversed(kept))
                if not ready:
                    tenant.turns.remove(partition)
            if not tenant.turns:
                del self._turns[name]
            if len(taken) >= most:
                break
        return taken

    def release(self, work: W) -> None:
        """Count a taken record as not running any more, even if its partition was dropped."""
        self._tenants[work.tenant].running -= 1

    def put_back(self, partition: int, work: W) -> None:
        """Give back a record that was taken, released and did not run, as the next of its tenant."""
        self._queue(partition, work).appendleft(work)

    def finish(self, partition: int, key: Key) -> None:
        """Remove the lane's head, which was taken and is done; the record behind it may run."""
        lanes = self._lanes[partition]
        waiting = lanes[key]
        if waiting is None:
            del lanes[key]
            return
        following = waiting.popleft()
        if not waiting:
            lanes[key] = None
        self._queue(partition, following).append(following)

    def drop(self, partition: int) -> None:
        """Forget the partition's lanes with all records that wait in them."""
        if self._lanes.pop(partition, None) is None:
            return
        for name, tenant in self._tenants.items():
            if tenant.ready.pop(partition, None) and partition in tenant.turns:
                tenant.turns.remove(partition)
                if not tenant.turns:
                    del self._turns[name]

    def sweep(self) -> None:
        """Forget the tenants that had no record, now and at the sweep before."""
        for name, tenant in list(self._tenants.items()):
            empty = not tenant.running and not tenant.turns
            if empty and tenant.idle:
                del self._tenants[name]
            tenant.idle = empty

    def _queue(self, partition: int, work: W) -> deque[W]:
        """Return the queue for a record that may run; its tenant and its partition get their turns."""
        tenant = self._tenants.get(work.tenant)
        if tenant is None:
            tenant = self._tenants[work.tenant] = _Tenant()
        tenant.idle = False
        ready = tenant.ready.get(partition)
        if ready is None:
            ready = tenant.ready[partition] = deque()
        if not ready:
            if not tenant.turns:
                self._turns[work.tenant] = None
            tenant.turns.append(partition)
        return ready
