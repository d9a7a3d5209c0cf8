"""A worker's life: check, start, serve, drain.

SIGTERM and SIGINT drain: no more questions start, running ones finish within the grace period, their outcomes
are published and committed, and the worker leaves the group. After a second signal it leaves at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiokafka.errors import KafkaError

from schemas.topics import Topics
from streams.consumer.watchdog import StuckError
from streams.kafka.authorization import worker_rights
from streams.kafka.topics import acheck_topics
from streams.process.signals import on_signals
from streams.settings.errors import OperatorError
from streams.settings.model import Settings
from streams.telemetry.loop_monitor import LoopMonitor
from streams.worker.engine import Engine
from streams.worker.status import Health, StatusServer

log = logging.getLogger(__name__)

CAUGHT_UP_POLL_S = 0.05
CLOSE_S = 2.0
"""How long each part may take to close."""


class Feed(Protocol):
    """Keeps the knowledge up to date (`streams.knowledge.feed.KnowledgeFeed`)."""

    @property
    def group(self) -> str | None:
        """The consumer group that fills an index that workers share; None: this process's own."""
        ...

    @property
    def caught_up(self) -> bool:
        """Whether every document that there was at the start is in the index."""
        ...

    async def start(self) -> None:
        """Begin, without waiting for the index."""
        ...

    async def stop(self) -> None:
        """Stop, and save the position in the topic."""
        ...

    def notes(self) -> list[str]:
        """Return the notes for an operator about the index, if any."""
        ...

    def state(self) -> dict[str, Any]:
        """Return its part of `/state`."""
        ...


class ConsumerMonitor(Protocol):
    """Watches the consumer from outside (`streams.worker.monitor.Monitor`)."""

    async def run(self) -> None:
        """Watch until cancelled. Raises StuckError if the consumer is stuck and cannot be replaced."""
        ...

    def state(self) -> dict[str, Any]:
        """Return its part of `/state`."""
        ...


class Worker:
    """One process that answers questions.

    Args:
        slowest_tenants: returns the tenants whose documents took longest lately, for `/state`.
        metrics: returns the text for Prometheus.
        dependencies: returns breakers and limits by dependency, for `/state`.
        caches: returns the caches' sizes and look-up results, for `/state`.
        embeddings: returns the work of the embeddings' model, for `/state`; None: there is none.
        aclose: closes the pipeline's connections and index; called last.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        engine: Engine,
        feed: Feed,
        monitor: ConsumerMonitor,
        slowest_tenants: Callable[[], list[dict[str, Any]]],
        loop_monitor: LoopMonitor,
        metrics: Callable[[], bytes],
        dependencies: Callable[[], dict[str, Any]],
        caches: Callable[[], dict[str, Any]],
        embeddings: Callable[[], dict[str, Any] | None],
        aclose: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._feed = feed
        self._monitor = monitor
        self._slowest_tenants = slowest_tenants
        self._loop_monitor = loop_monitor
        self._dependencies = dependencies
        self._caches = caches
        self._embeddings = embeddings
        self._aclose = aclose
        self._draining = asyncio.Event()
        self._hurry = asyncio.Event()
        self._defect = ""
        self.status = StatusServer(
            settings.worker.http_host,
            settings.worker.http_port,
            metrics=metrics,
            live=self.live,
            ready=self.ready,
            state=self.state,
        )

    def live(self) -> Health:
        """Whether the process works; if not, why it ends."""
        return Health(not self._defect, self._defect or "running")

    def ready(self) -> Health:
        """Whether the worker has its knowledge and its partitions."""
        if self._draining.is_set():
            return Health(False, "draining: the worker was told to stop")
        if not self._feed.caught_up:
            return Health(
                False, "; ".join(["the index does not hold all documents yet", *self._feed.notes()])
            )
        if not self._engine.consumer.joined:
            return Health(
                False, "the consumer group has not assigned partitions yet, or they are being recovered"
            )
        return Health(True, "; ".join(["ready", *self._feed.notes()]))

    def state(self) -> dict[str, Any]:
        """Return the fields of `/state`."""
        return self._engine.state() | {
            "watchdog": self._monitor.state(),
            "knowledge": self._feed.state() | {"slowest_tenants": self._slowest_tenants()},
            "loop": self._loop_monitor.state(),
            "dependencies": self._dependencies(),
            "cache": self._caches(),
            "embeddings": self._embeddings(),
            "draining": self._draining.is_set(),
        }

    def stop(self) -> None:
        """Drain. A second call leaves at once."""
        if self._draining.is_set():
            self._hurry.set()
        self._draining.set()

    async def run(self) -> int:
        """Work until told to stop. Return the process's exit code.

        0: every outcome was published. 1: some were not, or a defect ended a part. 3: the consumer is stuck.

        Raises:
            OperatorError: Kafka or the status port cannot be used; no question was answered.
        """
        with on_signals(self.stop):
            try:
                return await self._serve()
            finally:
                for close in (self._feed.stop, self.status.stop, self._aclose):
                    await _bounded(close)

    async def _serve(self) -> int:
        kafka = self._settings.kafka
        topics = Topics(kafka.topic_prefix)
        rights = worker_rights(self._settings, self._feed.group)
        there = await acheck_topics(kafka, needed=sorted(topics.own - topics.optional), rights=rights)
        if topics.replies not in there:
            log.warning(
                "the cluster lacks the topic %s, which versions before 0.2.0 did not make: clients read all "
                "of %s instead; create it with 'kotae topics create'",
                topics.replies,
                topics.answers,
            )
        if missing := [name for name in kafka.reply_topics if name not in there]:
            log.warning(
                "the reply topics %s do not exist, so no answer is copied there: create them, or take them "
                "out of KOTAE_KAFKA__REPLY_TOPICS",
                ", ".join(missing),
            )
        # Not before: a worker that cannot start should print its one error, and no warnings of the loop.
        with self._loop_monitor:
            return await self._work()

    async def _work(self) -> int:
        worker = self._settings.worker
        topics = Topics(self._settings.kafka.topic_prefix)
        if worker.http_port:
            await self.status.start()
            log.info("/metrics, /health/* and /state are on http://%s:%d", self.status.host, self.status.port)
        if self._embeddings() is None:
            log.info("no embeddings are set: passages are found by their words alone (BM25)")
        await self._feed.start()
        # Without documents in its index it would answer that it knows nothing.
        while not self._feed.caught_up and not self._draining.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), CAUGHT_UP_POLL_S)
        if self._draining.is_set():
            return 0
        try:
            await self._engine.start()
            log.info("answering %s as a member of %s", topics.questions, worker.group_id)
            code = await self._until_stopped()
        except OperatorError:
            await self._engine.drain(0.0, self._hurry)
            raise
        published = await self._engine.drain(0.0 if code else worker.grace_s, self._hurry)
        return code or (0 if published else 1)

    async def _until_stopped(self) -> int:
        """Return the exit code: 0 if we were told to stop, else that of the part that has ended by itself."""
        asked = asyncio.create_task(self._draining.wait())
        parts = [asyncio.create_task(self._engine.failed()), asyncio.create_task(self._monitor.run())]
        await asyncio.wait({asked, *parts}, return_when=asyncio.FIRST_COMPLETED)
        failed = [part for part in parts if part.done()]
        for task in (asked, *parts):
            task.cancel()
        await asyncio.gather(asked, *parts, return_exceptions=True)
        if self._draining.is_set():
            grace_s = self._settings.worker.grace_s
            log.info(
                "stopping: running questions have %g s to finish; a second signal stops at once", grace_s
            )
            return 0
        # A part that was cancelled has ended, too, and has no exception.
        error = asyncio.CancelledError() if failed[0].cancelled() else failed[0].exception()
        self._draining.set()
        if isinstance(error, StuckError):
            self._defect = f"the consumer is stuck: {error}"
            log.error("the worker ends, so that it is started again: %s", self._defect)
            return StuckError.exit_code
        self._defect = f"a part of the worker has ended: {error!r}"
        log.error("a defect ends the worker", exc_info=error if isinstance(error, Exception) else None)
        return 1


async def _bounded(close: Callable[[], Awaitable[None]]) -> None:
    """Close within `CLOSE_S`: an unreachable broker or server must not delay the end."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await close()
    except (TimeoutError, KafkaError) as error:
        log.warning("%s failed or took too long: %r", getattr(close, "__qualname__", close), error)
