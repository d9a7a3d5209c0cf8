"""The questions that their askers have called back, kept until they end. Pure.

A cancel may come before its question was polled, while it waits or while it runs. It names its question's
record, and holds for a question of the same tenant and conversation that was asked before it: an older one
is of a topic that was made anew. Whoever may write to `questions.control` can write anything: what is kept is
bounded, and one tenant's flood drives out that tenant's own cancels first.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from aiokafka import ConsumerRecord

from schemas.codec import IDENTIFIER_MAX, DecodeError, decode_cancel
from schemas.control import Cancel, CancelReason
from streams.consumer.partition import Work
from streams.kafka.reading import CLOCK_SKEW_MS, MACHINES_SKEW_MS

MOST = 100_000
"""Cancels that are kept; each takes about 300 bytes."""
MOST_OF_TENANT = MOST // 10
IGNORED = ("unreadable", "misplaced", "late", "dropped")
"""Why a record is passed over: it is no cancel, is not on its question's partition, came after the outcome,
or was driven out by others."""
_KEY_BYTES = 4 * IDENTIFIER_MAX
_BY_BROKER = 1
"""The `timestamp_type` of a record that bears its broker's time."""

_Place = tuple[int, int]
"""Partition and offset of a question."""


class Kept(NamedTuple):
    """A cancel. `key`: its conversation; None: its writer left that out. `at_ms`: the broker's time."""

    reason: CancelReason
    key: bytes | None
    at_ms: int


class Cancels:
    """The cancels of questions of one topic that have no outcome yet.

    Args:
        topic: the topic of the questions.
        most, most_of_tenant: how many are kept. Beyond that the oldest is dropped, of the same tenant where
            that one has too many.

    Attributes:
        count: how many are kept; 0 costs the questions nothing.
        ignored: how many records were passed over, by the reasons in `IGNORED`.
    """

    def __init__(self, topic: str, *, most: int = MOST, most_of_tenant: int = MOST_OF_TENANT) -> None:
        self._topic = topic
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._tenants: OrderedDict[str, OrderedDict[_Place, Kept]] = OrderedDict()
        self.count = 0
        self._prune_at = most // 10
        self.ignored: Counter[str] = Counter(dict.fromkeys(IGNORED, 0))

    def __repr__(self) -> str:
        return f"<Cancels {self.count} of {len(self._tenants)} tenants>"

    def take(self, record: ConsumerRecord, done: Callable[[int, int], bool]) -> bool:
        """Take in a record of `questions.control`. Never raises.

        `done`: whether the question at a partition and an offset has its outcome.

        Returns:
            Whether it is kept.
        """
        cancel = _read(record)
        if cancel is None:
            return self._pass_over("unreadable")
        source = cancel.source
        if source.topic != self._topic or source.partition != record.partition:
            return self._pass_over("misplaced")
        if source.offset < 0 or done(source.partition, source.offset):
            return self._pass_over("late")
        self._keep(
            cancel.tenant,
            (source.partition, source.offset),
            Kept(cancel.reason, record.key, record.timestamp),
        )
        if self.count > self._prune_at:
            self._prune(done)
        return True

    def of(self, work: Work) -> CancelReason | None:
        """Return why the question of a prepared record is cancelled; None: it is not."""
        question, record = work.inquiry.question, work.record
        if question is None or (of_tenant := self._tenants.get(question.tenant)) is None:
            return None
        kept = of_tenant.get((record.partition, record.offset))
        if kept is None or (kept.key is not None and kept.key != question.conversation_id.encode()):
            return None
        skew_ms = MACHINES_SKEW_MS if record.timestamp_type == _BY_BROKER else CLOCK_SKEW_MS
        return kept.reason if kept.at_ms >= record.timestamp - skew_ms else None

    def forget(self, work: Work) -> None:
        """Forget the cancel of a question that has its outcome."""
        question, record = work.inquiry.question, work.record
        if question is not None:
            self._remove(question.tenant, (record.partition, record.offset))

    def drop(self, number: int) -> None:
        """Forget the cancels of a partition."""
        self._remove_where(lambda place: place[0] == number)

    def _pass_over(self, why: str) -> bool:
        self.ignored[why] += 1
        return False

    def _keep(self, tenant: str, place: _Place, kept: Kept) -> None:
        of_tenant = self._tenants.get(tenant)
        if of_tenant is not None and place in of_tenant:
            of_tenant[place] = kept
            return
        if of_tenant is not None and len(of_tenant) >= self._most_of_tenant:
            self._drop_oldest(tenant)
        elif self.count >= self._most:
            # By turns: the table says nothing of who floods it.
            name = next(iter(self._tenants))
            self._tenants.move_to_end(name)
            self._drop_oldest(name)
        self._tenants.setdefault(tenant, OrderedDict())[place] = kept
        self.count += 1

    def _drop_oldest(self, tenant: str) -> None:
        self.ignored["dropped"] += 1
        self._remove(tenant, next(iter(self._tenants[tenant])))

    def _remove(self, tenant: str, place: _Place) -> None:
        of_tenant = self._tenants.get(tenant)
        if of_tenant is None or of_tenant.pop(place, None) is None:
            return
        self.count -= 1
        if not of_tenant:
            del self._tenants[tenant]

    def _prune(self, done: Callable[[int, int], bool]) -> None:
        """Forget the cancels of other tenants for questions that are done by now."""
        self._remove_where(lambda place: done(*place))
        # Not for each record: it goes through all of them.
        self._prune_at = max(self._most // 10, 2 * self.count)

    def _remove_where(self, wanted: Callable[[_Place], bool]) -> None:
        for tenant, of_tenant in list(self._tenants.items()):
            for place in [place for place in of_tenant if wanted(place)]:
                self._remove(tenant, place)


def _read(record: ConsumerRecord) -> Cancel | None:
    try:
        cancel = decode_cancel(record.value)
    except DecodeError:
        return None
    except Exception:  # noqa: BLE001 - a stranger's record must not stop the reading
        return None
    # Neither can be longer in a question, and both are kept.
    too_long = len(cancel.tenant) > IDENTIFIER_MAX or len(record.key or b"") > _KEY_BYTES
    return None if too_long else cancel
