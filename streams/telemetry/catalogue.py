"""Every metric: its name, unit, labels and meaning. Dashboards and alerts depend on these names."""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a latency's buckets, from a local tool to twice the default deadline."""

QUEUE_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Upper bounds for waiting in the log, which takes hours behind a backlog."""

KNOWLEDGE_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Upper bounds for the way of a document's change, from at once to behind a server that is away."""

LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Upper bounds for how late the event loop serves a timer; above 0.1 s it counts as held."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A counter's name ends in `_total`; times are in seconds, sizes in bytes."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


RECORDS_FETCHED = Metric("kotae_records_fetched_total", "counter", "Records read from the topic questions.")
QUESTIONS_STARTED = Metric("kotae_questions_started_total", "counter", "Questions on which work began.")
QUESTIONS_FINISHED = Metric(
    "kotae_questions_finished_total",
    "counter",
    "Outcomes that the broker acknowledged, by status.",
    ("status",),
)
QUESTIONS_FAILED = Metric(
    "kotae_questions_failed_total", "counter", "Failed outcomes, by error code.", ("code",)
)
QUESTIONS_DEGRADED = Metric(
    "kotae_questions_degraded_total",
    "counter",
    "Degraded answers, by degrade reason; an answer may have several reasons.",
    ("reason",),
)
QUESTIONS_CANCELLED = Metric(
    "kotae_questions_cancelled_total",
    "counter",
    "Questions that were called back in time, by reason (`disconnect` or `request`).",
    ("reason",),
)
CANCELS_IGNORED = Metric(
    "kotae_cancels_ignored_total",
    "counter",
    "Records of questions.control without effect: unreadable, misplaced (another partition's), late (after "
    "the outcome) or dropped (too many).",
    ("reason",),
)
CANCELS_KEPT = Metric(
    "kotae_cancels_kept", "gauge", "Cancels that are kept until their questions have their outcomes."
)
REPEATS = Metric(
    "kotae_repeats_total", "counter", "Questions that were sent again and got the first one's result."
)
REPEAT_RESULTS = Metric(
    "kotae_repeat_results",
    "gauge",
    "Results that are known, so that a question that is sent again gets the same one.",
)
QUESTION_SECONDS = Metric(
    "kotae_question_duration_seconds",
    "histogram",
    "Time from the start of work on a question until the broker acknowledges its outcome.",
    buckets=SECONDS,
)
QUEUE_TIME = Metric(
    "kotae_question_queue_seconds",
    "histogram",
    "Time from a question's timestamp to the start of work on it.",
    buckets=QUEUE_SECONDS,
)
STAGES = Metric(
    "kotae_stages_total", "counter", "Stages and tool calls (tools/<name>) that ended.", ("stage", "status")
)
STAGE_SECONDS = Metric(
    "kotae_stage_duration_seconds",
    "histogram",
    "Duration of stages and tool calls, without skipped ones.",
    ("stage",),
    SECONDS,
)
TOKENS = Metric(
    "kotae_model_tokens_total", "counter", "Tokens, as the model's server counts them.", ("kind",)
)
ATTEMPTS = Metric(
    "kotae_attempts_total",
    "counter",
    "Attempts to call a dependency, by outcome. Dependencies: model, fallback_model, knowledge, embeddings, "
    "tools/<name>; custom components: retriever, planner, generator.",
    ("dependency", "outcome"),
)
ATTEMPT_SECONDS = Metric(
    "kotae_attempt_duration_seconds", "histogram", "Duration of attempts.", ("dependency",), SECONDS
)
ATTEMPT_FAILURES = Metric(
    "kotae_attempt_failures_total",
    "counter",
    "Attempts that the dependency failed or refused, by HTTP status, or by reason where there is none.",
    ("dependency", "cause"),
)
RETRIES = Metric(
    "kotae_retries_total",
    "counter",
    "Attempts that were repeated, by the reason of the failure before.",
    ("dependency", "reason"),
)
HEDGES = Metric("kotae_hedges_total", "counter", "Second requests started beside slow ones.", ("dependency",))
BREAKER_CHANGES = Metric(
    "kotae_breaker_changes_total",
    "counter",
    "State changes of breakers, by their new state.",
    ("dependency", "state"),
)
BREAKER_OPEN = Metric(
    "kotae_breaker_open",
    "gauge",
    "The breaker of a dependency: 1 open (no calls), 0.5 half open (a few trial calls), 0 closed.",
    ("dependency",),
)
CALL_LIMIT = Metric(
    "kotae_call_limit", "gauge", "The most calls to a dependency that may run at once.", ("dependency",)
)
RECORDS_SENT = Metric(
    "kotae_records_sent_total", "counter", "Records that the broker acknowledged.", ("topic",)
)
BYTES_SENT = Metric(
    "kotae_sent_bytes_total", "counter", "Bytes of the records that the broker acknowledged.", ("topic",)
)
SEND_FAILURES = Metric(
    "kotae_send_failures_total", "counter", "Records that could not be written.", ("topic",)
)
REPLIES_REFUSED = Metric(
    "kotae_replies_refused_total",
    "counter",
    "Replies not sent: their topic is not in kafka.reply_topics, or lacks the partition that is asked for.",
)
DELTAS_DROPPED = Metric(
    "kotae_deltas_dropped_total",
    "counter",
    "Deltas of streaming answers dropped because the broker was too slow.",
)
PARTITIONS = Metric("kotae_partitions_assigned", "gauge", "Partitions of questions assigned to this worker.")
REBALANCES = Metric("kotae_rebalances_total", "counter", "Assignments of partitions to this worker.")
COMMITS = Metric("kotae_commits_total", "counter", "Partition offsets committed.")
COMMIT_FAILURES = Metric("kotae_commit_failures_total", "counter", "Commits that the broker refused.")
RECOVERIES = Metric(
    "kotae_recoveries_total", "counter", "Partitions whose answers were scanned after an assignment."
)
RECOVERY_RECORDS = Metric(
    "kotae_recovery_scanned_total", "counter", "Records of answers read by recovery scans."
)
RECOVERY_COMPLETED = Metric(
    "kotae_recovery_completed_total",
    "counter",
    "Questions above the commit point that recovery found to have an outcome.",
)
RECOVERY_SECONDS = Metric(
    "kotae_recovery_duration_seconds",
    "histogram",
    "Time from a partition's assignment until its questions may run.",
    buckets=SECONDS,
)
RECOVERY_FAILURES = Metric(
    "kotae_recovery_failures_total", "counter", "Recovery scans that failed and were repeated."
)
OUT_OF_RANGE = Metric(
    "kotae_offsets_out_of_range_total",
    "counter",
    "Times that the next offset to read was no longer in the log.",
)
OPEN_TRANSACTIONS = Metric(
    "kotae_open_transactions_total",
    "counter",
    "Transactions of other programs that held a partition of questions for more than a minute.",
    ("partition",),
)
CONSUMER_REBUILDS = Metric(
    "kotae_consumer_rebuilds_total",
    "counter",
    "Consumers replaced because they were stuck, by symptom: ended, polls, group, records.",
    ("symptom",),
)
DOCUMENTS_INDEXED = Metric("kotae_documents_indexed_total", "counter", "Documents added to the index.")
DOCUMENTS_DELETED = Metric("kotae_documents_deleted_total", "counter", "Documents deleted from the index.")
KNOWLEDGE_DELAY = Metric(
    "kotae_knowledge_delay_seconds",
    "histogram",
    "Time from a document's record, or its deletion's, until searches find the change. Records that were "
    "there when the worker started are not counted.",
    buckets=KNOWLEDGE_SECONDS,
)
DOCUMENTS_SKIPPED = Metric(
    "kotae_documents_skipped_total", "counter", "Records of the topic documents that cannot be indexed."
)
DOCUMENTS_WITHOUT_VECTORS = Metric(
    "kotae_documents_without_vectors",
    "gauge",
    "Documents found by words alone, because the embeddings' server has not made their vectors yet.",
)
KNOWLEDGE_WAITING = Metric(
    "kotae_knowledge_waiting",
    "gauge",
    "1 while documents, or their vectors, wait for a server that is away or refuses us; else 0.",
)
CACHE_LOOKUPS = Metric(
    "kotae_cache_lookups_total",
    "counter",
    "Look-ups of questions in the answer cache, by result. Found: memory, shared (Redis), joined (another "
    "question's run); not found: missed; not looked up: passed.",
    ("result",),
)
CACHE_BYTES = Metric("kotae_cache_memory_bytes", "gauge", "Bytes that the answer cache holds in memory.")
CACHE_ERRORS = Metric(
    "kotae_cache_errors_total", "counter", "Round trips to the answer cache's Redis that failed."
)
CACHE_DROPPED = Metric(
    "kotae_cache_writes_dropped_total", "counter", "Answers not written to Redis because it was too slow."
)
LOG_LINES_DROPPED = Metric(
    "kotae_log_lines_dropped_total", "counter", "Log records dropped because the output was too slow."
)
IN_FLIGHT = Metric("kotae_questions_in_flight", "gauge", "Questions being answered now.")
IN_FLIGHT_LIMIT = Metric(
    "kotae_in_flight_limit",
    "gauge",
    "The most questions that may be answered at once; it follows the event loop's lag.",
)
INCOMPLETE = Metric(
    "kotae_questions_incomplete", "gauge", "Questions read from the broker that have no outcome yet."
)
OLDEST_AGE = Metric(
    "kotae_oldest_incomplete_age_seconds",
    "gauge",
    "Time since the oldest question without an outcome was read from the broker.",
)
PAUSED = Metric(
    "kotae_partitions_paused",
    "gauge",
    "Partitions in which no question starts, because a dead letter cannot be written.",
)
DRAIN = Metric(
    "kotae_drain_seconds",
    "gauge",
    "Estimated time until every question in this worker's partitions has its outcome, if no more come.",
)
LOOP_LAG = Metric(
    "kotae_event_loop_lag_seconds",
    "histogram",
    "How late the event loop served a timer; every question in the process waits as long.",
    buckets=LAG_SECONDS,
)
LOOP_STALLS = Metric(
    "kotae_event_loop_stalls_total",
    "counter",
    "Times that something held the event loop for more than 100 ms; /state shows the stacks.",
)

CATALOGUE: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
