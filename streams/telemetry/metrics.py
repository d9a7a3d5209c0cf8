"""The sink that counts events, and its output for Prometheus.

Counting is plain arithmetic on the event loop, without locks or look-ups of label children: Prometheus'
own objects are made only when the metrics are read, on that same loop.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from agents.errors import DependencyError
from schemas.answer import Answer, Source
from schemas.event import StageTrace
from streams.telemetry import catalogue
from streams.telemetry.catalogue import CATALOGUE, Metric
from streams.telemetry.hook import Hook

Labels = tuple[str, ...]
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

SERIES_MAX = 200
"""Label values that a metric may have; only names invented by a model or a pipeline exceed it."""
OTHER = "other"

_OPENNESS = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


class Counts(dict[Labels, float]):
    """A counter or gauge: its value for each tuple of label values."""

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        """Add `amount`; beyond `SERIES_MAX` the label values become `OTHER`."""
        try:
            self[labels] += amount
        except KeyError:
            if len(self) >= SERIES_MAX:
                labels = (OTHER,) * len(labels)
            self[labels] = self.get(labels, 0.0) + amount


class Distribution:
    """A histogram's buckets for one tuple of label values; a bucket includes its upper bound."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    @property
    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, number of values at most that), as Prometheus expects them."""
        names = [*(str(bound) for bound in self._bounds), "+Inf"]
        return [(name, float(count)) for name, count in zip(names, accumulate(self.counts), strict=True)]


class Distributions(dict[Labels, Distribution]):
    """A histogram: its buckets for each tuple of label values."""

    def __init__(self, bounds: Sequence[float]) -> None:
        super().__init__()
        self._bounds = bounds

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count a value; beyond `SERIES_MAX` the label values become `OTHER`."""
        distribution = self.get(labels)
        if distribution is None:
            if len(self) >= SERIES_MAX:
                labels = (OTHER,) * len(labels)
            distribution = self.setdefault(labels, Distribution(self._bounds))
        distribution.counts[bisect_left(self._bounds, value)] += 1
        distribution.total += value


class Metrics(Hook, Collector):
    """Counts the hook's events; `render` returns the metrics in Prometheus' text format.

    Gauges of other parts are read whenever the metrics are read: see `watch`.
    """

    def __init__(self) -> None:
        self._counts = {metric.name: Counts() for metric in CATALOGUE if metric.kind != "histogram"}
        self._distributions = {
            metric.name: Distributions(metric.buckets) for metric in CATALOGUE if metric.kind == "histogram"
        }
        self._watched: dict[str, dict[Labels, Callable[[], float]]] = {}
        for metric in CATALOGUE:
            if metric.kind != "histogram" and not metric.labels:
                self._counts[metric.name].add((), 0.0)  # so that a rate has a value to start from
        self._started = self._counts[catalogue.QUESTIONS_STARTED.name]
        self._finished = self._counts[catalogue.QUESTIONS_FINISHED.name]
        self._failed = self._counts[catalogue.QUESTIONS_FAILED.name]
        self._degraded = self._counts[catalogue.QUESTIONS_DEGRADED.name]
        self._tokens = self._counts[catalogue.TOKENS.name]
        self._stages = self._counts[catalogue.STAGES.name]
        self._sent = self._counts[catalogue.RECORDS_SENT.name]
        self._bytes = self._counts[catalogue.BYTES_SENT.name]
        self._attempts = self._counts[catalogue.ATTEMPTS.name]
        self._attempt_durations = self._distributions[catalogue.ATTEMPT_SECONDS.name]
        self._queue = self._distributions[catalogue.QUEUE_TIME.name]
        self._durations = self._distributions[catalogue.QUESTION_SECONDS.name]
        self._stage_durations = self._distributions[catalogue.STAGE_SECONDS.name]
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def watch(self, metric: Metric, read: Callable[[], float], labels: Labels = ()) -> None:
        """Call `read` for the metric's value, on the event loop, whenever the metrics are read."""
        self._watched.setdefault(metric.name, {})[labels] = read

    def render(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    @property
    def finished(self) -> float:
        """How many questions have an outcome that the broker acknowledged."""
        return sum(self._finished.values())

    def collect(self) -> Iterator[Family]:
        """The metrics as Prometheus' objects."""
        for metric in CATALOGUE:
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, distribution in self._distributions[metric.name].items():
                    histogram.add_metric(labels, distribution.cumulative, distribution.total)
                yield histogram
                continue
            counts = self._counts[metric.name]
            for labels, read in self._watched.get(metric.name, {}).items():
                counts[labels] = read()
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in counts.items():
                family.add_metric(labels, value)
            yield family

    def records_fetched(self, count: int) -> None:  # noqa: D102 - the hook documents each event
        self._counts[catalogue.RECORDS_FETCHED.name].add((), count)

    def question_started(self, source: Source, queue_ms: float) -> None:  # noqa: ARG002, D102 - as above
        self._started.add()
        self._queue.observe(queue_ms / 1000)

    def stage_finished(self, trace: StageTrace) -> None:  # noqa: D102 - as above
        self._stages.add((trace.stage, trace.status))
        if trace.status != "skipped":
            self._stage_durations.observe(trace.duration_ms / 1000, (trace.stage,))

    def attempt_finished(self, dependency: str, outcome: str, duration_s: float) -> None:  # noqa: D102 - as above
        self._attempts.add((dependency, outcome))
        self._attempt_durations.observe(duration_s, (dependency,))

    def attempt_failed(self, dependency: str, error: DependencyError) -> None:
        """Count it by the status, or else the reason, of its error."""
        self._counts[catalogue.ATTEMPT_FAILURES.name].add((dependency, str(error.status or error.reason)))

    def call_retried(self, dependency: str, reason: str, wait_s: float) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.RETRIES.name].add((dependency, reason))

    def call_hedged(self, dependency: str) -> None:  # noqa: D102 - as above
        self._counts[catalogue.HEDGES.name].add((dependency,))

    def breaker_changed(self, dependency: str, state: str, cause: str) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.BREAKER_CHANGES.name].add((dependency, state))
        self._counts[catalogue.BREAKER_OPEN.name][(dependency,)] = _OPENNESS[state]

    def limit_changed(self, dependency: str, limit: int) -> None:  # noqa: D102 - as above
        self._counts[catalogue.CALL_LIMIT.name][(dependency,)] = limit

    def question_finished(self, answer: Answer, duration_s: float) -> None:  # noqa: D102 - as above
        self._finished.add((answer.status,))
        self._durations.observe(duration_s)
        if answer.error is not None:
            self._failed.add((answer.error.code,))
        for reason in answer.degraded:
            self._degraded.add((reason,))
        usage = answer.usage
        if usage.prompt_tokens or usage.completion_tokens:
            self._tokens.add(("prompt",), usage.prompt_tokens)
            self._tokens.add(("completion",), usage.completion_tokens)

    def question_cancelled(self, reason: str) -> None:  # noqa: D102 - as above
        self._counts[catalogue.QUESTIONS_CANCELLED.name].add((reason,))

    def records_sent(self, topic: str, count: int, size: int) -> None:  # noqa: D102 - as above
        self._sent.add((topic,), count)
        self._bytes.add((topic,), size)

    def send_failed(self, topic: str, error: BaseException) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.SEND_FAILURES.name].add((topic,))

    def reply_refused(self, topic: str, reason: str) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.REPLIES_REFUSED.name].add()

    def delta_dropped(self) -> None:  # noqa: D102 - as above
        self._counts[catalogue.DELTAS_DROPPED.name].add()

    def partitions_assigned(self, partitions: Sequence[int]) -> None:  # noqa: D102 - as above
        self._counts[catalogue.REBALANCES.name].add()
        self._counts[catalogue.PARTITIONS.name].add((), len(partitions))

    def partitions_revoked(self, partitions: Sequence[int]) -> None:  # noqa: D102 - as above
        self._counts[catalogue.PARTITIONS.name].add((), -len(partitions))

    def partition_recovered(  # noqa: D102 - as above
        self,
        partition: int,  # noqa: ARG002 - as above
        scanned: int,
        completed: int,
        duration_s: float,
    ) -> None:
        self._counts[catalogue.RECOVERIES.name].add()
        self._counts[catalogue.RECOVERY_RECORDS.name].add((), scanned)
        self._counts[catalogue.RECOVERY_COMPLETED.name].add((), completed)
        self._distributions[catalogue.RECOVERY_SECONDS.name].observe(duration_s)

    def recovery_failed(self, error: BaseException) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.RECOVERY_FAILURES.name].add()

    def offset_out_of_range(self, partition: int, committed: int, start: int) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.OUT_OF_RANGE.name].add()

    def transaction_open(self, partition: int) -> None:
        """See the hook."""
        self._counts[catalogue.OPEN_TRANSACTIONS.name].add((str(partition),))

    def committed(self, partition: int, offset: int) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.COMMITS.name].add()

    def commit_failed(self, error: BaseException) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.COMMIT_FAILURES.name].add()

    def consumer_rebuilt(self, symptom: str, detail: str) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.CONSUMER_REBUILDS.name].add((symptom,))

    def knowledge_changed(self, documents: int, tombstones: int) -> None:  # noqa: D102 - as above
        self._counts[catalogue.DOCUMENTS_INDEXED.name].add((), documents)
        self._counts[catalogue.DOCUMENTS_DELETED.name].add((), tombstones)

    def knowledge_delayed(self, tenant: str, delay_s: float) -> None:  # noqa: ARG002 - as above
        """See the hook. Not by tenant, of which there may be any number; see `slowest_tenants`."""
        self._distributions[catalogue.KNOWLEDGE_DELAY.name].observe(delay_s)

    def document_skipped(self, problem: str) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.DOCUMENTS_SKIPPED.name].add()

    def loop_lagged(self, lag_s: float) -> None:  # noqa: D102 - as above
        self._distributions[catalogue.LOOP_LAG.name].observe(lag_s)

    def loop_stalled(self, duration_s: float) -> None:  # noqa: ARG002, D102 - as above
        self._counts[catalogue.LOOP_STALLS.name].add()
