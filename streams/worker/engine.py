"""The data's way from one end to the other, put together: consumer, answering, publisher, copies."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.topics import Topics
from streams.consumer.intake import Intake
from streams.consumer.loop import ConsumerLoop
from streams.consumer.recovery import Recovered, Recovery
from streams.kafka.options import client_options
from streams.publishing.copies import PATIENCE_S, Copies
from streams.publishing.journal import KafkaJournal
from streams.publishing.outcomes import Outcomes
from streams.publishing.publisher import Publisher
from streams.publishing.records import conceal_in
from streams.publishing.sending import Sender
from streams.settings.errors import OperatorError
from streams.settings.model import Settings
from streams.telemetry.hook import Hook
from streams.worker.answering import Answering, Pipeline

log = logging.getLogger(__name__)

BUFFER_FACTOR = 2
"""Records buffered for each question in flight, so that a slot is refilled without a fetch."""
BUFFER_MIN = 500
BUFFER_BYTES = 64 * 1_048_576
FETCH_WAIT_MS = 100
"""How long a broker may hold a fetch: a partition that was emptied meanwhile waits for its answer."""
METADATA_AGE_MS = 30_000
"""How old what is known of the topics may be: partitions that were added are read from then on."""
REBALANCE_TIMEOUT_MS = 60_000
"""What the group allows a member for its last commit; aiokafka's default is the session's time-out."""
BATCH_BYTES = 65_536
AWAY_S = 4.0
"""A broker that has been unreachable for this long while draining is not waited for."""
PROBE_S = 1.0
CLOSE_S = 2.0


class Engine:
    """Answers every question of the topic with one pipeline.

    `conceal` takes secrets out of what is written (see `streams.settings.secrets.concealer`).

    Attributes:
        rebalance_timeout_s: how long a rebalance of the group may last.

    Raises:
        OperatorError: a certificate file of the settings cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        hook: Hook,
        journal: KafkaJournal | None = None,
        conceal: Callable[[bytes], bytes] | None = None,
    ) -> None:
        kafka, worker = settings.kafka, settings.worker
        topics = Topics(kafka.topic_prefix)
        options = client_options(kafka)

        session_ms = int(kafka.session_timeout_s * 1000)
        rebalance_ms = max(REBALANCE_TIMEOUT_MS, 2 * session_ms)
        self.rebalance_timeout_s = rebalance_ms / 1000

        def open_consumer() -> Any:
            return AIOKafkaConsumer(
                **options,
                group_id=worker.group_id,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=session_ms,
                heartbeat_interval_ms=session_ms // 3,
                rebalance_timeout_ms=rebalance_ms,
                fetch_max_wait_ms=FETCH_WAIT_MS,
                metadata_max_age_ms=METADATA_AGE_MS,
            )

        def open_reader() -> Any:
            return AIOKafkaConsumer(
                **options,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_WAIT_MS,
            )

        recovery = Recovery(
            open_reader=open_reader,
            open_admin=lambda: AIOKafkaAdminClient(**options),
            group_id=worker.group_id,
            questions=topics.questions,
            answers=topics.answers,
            hook=hook,
        )

        def open_producer() -> Any:
            return AIOKafkaProducer(
                **options, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
            )

        def open_copies() -> Any:
            return AIOKafkaProducer(**options, acks="all", max_batch_size=BATCH_BYTES)

        prepare = None
        if conceal is not None:
            prepare = partial(conceal_in, conceal=conceal, dead_letters=topics.dead_letters)
        outcomes = Outcomes(topics, reply_topics=kafka.reply_topics, group_id=worker.group_id)
        self.copies = Copies(
            Sender(
                open_producer=open_copies,
                topics=(topics.events, topics.deltas),
                rebuild=False,
                hook=hook,
                patience_s=PATIENCE_S,
                prepare=prepare,
            ),
            reply_topics=kafka.reply_topics,
            hook=hook,
        )
        self.publisher = Publisher(
            Sender(
                open_producer=open_producer,
                topics=(topics.answers, topics.dead_letters),
                rebuild=True,
                hook=hook,
                prepare=prepare,
            ),
            copies=self.copies,
            shrink=outcomes.shrink,
            hook=hook,
        )
        self.answering = Answering(
            pipeline=pipeline,
            outcomes=outcomes,
            publisher=self.publisher,
            copies=self.copies,
            hook=hook,
            deadline_s=settings.limits.deadline_s,
            journal=journal,
        )
        self.consumer = ConsumerLoop(
            topic=topics.questions,
            open_consumer=open_consumer,
            recover=recovery.arecover if journal is None else partial(_recover, recovery, journal),
            handler=self.answering,
            intake=Intake(
                max_in_flight=worker.max_in_flight,
                max_buffered=max(BUFFER_MIN, BUFFER_FACTOR * worker.max_in_flight),
                max_bytes=BUFFER_BYTES,
                has_room=self.publisher.has_room,
                tenant_share=settings.limits.tenant_share,
            ),
            hook=hook,
            end_of_answers=partial(self.publisher.end_of_answers, topics.answers),
            session_s=kafka.session_timeout_s,
        )

        self.journal = journal
        if journal is not None:
            journal.gate_of = self.consumer.gate_of

    def state(self) -> dict[str, Any]:
        """What `/state` shows of it."""
        return self.consumer.state() | {
            "running": self.answering.running,
            "unpublished": self.publisher.unpublished,
            "unpublished_bytes": self.publisher.unpublished_bytes,
        }

    async def start(self) -> None:
        """Connect, join the group, begin. After a failure, `drain` gives back what was taken.

        Raises:
            OperatorError: Kafka refuses one of the connections.
        """
        try:
            await self.publisher.start()
            await self.copies.start()
            if self.journal is not None:
                await self.journal.start()
            await self.consumer.start()
        except KafkaError as error:
            raise OperatorError(f"Kafka cannot be worked with: {type(error).__name__}: {error}") from error

    async def failed(self) -> None:
        """Returns never, but raises what ended a part of it."""
        parts = [self.publisher.failed(), self.copies.failed(), self.consumer.failed()]
        if self.journal is not None:
            parts.append(self.journal.failed())
        await asyncio.gather(*parts)

    async def drain(self, grace_s: float, hurry: asyncio.Event) -> bool:
        """Start nothing, finish what can finish, commit, leave the group.

        Returns within `grace_s` and a few seconds; once `hurry` is set, or the broker has been away for
        `AWAY_S`, within the few seconds. What is not finished is left to the next worker.

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
                log.error("the broker is away: what is not published is left to the next worker")
                break
        self.answering.cancel()
        if self.publisher.unpublished and not hurry.is_set():
            await asyncio.wait({idle, hurried}, timeout=CLOSE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in (idle, hurried):
            task.cancel()
        left = self.publisher.unpublished
        if left:
            log.error("%d outcomes were not published", left)
        await self.consumer.aclose(timeout_s=CLOSE_S)
        closing = [self.publisher.aclose(timeout_s=CLOSE_S), self.copies.aclose(timeout_s=CLOSE_S)]
        if self.journal is not None:
            closing.append(self.journal.aclose(timeout_s=CLOSE_S))
        await asyncio.gather(*closing)
        return not left


async def _recover(
    recovery: Recovery, journal: KafkaJournal, numbers: Collection[int], done: Callable[[Recovered], None]
) -> None:
    """Tell of each partition when what the journal holds of its questions is known, too."""

    async def begin(found: Recovered) -> None:
        completed = found.completed
        oldest = next(offset for offset in itertools.count(found.start) if offset not in completed)
        await journal.arecover(
            found.number, oldest, lambda offset: offset >= oldest and offset not in completed
        )
        done(found)

    async with asyncio.TaskGroup() as group:

        def found_out(found: Recovered) -> None:
            group.create_task(begin(found))

        await recovery.arecover(numbers, found_out)
