"""The topics, their names and how each is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

RECORD_MAX_BYTES = 1_048_588
"""Kafka's own default for the largest record batch; what `questions` takes."""

OUTCOME_MAX_BYTES = 2 * RECORD_MAX_BYTES
"""An outcome holds its question's metadata, and a dead letter its whole record, and both say more."""

DOCUMENT_MAX_BYTES = 8 * 1_048_576
"""A document is one record, and a book is a document."""

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic to create; `configs` are Kafka's topic settings, what is not named is left to the broker."""

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)


class Topics:
    """The names in use; `prefix` is put before each as it stands (`prod.` makes `prod.questions`)."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.questions = f"{prefix}questions"
        self.answers = f"{prefix}answers"
        self.deltas = f"{prefix}answers.deltas"
        self.dead_letters = f"{prefix}questions.dlq"
        self.events = f"{prefix}events"
        self.journal = f"{prefix}journal"
        self.documents = f"{prefix}documents"
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
        )

    def __repr__(self) -> str:
        return f"Topics({self.prefix!r})"

    def specs(self, partitions: int) -> list[TopicSpec]:
        """Every topic, in the order in which to create them.

        `partitions` is that of `questions`, and of all topics where a record lies on its question's
        partition number. `documents` has one: its order is its meaning, and every embedded index reads
        all of it.
        """
        # An answer that is gone before its question is answered twice after a crash: keep both equally long.
        log = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}
        # By the broker's clock: `timeout_ms` and a question's wait begin there, however wrong an asker's is.
        stamped = {"message.timestamp.type": "LogAppendTime"}
        outcome = {"max.message.bytes": str(OUTCOME_MAX_BYTES)}
        return [
            TopicSpec(
                self.questions, partitions, log | stamped | {"max.message.bytes": str(RECORD_MAX_BYTES)}
            ),
            TopicSpec(self.answers, partitions, log | outcome),
            TopicSpec(self.deltas, partitions, _kept(_HOUR_MS, segment_ms=10 * _MINUTE_MS)),
            # Longer than the questions: somebody has to look at them first.
            TopicSpec(self.dead_letters, partitions, log | outcome | {"retention.ms": str(30 * _DAY_MS)}),
            TopicSpec(self.events, partitions, log | outcome),
            TopicSpec(self.journal, partitions, _kept(_DAY_MS, segment_ms=_HOUR_MS) | outcome),
            TopicSpec(
                self.documents, 1, {"cleanup.policy": "compact", "max.message.bytes": str(DOCUMENT_MAX_BYTES)}
            ),
        ]


def _kept(retention_ms: int, *, segment_ms: int) -> dict[str, str]:
    # Kafka deletes whole segments, and only closed ones: short retention needs short segments.
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "segment.ms": str(segment_ms),
    }
