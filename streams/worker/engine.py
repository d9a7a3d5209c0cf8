"""The way of the data from end to end: consumer, answering, publisher, copies and journal.

An outcome's way back up: when the broker acknowledges its answer, the sender calls the publisher, the
publisher calls answering, and answering tells the consumer, which frees the slot and the lane and marks the
offset as done.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection
from typing import Any

from aiokafka.errors import KafkaError

from streams.consumer.control import ControlReader
from streams.consumer.loop import ConsumerLoop
from streams.consumer.recovered import Recovered
from streams.consumer.recovery import Recovery
from streams.consumer.repeats import Repeats
from streams.publishing.copies import Copies
from streams.publishing.journal import KafkaJournal
from streams.publishing.publisher import Publisher
from streams.settings.errors import OperatorError
from streams.worker.answering import Answering
from streams.worker.cancelling import Cancelling
from streams.worker.repeating import Repeating

log = logging.getLogger(__name__)

AWAY_S = 4.0
"""While draining, a broker that has been unreachable for this long is not waited for."""
PROBE_S = 1.0
LOADED_AT_ONCE = 1000
"""Results that recovery enters in one turn of the event loop."""
CLOSE_S = 2.0


class Engine:
    """Answers every question of the topic (`streams.assembly.engine` builds it)."""

    def __init__(
        self,
        *,
        consumer: ConsumerLoop,
        answering: Answering,
        publisher: Publisher,
        copies: Copies,
        journal: KafkaJournal,
        repeating: Repeating,
        control: ControlReader,
        cancelling: Cancelling,
    ) -> None:
        self.consumer = consumer
        self.answering = answering
        self.publisher = publisher
        self.copies = copies
        self.journal = journal
        self.repeating = repeating
        self.control = control
        self.cancelling = cancelling

    def state(self) -> dict[str, Any]:
        """Return the fields of `/state` that the engine has."""
        return self.consumer.state() | {
            "running": self.answering.running,
            "unpublished": self.publisher.unpublished,
            "unpublished_bytes": self.publisher.unpublished_bytes,
            "cancel": self.cancelling.state() | {"problem": self.control.problem},
            "repeats": self.repeating.state() | self.journal.state(),
        }

    async def start(self) -> None:
        """Connect, join the group, begin. After a failure, `drain` closes the connections that were opened.

        Raises:
            OperatorError: Kafka refuses one of the connections.
        """
        try:
            await self.publisher.start()
            await self.copies.start()
            await self.journal.start()
            await self.consumer.start()
        except KafkaError as error:
            raise OperatorError(
                f"Kafka refuses a connection of the worker: {type(error).__name__}: {error}"
            ) from error

    async def failed(self) -> None:
        """Raise the error that ends a part of the engine; never return."""
        await asyncio.gather(
            self.publisher.failed(), self.copies.failed(), self.journal.failed(), self.consumer.failed()
        )

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> bool:
        """Start no more questions, let running ones finish, commit, leave the group.

        Takes `grace_s` and a few seconds at most; only the few seconds once `hurry` is set or the broker has
        been away for `AWAY_S`. Unfinished questions are left to the next worker.

        Returns:
            Whether every outcome was published.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        self.consumer.stop_fetching()
        idle = asyncio.create_task(self.consumer.wait_idle())
        hurried = asyncio.create_task(hurry.wait())
        reached = loop.time()
        while self.consumer.in_flight and not hurry.is_set() and loop.time() < until:
            limit = min(PROBE_S, max(0.0, until - loop.time()))
            await asyncio.wait({idle, hurried}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if await self.publisher.areachable(PROBE_S):
                reached = loop.time()
            elif loop.time() - reached > AWAY_S:
                log.error(
                    "no broker answers: the next worker answers the questions whose outcomes are unpublished"
                )
                break
        self.answering.cancel()
        if self.publisher.unpublished and not hurry.is_set():
            await asyncio.wait({idle, hurried}, timeout=CLOSE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in (idle, hurried):
            task.cancel()
        left = self.publisher.unpublished
        if left:
            log.error("%d outcomes were not published; the next worker answers their questions", left)
        await self.consumer.aclose(timeout_s=CLOSE_S)
        await asyncio.gather(
            self.publisher.aclose(timeout_s=CLOSE_S),
            self.copies.aclose(timeout_s=CLOSE_S),
            self.journal.aclose(timeout_s=CLOSE_S),
            self.repeating.aclose(),
            self.control.aclose(),
        )
        return not left


async def recover_all(
    numbers: Collection[int],
    done: Callable[[Recovered], None],
    *,
    recovery: Recovery,
    journal: KafkaJournal,
    repeats: Repeats,
    control: ControlReader,
    cancelling: Cancelling,
) -> None:
    """Recover partitions: call `done` for each once its outcomes, journal entries and cancels are read.

    Without its journal and its results a question could start a tool a second time, and without its cancels
    call a model in vain, so nothing of the partition may run before `done`.
    """

    async def read_all(found: Recovered) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(read_cancels(found))
            both.create_task(read_journal(found))
        cancelling.recovered(found.number)
        done(found)

    async def read_cancels(found: Recovered) -> None:
        cancelling.recovering(found.number, lambda offset: offset < found.start or offset in found.completed)
        await control.afollow(found.number, found.asked_ms)

    async def read_journal(found: Recovered) -> None:
        completed = found.completed
        oldest = next(offset for offset in itertools.count(found.start) if offset not in completed)
        await journal.arecover(
            found.number,
            oldest,
            lambda offset: offset >= oldest and offset not in completed,
            failed=found.failed,
            failed_since_ms=found.since_ms,
        )
        repeats.drop(found.number)
        for begin in range(0, len(found.results), LOADED_AT_ONCE):
            results = found.results[begin : begin + LOADED_AT_ONCE]
            repeats.load(found.number, results, found.stood_still_s)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:

        def outcomes_read(found: Recovered) -> None:
            group.create_task(read_all(found))

        await recovery.arecover(numbers, outcomes_read)
