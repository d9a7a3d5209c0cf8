"""Starts records: those that may run in their turn, and at once those that have no time left."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import ConsumerRecord

from streams.consumer.assignment import Assignment
from streams.consumer.handler import Handler
from streams.consumer.partition import Partition, Work
from streams.telemetry.hook import Hook

BURST = 128
"""Records started in one turn of the event loop, so that others have theirs in between."""
REFUSE_S = 0.25
"""How often the waiting questions are searched for those without time left. A refusal needs no slot, and
while the running questions hang, none becomes free."""


class Dispatcher:
    """Hands records to the handler and takes them back.

    Args:
        hungry: called when more records are wanted.
        failed: told of a defect, after which no question is refused in time any more.

    Attributes:
        stopping: nothing starts any more.
    """

    def __init__(
        self,
        assignment: Assignment,
        handler: Handler,
        hook: Hook,
        *,
        hungry: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._assignment = assignment
        self._intake = assignment.intake
        self._handler = handler
        self._hook = hook
        self._hungry = hungry
        self._failed = failed
        self._scheduled = False
        self.stopping = False
        self._idle = asyncio.Event()
        self._refusing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to refuse waiting questions that have no time left."""
        self._refusing = asyncio.create_task(self._refuse_regularly(), name="refuse")
        self._refusing.add_done_callback(self._has_ended)

    def add(self, partition: Partition, records: Sequence[ConsumerRecord], now: float) -> None:
        """Take in the polled records of a partition of ours, at `now` (seconds)."""
        for record in records:
            size = len(record.value or b"") + len(record.key or b"")
            for _, value in record.headers:
                size += len(value or b"")
            work = Work(record, partition, size)
            self._handler.prepare(work)
            self._assignment.take_in(work, now)
        self._hook.records_fetched(len(records))

    def dispatch(self) -> None:
        """Start the records that may run."""
        if self.stopping:
            return
        taken = self._assignment.take(BURST)
        if (self._start_all(taken) or len(taken) == BURST) and not self._scheduled:
            self._dispatch_soon()

    def stop(self) -> None:
        """Start nothing any more."""
        self.stopping = True
        if self._refusing is not None:
            self._refusing.cancel()
        if not self._intake.in_flight:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Return once nothing is in flight, after `stop`."""
        await self._idle.wait()

    async def _refuse_regularly(self) -> None:
        while True:
            taken = self._assignment.take_if(self._handler.refuses, BURST)
            self._start_all(taken)
            await asyncio.sleep(0 if len(taken) == BURST else REFUSE_S)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def _start_all(self, taken: list[Work]) -> bool:
        """Return whether some were refused, and left their slots to others."""
        if taken and self._intake.hungry:
            self._hungry()
        refused = False
        for work in taken:
            if not self._handler.start(work, self._finished):
                self._assignment.free_slot(work)
                refused = True
        return refused

    def _dispatch_soon(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._scheduled = False
        self.dispatch()

    def _finished(self, work: Work) -> None:
        self._assignment.finish(work)
        if not self.stopping:
            # Once, however many finish in this turn.
            if not self._scheduled:
                self._dispatch_soon()
        elif not self._intake.in_flight:
            self._idle.set()
