"""The questions that have a result: whether a question is a repeat of one, and where its answer lies. Pure.

A question whose identity and digest are those of a result is its repeat. One with the identity of a result
and another digest is another question under a used id. So is one whose identity had a failed outcome with
tool calls: those calls had keys that no other question may use.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Literal, NamedTuple

from schemas.fingerprint import Fingerprint

FAILED = -1
"""The position of an outcome that failed after tool calls: it is no result."""


class Result(NamedTuple):
    """An outcome on `answers`.

    Attributes:
        position: where its answer lies in its partition of `answers`, or below; `FAILED` if it failed.
        source: the offset of its question's record.
        written_s: when it was written, in unix seconds.
    """

    position: int
    source: int
    written_s: float


class Entry(NamedTuple):
    """A result as recovery read it, with its question's identity and short fingerprint."""

    identity: bytes
    short: bytes
    result: Result


_Kept = tuple[bytes, bytes, int, int, float]
"""A short fingerprint, an identity and the result's parts: a plain tuple, which the garbage collector does
not look through."""


class _Partition:
    """The results of one partition, the oldest first.

    `oldest_s`: when the first of them was written; infinite where there is none.
    """

    __slots__ = ("_order", "identities", "kept", "oldest_s")

    def __init__(self) -> None:
        self.oldest_s = math.inf
        self.kept: dict[bytes, _Kept] = {}
        self.identities: dict[bytes, int] = {}
        """How many results each identity has."""
        # The first of a dict from which many were removed is found only behind all their places.
        self._order: deque[_Kept] = deque()

    def keep(self, identity: bytes, short: bytes, result: Result) -> int:
        """Return by how much the number of results grew."""
        known = self.kept.get(short)
        if known is not None and result.position == FAILED != known[2]:
            return 0  # a failure takes no result's place
        self.kept.pop(short, None)
        self.kept[short] = entry = (short, identity, *result)
        self._order.append(entry)
        if known is not None:
            if len(self._order) > 2 * len(self.kept):
                self._order = deque(self.kept.values())
            self._look_for_oldest()
            return 0
        if len(self.kept) == 1:
            self.oldest_s = result.written_s
        self.identities[identity] = self.identities.get(identity, 0) + 1
        return 1

    def drop_oldest(self) -> None:
        """Forget the result that was kept first."""
        short, identity, *_ = self._order[0]
        del self.kept[short]
        self._look_for_oldest()
        left = self.identities[identity] - 1
        if left:
            self.identities[identity] = left
        else:
            del self.identities[identity]

    def _look_for_oldest(self) -> None:
        order = self._order
        # A result that was kept again has another entry behind.
        while order and self.kept.get(order[0][0]) is not order[0]:
            order.popleft()
        self.oldest_s = order[0][-1] if order else math.inf


class Repeats:
    """The results of a worker's partitions.

    Args:
        window_s: how long after a result a question is its repeat; 0: never, and nothing is kept.
        most: the most results kept.
    """

    def __init__(self, *, window_s: float, most: int) -> None:
        self.window_s = window_s
        self.most = most
        self._partitions: dict[int, _Partition] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, partition: int, question: Fingerprint, now: float) -> Result | Literal["id_reused"] | None:
        """Look a question up that starts at `now` (unix seconds).

        Returns:
            The result that it repeats; "id_reused" if its identity has outcomes of other questions alone;
            None if it has none.
        """
        results = self._partitions.get(partition)
        if results is None:
            return None
        if results.oldest_s + self.window_s < now:
            self._expire(results, now)
        if question.identity not in results.identities:
            return None
        kept = results.kept.get(question.short)
        # Where a clock was set back, results are not in the order of their times.
        if kept is None or kept[-1] + self.window_s < now:
            return "id_reused"
        if kept[2] == FAILED:
            return "id_reused" if results.identities[question.identity] > 1 else None
        return Result(*kept[2:])

    def keep(self, partition: int, question: Fingerprint, result: Result) -> None:
        """Keep a result that the broker has."""
        self._keep(partition, question.identity, question.short, result)

    def load(self, partition: int, entries: Iterable[Entry], stood_still_s: float = 0.0) -> None:
        """Keep the results that recovery has read, in the order of `answers`; drop the partition before.

        Args:
            stood_still_s: for how long nothing of the partition was answered, which counts for no result.
        """
        for identity, short, result in entries:
            position, source, written_s = result
            self._keep(partition, identity, short, Result(position, source, written_s + stood_still_s))

    def drop(self, partition: int) -> None:
        """Forget a partition that is another worker's now."""
        results = self._partitions.pop(partition, None)
        if results is not None:
            self._count -= len(results.kept)

    def _keep(self, partition: int, identity: bytes, short: bytes, result: Result) -> None:
        if self.window_s <= 0:
            return
        results = self._partitions.get(partition)
        if results is None:
            results = self._partitions[partition] = _Partition()
        self._count += results.keep(identity, short, result)
        while self._count > self.most:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        min(self._partitions.values(), key=attrgetter("oldest_s")).drop_oldest()
        self._count -= 1

    def _expire(self, results: _Partition, now: float) -> None:
        while results.oldest_s + self.window_s < now:
            results.drop_oldest()
            self._count -= 1


def share_out(spans: Mapping[int, int], most: int) -> dict[int, int]:
    """Share `most` records among partitions that have `spans` of them: none gets more than another wants.

    The sum of the shares is `most` at most, and no partition gets more than it has.
    """
    shares: dict[int, int] = {}
    left = most
    for done, (number, span) in enumerate(sorted(spans.items(), key=lambda item: (item[1], item[0]))):
        shares[number] = min(span, left // (len(spans) - done))
        left -= shares[number]
    return shares
