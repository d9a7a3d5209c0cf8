"""The hook: every part of a worker reports its events here once, and sinks turn them into metrics and logs.

A sink subclasses `Hook` and overrides the events that it shows; `Hooks` passes every event to all sinks.
Events come on the event loop, many thousands a second: a sink must not block.
"""

from collections.abc import Callable, Iterable, Sequence

from agents.errors import DependencyError
from schemas.answer import Answer, Source
from schemas.event import StageTrace


class Hook:
    """All events, a method each. The methods do nothing, so that a sink overrides only a few."""

    def records_fetched(self, count: int) -> None:
        """One poll returned `count` records of `questions`."""

    def question_started(self, source: Source, queue_ms: float) -> None:
        """Work on a question began, `queue_ms` after its record's timestamp."""

    def stage_finished(self, trace: StageTrace) -> None:
        """A stage or tool call ended (see `agents.run.Observer`)."""

    def attempt_finished(self, dependency: str, outcome: str, duration_s: float) -> None:
        """An attempt to call a dependency ended (see `agents.resilience.events`)."""

    def attempt_failed(self, dependency: str, error: DependencyError) -> None:
        """A dependency failed or refused an attempt (see `agents.resilience.events`)."""

    def call_retried(self, dependency: str, reason: str, wait_s: float) -> None:
        """An attempt failed for `reason`; the next one follows after `wait_s`."""

    def call_hedged(self, dependency: str) -> None:
        """A second request started beside a slow one."""

    def breaker_changed(self, dependency: str, state: str, cause: str) -> None:
        """A dependency's breaker is now `closed`, `half_open` or `open`; the error `cause` opened it."""

    def limit_changed(self, dependency: str, limit: int) -> None:
        """At most `limit` calls to the dependency may now run at once."""

    def question_finished(self, answer: Answer, duration_s: float) -> None:
        """The broker has acknowledged the outcome, `duration_s` after work on the question began."""

    def question_cancelled(self, reason: str) -> None:
        """The broker has the outcome of a question that was called back (see `schemas.control`)."""

    def records_sent(self, topic: str, count: int, size: int) -> None:
        """The broker acknowledged `count` records, of `size` bytes in all."""

    def send_failed(self, topic: str, error: BaseException) -> None:
        """A record could not be written; its sender decides whether to repeat it."""

    def reply_refused(self, topic: str, reason: str) -> None:
        """A question names a place for its reply that gets none: the answer goes to `answers` alone."""

    def delta_dropped(self) -> None:
        """A delta was not sent: the broker was slower than the model."""

    def partitions_assigned(self, partitions: Sequence[int]) -> None:
        """The group assigned these partitions of `questions` to this worker."""

    def partitions_revoked(self, partitions: Sequence[int]) -> None:
        """This worker no longer has these partitions of `questions`."""

    def partition_recovered(self, partition: int, scanned: int, completed: int, duration_s: float) -> None:
        """The partition's questions may run: `scanned` answers were read, `completed` offsets are done."""

    def recovery_failed(self, error: BaseException) -> None:
        """The recovery scan failed; it is repeated until it succeeds."""

    def offset_out_of_range(self, partition: int, committed: int, start: int) -> None:
        """The log no longer has the offset `committed` (retention, say); reading goes on at `start`."""

    def transaction_open(self, partition: int) -> None:
        """Another program's open transaction has held the partition of `questions` for a minute."""

    def committed(self, partition: int, offset: int) -> None:
        """The group's commit for the partition is now `offset`: every question below it has its outcome."""

    def commit_failed(self, error: BaseException) -> None:
        """The broker refused a commit; the next one repeats it."""

    def consumer_rebuilt(self, symptom: str, detail: str) -> None:
        """A new consumer replaces one that was stuck (see `streams.consumer.watchdog`)."""

    def knowledge_changed(self, documents: int, tombstones: int) -> None:
        """The index took in this many documents and deletions."""

    def knowledge_delayed(self, tenant: str, delay_s: float) -> None:
        """A change of a tenant's document can be found, `delay_s` after the time of its record."""

    def document_skipped(self, problem: str) -> None:
        """A record of `documents` cannot be indexed; the index keeps the key's earlier document."""

    def loop_lagged(self, lag_s: float) -> None:
        """The event loop called a timer `lag_s` too late."""

    def loop_stalled(self, duration_s: float) -> None:
        """Something held the event loop for longer than `loop_monitor.HELD_S`; it has ended."""


class Hooks(Hook):
    """Passes every event to each sink that overrides it, in the order given."""

    def __init__(self, sinks: Iterable[Hook]) -> None:
        sinks = tuple(sinks)
        for name, ignore in vars(Hook).items():
            if name.startswith("_"):
                continue
            # Bound once: a question has fifteen events, and most of them interest one sink alone.
            interested = [
                told
                for told in (getattr(sink, name) for sink in sinks)
                if getattr(told, "__func__", None) is not ignore
            ]
            if interested:
                setattr(self, name, interested[0] if len(interested) == 1 else _each(interested))


def _each(interested: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def tell(*arguments: object) -> None:
        for told in interested:
            told(*arguments)

    return tell
