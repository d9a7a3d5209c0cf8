"""The topics, their names and their settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

RECORD_MAX_BYTES = 1_048_588
"""Largest record of `questions`: Kafka's own default for a record batch."""

OUTCOME_MAX_BYTES = 2 * RECORD_MAX_BYTES
"""Largest outcome: an answer holds its question's metadata, and a dead letter its whole record."""

DOCUMENT_MAX_BYTES = 8 * 1_048_576
"""Largest document: one record holds it, and a book is one document."""

REPLY_PARTITIONS = 64
"""Partitions of `answers.replies`: each client reads one, whatever the number of questions' partitions."""

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic to create. `configs` holds Kafka's topic settings; the broker decides the others."""

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)


class Topics:
    """The names of the topics. `prefix` stands before each as it is (`prod.` makes `prod.questions`).

    Attributes:
        own: all topics of ours.
        optional: those that a cluster made by 0.1.0 lacks; a worker runs without them.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.questions = f"{prefix}questions"
        self.answers = f"{prefix}answers"
        self.deltas = f"{prefix}answers.deltas"
        self.dead_letters = f"{prefix}questions.dlq"
        self.events = f"{prefix}events"
        self.journal = f"{prefix}journal"
        self.documents = f"{prefix}documents"
        self.replies = f"{prefix}answers.replies"
        self.feedback = f"{prefix}feedback"
        self.control = f"{prefix}questions.control"
        self.optional = frozenset((self.replies, self.feedback, self.control))
        self.own = frozenset(
            (
                self.questions,
                self.answers,
                self.deltas,
                self.dead_letters,
                self.events,
                self.journal,
                self.documents,
            )
        ).union(self.optional)

    def __repr__(self) -> str:
        return f"Topics({self.prefix!r})"

    def specs(self, partitions: int) -> list[TopicSpec]:
        """Return every topic, in the order in which to create them.

        `questions`, and all topics where a record lies on its question's partition number, have
        `partitions`, and so has `feedback`. `documents` has one, because its order matters and every embedded
        index reads all of it.
        """
        # Equal retention: if an answer went before its question, a crash would answer the question again.
        log = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}
        # The broker's clock, from which `timeout_ms` and a question's wait count: an asker's may be wrong.
        stamped = {"message.timestamp.type": "LogAppendTime"}
        outcome = {"max.message.bytes": str(OUTCOME_MAX_BYTES)}
        return [
            TopicSpec(
                self.questions, partitions, log | stamped | {"max.message.bytes": str(RECORD_MAX_BYTES)}
            ),
            # As long as the questions: each of them may be cancelled.
            TopicSpec(self.control, partitions, log | stamped),
            # The broker's clock here too: a client looks for an answer from its question's time on.
            TopicSpec(self.answers, partitions, log | stamped | outcome),
            TopicSpec(self.deltas, partitions, _kept(_HOUR_MS, segment_ms=10 * _MINUTE_MS)),
            TopicSpec(
                self.replies,
                REPLY_PARTITIONS,
                _kept(_HOUR_MS, segment_ms=10 * _MINUTE_MS) | stamped | outcome,
            ),
            # Longer than the questions, because a person has to look at them first.
            TopicSpec(self.dead_letters, partitions, log | outcome | {"retention.ms": str(30 * _DAY_MS)}),
            TopicSpec(self.events, partitions, log | outcome),
            TopicSpec(self.journal, partitions, _kept(_DAY_MS, segment_ms=_HOUR_MS) | outcome),
            # As long as the dead letters: people look at both, and choose what is tried again.
            TopicSpec(self.feedback, partitions, log | stamped | {"retention.ms": str(30 * _DAY_MS)}),
            # The lag: for as long as there are questions, the documents of their time can be read, and a
            # worker that was away misses no deletion.
            TopicSpec(
                self.documents,
                1,
                {
                    "cleanup.policy": "compact",
                    "max.message.bytes": str(DOCUMENT_MAX_BYTES),
                    "min.compaction.lag.ms": str(7 * _DAY_MS),
                }
                | stamped,
            ),
        ]


def _kept(retention_ms: int, *, segment_ms: int) -> dict[str, str]:
    # Kafka deletes only whole, closed segments: short retention needs short segments.
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "segment.ms": str(segment_ms),
    }
