"""Events are counted, and a scrape shows the counts in Prometheus' format."""

from datetime import UTC, datetime
from inspect import signature
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agents.errors import PermanentError
from schemas.answer import Answer, AnswerError, Source, Usage
from schemas.errors import ErrorCode
from schemas.event import StageTrace
from streams.telemetry.catalogue import CATALOGUE, IN_FLIGHT, SECONDS
from streams.telemetry.hook import Hook
from streams.telemetry.metrics import SERIES_MAX, Distributions, Metrics

SOURCE = Source("questions", 0, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of a scrape, by name and sorted label values."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def answer(**fields: Any) -> Answer:
    return Answer(
        id="q",
        question_id="q",
        conversation_id="q",
        tenant="acme",
        source=SOURCE,
        created_at=NOW,
        **({"status": "answered"} | fields),
    )


def stage(name: str = "generate", status: Any = "ok", duration_ms: float = 140.0) -> StageTrace:
    return StageTrace(stage=name, status=status, started_at=NOW, duration_ms=duration_ms)


def test_a_question_is_counted_by_its_outcome() -> None:
    metrics = Metrics()
    metrics.question_started(SOURCE, 2000.0)
    metrics.question_finished(answer(usage=Usage(10, 5)), 0.3)
    metrics.question_finished(answer(status="degraded", degraded=("plan_timeout", "tools_timeout")), 0.6)
    error = AnswerError(ErrorCode.MODEL_UNAVAILABLE, "generate", "gone")
    metrics.question_finished(answer(status="failed", error=error), 2.0)
    seen = samples(metrics)
    assert seen["kotae_questions_started_total", ()] == 1
    assert seen["kotae_questions_finished_total", ("answered",)] == 1
    assert seen["kotae_questions_finished_total", ("degraded",)] == 1
    assert seen["kotae_questions_failed_total", ("model_unavailable",)] == 1
    assert seen["kotae_questions_degraded_total", ("tools_timeout",)] == 1
    assert seen["kotae_model_tokens_total", ("prompt",)] == 10
    assert seen["kotae_question_duration_seconds_sum", ()] == pytest.approx(2.9)
    assert seen["kotae_question_duration_seconds_bucket", ("0.5",)] == 1
    assert seen["kotae_question_duration_seconds_bucket", ("+Inf",)] == 3
    assert seen["kotae_question_queue_seconds_sum", ()] == 2


def test_no_label_names_a_tenant_or_a_question() -> None:
    metrics = Metrics()
    metrics.question_finished(answer(), 0.3)
    assert b"acme" not in metrics.render()
    assert not {label for metric in CATALOGUE for label in metric.labels} & {"tenant", "question", "id"}


def test_a_skipped_stage_is_counted_without_a_duration() -> None:
    metrics = Metrics()
    metrics.stage_finished(stage())
    metrics.stage_finished(stage(status="skipped", duration_ms=0))
    seen = samples(metrics)
    assert seen["kotae_stages_total", ("generate", "skipped")] == 1
    assert seen["kotae_stage_duration_seconds_count", ("generate",)] == 1


def test_invented_label_values_beyond_the_limit_count_as_other() -> None:
    metrics = Metrics()
    for number in range(3 * SERIES_MAX):
        metrics.stage_finished(stage(f"tools/invented-{number}"))
    seen = samples(metrics)
    counted = {labels: value for (name, labels), value in seen.items() if name == "kotae_stages_total"}
    assert len(counted) == SERIES_MAX + 1
    assert sum(counted.values()) == 3 * SERIES_MAX
    assert seen["kotae_stage_duration_seconds_count", ("other",)] == 2 * SERIES_MAX


def test_breakers_and_limits_show_their_latest_value() -> None:
    metrics = Metrics()
    metrics.limit_changed("model", 100)
    metrics.limit_changed("model", 50)
    for state in ("open", "half_open"):
        metrics.breaker_changed("model", state, "")
    seen = samples(metrics)
    assert seen["kotae_call_limit", ("model",)] == 50
    assert seen["kotae_breaker_open", ("model",)] == 0.5
    metrics.breaker_changed("model", "closed", "")
    seen = samples(metrics)
    assert seen["kotae_breaker_open", ("model",)] == 0
    assert seen["kotae_breaker_changes_total", ("model", "open")] == 1


def test_partitions_follow_assignments() -> None:
    metrics = Metrics()
    assert samples(metrics)["kotae_partitions_assigned", ()] == 0
    metrics.partitions_assigned([0, 1, 2])
    metrics.partitions_revoked([0, 1, 2])
    metrics.partitions_assigned([1])
    seen = samples(metrics)
    assert seen["kotae_partitions_assigned", ()] == 1
    assert seen["kotae_rebalances_total", ()] == 2


def test_a_watched_metric_is_read_at_each_scrape() -> None:
    metrics, values = Metrics(), iter([3.0, 5.0])
    metrics.watch(IN_FLIGHT, lambda: next(values))
    assert samples(metrics)["kotae_questions_in_flight", ()] == 3
    assert samples(metrics)["kotae_questions_in_flight", ()] == 5


def test_two_metrics_sinks_count_separately() -> None:
    first, second = Metrics(), Metrics()
    first.delta_dropped()
    assert samples(first)["kotae_deltas_dropped_total", ()] == 1
    assert samples(second)["kotae_deltas_dropped_total", ()] == 0


def test_every_event_of_the_hook_changes_a_metric() -> None:
    given_values = {
        "source": SOURCE,
        "queue_ms": 1.0,
        "trace": stage(),
        "answer": answer(),
        "duration_s": 1.0,
        "topic": "answers",
        "size": 10,
        "error": PermanentError("model", "HTTP 401", status=401),
        "partitions": [1],
        "partition": 1,
        "scanned": 3,
        "completed": 2,
        "committed": 5,
        "start": 9,
        "offset": 7,
        "count": 2,
        "documents": 2,
        "tombstones": 1,
        "tenant": "default",
        "delay_s": 0.25,
        "problem": "x",
        "lag_s": 0.5,
        "dependency": "model",
        "outcome": "ok",
        "reason": "transient",
        "wait_s": 0.5,
        "state": "open",
        "cause": "refused",
        "limit": 10,
        "symptom": "polls",
        "detail": "x",
    }
    for name, event in vars(Hook).items():
        if name.startswith("_"):
            continue
        metrics = Metrics()
        before = samples(metrics)
        arguments = [given_values[parameter] for parameter in list(signature(event).parameters)[1:]]
        getattr(metrics, name)(*arguments)
        changed = {key for key, value in samples(metrics).items() if before.get(key) != value}
        assert {key for key in changed if key[0].startswith("kotae")}, f"{name} is not counted"


def test_the_catalogue_keeps_to_prometheus_conventions() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(set(names)) == len(names)
    for metric in CATALOGUE:
        assert metric.name.startswith("kotae_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert metric.help.endswith(".")
    shown = {name for name, _ in samples(Metrics())}
    assert {metric.name for metric in CATALOGUE if not metric.labels and metric.kind != "histogram"} <= shown


@given(st.lists(st.floats(0, 100), max_size=50))
def test_a_value_counts_in_every_bucket_whose_bound_it_does_not_exceed(values: list[float]) -> None:
    distributions = Distributions(SECONDS)
    for value in values:
        distributions.observe(value)
    for name, count in distributions[()].cumulative if values else ():
        assert count == sum(value <= float(name) for value in values)
