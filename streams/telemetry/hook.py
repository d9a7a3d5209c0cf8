"""The one hook: whatever happens is told here once, and each sink makes of it what it shows.

Sinks (metrics, logs) subclass `Hook` and override what they care about; `Hooks` passes every event
to all of them. Events come on the event loop, many thousands a second: a sink must not block.
"""

from collections.abc import Callable, Iterable, Sequence

from schemas.answer import Answer, Source
from schemas.event import StageTrace


class Hook:
    """Everything that can be told; the methods do nothing, so that a sink overrides a few."""

    def records_fetched(self, count: int) -> None:
        """So many records of `questions` came in one poll."""

    def question_started(self, source: Source, queue_ms: float) -> None:
        """Work on a record began; it had waited for `queue_ms` since the broker got it."""

    def stage_finished(self, trace: StageTrace) -> None:
        """A stage or tool call ended (see `agents.run.Observer`)."""

    def attempt_finished(self, dependency: str, outcome: str, duration_s: float) -> None:
        """An attempt to call a dependency ended (see `agents.resilience.events`)."""

    def call_retried(self, dependency: str, reason: str, wait_s: float) -> None:
        """An attempt failed for `reason`, and the next one follows after `wait_s`."""

    def call_hedged(self, dependency: str) -> None:
        """A second request was started beside one that takes long."""

    def breaker_changed(self, dependency: str, state: str, cause: str) -> None:
        """A dependency's breaker is `closed`, `half_open` or `open` now, this by an error, its `cause`."""

    def limit_changed(self, dependency: str, limit: int) -> None:
        """So many calls to a dependency may run at once now."""

    def question_finished(self, answer: Answer, duration_s: float) -> None:
        """The broker has the outcome; `duration_s` since the work began."""

    def records_sent(self, topic: str, count: int, size: int) -> None:
        """The broker acknowledged so many records of `size` bytes in all."""

    def send_failed(self, topic: str, error: BaseException) -> None:
        """A record could not be written; what follows is up to whoever asked for it."""

    def reply_refused(self, topic: str) -> None:
        """A question's `reply_to` names a topic where no reply may go: its answer is on `answers` alone."""

    def delta_dropped(self) -> None:
        """A piece of a streaming answer was not sent: the broker was slower than the model."""

    def partitions_assigned(self, partitions: Sequence[int]) -> None:
        """These partitions of `questions` are ours now."""

    def partitions_revoked(self, partitions: Sequence[int]) -> None:
        """These are not any more."""

    def partition_recovered(self, partition: int, scanned: int, completed: int, duration_s: float) -> None:
        """Its records may run: `scanned` answers were read, and `completed` of its offsets are done."""

    def recovery_failed(self, error: BaseException) -> None:
        """What was done of our partitions could not be read; it is tried until it can."""

    def offset_out_of_range(self, partition: int, committed: int, start: int) -> None:
        """What was to be read next is not in the log (retention, say); reading goes on at `start`."""

    def committed(self, partition: int, offset: int) -> None:
        """Everything of the partition below `offset` has its outcome."""

    def commit_failed(self, error: BaseException) -> None:
        """The broker refused a commit; the next one repeats it."""

    def consumer_rebuilt(self, symptom: str, detail: str) -> None:
        """A new consumer takes the place of one that was stuck (see `streams.consumer.watchdog`)."""

    def knowledge_changed(self, documents: int, tombstones: int) -> None:
        """The index took in so many documents and deletions."""

    def document_skipped(self, problem: str) -> None:
        """A record of `documents` cannot be indexed; what the index had under its key stays."""

    def loop_lagged(self, lag_s: float) -> None:
        """A timer of the event loop was called so much too late."""

    def loop_stalled(self, duration_s: float) -> None:
        """Something held the event loop for longer than `loop_monitor.HELD_S`, and has let it go."""


class Hooks(Hook):
    """Passes every event to each sink that does something with it, in the order given."""

    def __init__(self, sinks: Iterable[Hook]) -> None:
        sinks = tuple(sinks)
        for name, ignore in vars(Hook).items():
            if name.startswith("_"):
                continue
            # Bound now: a question has fifteen events, and most of them interest one sink alone.
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
