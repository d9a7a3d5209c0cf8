"""The worker that the settings describe."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.topics import Topics
from streams.assembly.answerer import build_answerer
from streams.assembly.cache import watch_cache
from streams.assembly.engine import build_engine, build_parts, rebalance_timeout_s
from streams.assembly.guards import Guards
from streams.assembly.remedies import remedy_for
from streams.assembly.stores import STORES, VectorStore
from streams.consumer.cancels import IGNORED
from streams.consumer.watchdog import Patience, Watchdog
from streams.kafka.options import COMMITTED
from streams.kafka.reading import readers
from streams.knowledge.feed import KnowledgeFeed
from streams.settings.model import Settings
from streams.settings.secrets import concealer, masker, secrets_of
from streams.telemetry import catalogue
from streams.telemetry.hook import Hook, Hooks
from streams.telemetry.logs import LogSink
from streams.telemetry.loop_monitor import LoopMonitor
from streams.telemetry.metrics import Metrics
from streams.telemetry.slowest_tenants import SlowestTenants
from streams.telemetry.troubles import Troubles
from streams.worker.backlog import Backlog
from streams.worker.engine import Engine
from streams.worker.life import Worker
from streams.worker.monitor import Monitor

BEYOND_A_REBALANCE_S = 90.0
"""A consumer is stuck if it is out of its group, or does not poll, for this much longer than a rebalance."""


def build_worker(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    lines_dropped: Callable[[], float],
    stores: Sequence[VectorStore] = STORES,
) -> Worker:
    """Build the worker that the settings describe; nothing is connected yet.

    `lines_dropped` returns how many log lines were lost so far, for the metrics.

    Raises:
        SettingsError: a tool, a component or a certificate in the settings cannot be used.
        OperatorError: the index cannot be opened.
    """
    metrics = Metrics()
    secrets = secrets_of(settings, environ)
    troubles = Troubles(remedy_for, mask=masker(secrets))
    slowest = SlowestTenants()
    hook = Hooks([metrics, LogSink(), troubles, slowest])
    parts = build_parts(settings, hook, concealer(secrets))
    answerer = build_answerer(settings, environ, hook, parts.journal, stores)
    engine = build_engine(parts, answerer.pipeline)
    monitor = _monitor(settings, engine, metrics, hook)
    if answerer.caches.answers is not None:
        watch_cache(metrics, answerer.caches.answers)
    metrics.watch(catalogue.LOG_LINES_DROPPED, lines_dropped)
    metrics.watch(catalogue.IN_FLIGHT, lambda: engine.consumer.in_flight)
    metrics.watch(catalogue.IN_FLIGHT_LIMIT, lambda: engine.consumer.limit)
    metrics.watch(catalogue.INCOMPLETE, lambda: engine.consumer.incomplete)
    metrics.watch(catalogue.OLDEST_AGE, lambda: engine.consumer.oldest_age_s)
    metrics.watch(catalogue.PAUSED, lambda: engine.consumer.paused)
    metrics.watch(catalogue.REPEATS, lambda: engine.repeating.served)
    metrics.watch(catalogue.REPEAT_RESULTS, lambda: engine.repeating.kept)
    metrics.watch(catalogue.CANCELS_KEPT, lambda: engine.cancelling.kept)
    for reason in IGNORED:
        metrics.watch(catalogue.CANCELS_IGNORED, partial(engine.cancelling.ignored, reason), (reason,))
    metrics.watch(catalogue.DRAIN, lambda: monitor.drain_s)
    feed = KnowledgeFeed(
        settings.kafka,
        answerer.index,
        hook,
        group=answerer.store.group(settings.worker.group_id),
        versions=answerer.versions,
    )
    metrics.watch(catalogue.DOCUMENTS_WITHOUT_VECTORS, lambda: feed.lacking)
    metrics.watch(catalogue.KNOWLEDGE_WAITING, lambda: feed.waits)
    return Worker(
        settings=settings,
        engine=engine,
        feed=feed,
        monitor=monitor,
        slowest_tenants=slowest.state,
        loop_monitor=LoopMonitor(hook, engine.consumer.observe_lag),
        metrics=metrics.render,
        dependencies=lambda: _dependencies(answerer.guards, troubles),
        caches=answerer.caches.state,
        embeddings=answerer.embeddings.state,
        aclose=answerer.aclose,
    )


def _dependencies(guards: Guards, troubles: Troubles) -> dict[str, Any]:
    return {
        name: {**state, "last_error": troubles.last_error(name)} for name, state in guards.state().items()
    }


def _monitor(settings: Settings, engine: Engine, metrics: Metrics, hook: Hook) -> Monitor:
    patience_s = rebalance_timeout_s(settings.kafka) + BEYOND_A_REBALANCE_S
    return Monitor(
        consumer=engine.consumer,
        watchdog=Watchdog(Patience(polls_s=patience_s, rejoin_s=patience_s)),
        backlog=Backlog(readers(settings.kafka, **COMMITTED), Topics(settings.kafka.topic_prefix).questions),
        positions=lambda: engine.consumer.positions,
        completed=lambda: metrics.finished,
        hook=hook,
    )
