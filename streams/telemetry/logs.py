"""Log lines, written by a thread of their own: a slow terminal or a full pipe never delays an answer.

A line is plain text on a terminal and a JSON object elsewhere. Secrets of the settings are masked in
messages, stacks and extra fields.
"""

import logging
import logging.handlers
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Self, TextIO

import orjson

from schemas.answer import Answer
from streams.settings.secrets import masker
from streams.telemetry.hook import Hook
from streams.telemetry.repeated_lines import RepeatedLines
from streams.telemetry.terminal import harmless

LINES_MAX = 10_000
"""Log records that may wait to be written; further ones are dropped and counted."""
FLUSH_S = 2.0
"""How long the end of the process waits for the remaining lines to be written."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Formats a record as a JSON object: time, level, logger, message, the stack if any, extra fields."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = _writable(mask)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._mask(record.getMessage()),
            **_extra(record, self._mask),
        }
        if record.exc_text:
            line["stack"] = self._mask(record.exc_text)
        return orjson.dumps(line, default=str).decode()


class PlainLines(logging.Formatter):
    """Formats a record for a person: time of day, level, logger, message, extra fields, the stack below."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines, without a final line break."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extra = "".join(f" {name}={value}" for name, value in _extra(record, self._mask).items())
        stack = f"\n{record.exc_text}" if record.exc_text else ""
        message = self._mask(record.getMessage() + stack)
        return harmless(f"{time} {record.levelname:7} {record.name}: {message}{extra}")


def _writable(mask: Callable[[str], str]) -> Callable[[str], str]:
    """`mask`, then escapes for characters that JSON cannot hold (from file names): else the line is lost."""

    def masked(text: str) -> str:
        return mask(text).encode(errors="backslashreplace").decode()

    return masked


def _extra(record: logging.LogRecord, mask: Callable[[str], str]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, bool | int | float | None) else mask(str(value))
        for name, value in vars(record).items()
        if name not in _STANDARD
    }


class _Enqueue(logging.handlers.QueueHandler):
    """Puts records on the queue; drops them if it is full. It never waits."""

    dropped = 0

    def __init__(
        self, waiting: "queue.Queue[logging.LogRecord | None]", fields: Mapping[str, object]
    ) -> None:
        super().__init__(waiting)
        self._fields = fields
        # While the broker is away aiokafka repeats a line a hundred times a second, and all questions may
        # fail with the same line.
        self.addFilter(RepeatedLines("aiokafka", __name__))

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        # The record's arguments may change before it is written, so its text is made now.
        record.msg, record.args = record.getMessage(), None
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_info = None
        vars(record).update(self._fields)
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class Logging:
    """Sets up the process's logging while the block lasts, and restores the earlier set-up at its end.

    Args:
        secrets: values that must not be written (see `streams.settings.secrets.secrets_of`).
        fields: extra fields of every line.
        as_json: whether to write JSON lines; None: yes, unless `stream` is a terminal.
        level: the root logger's level.
    """

    def __init__(
        self,
        *,
        secrets: Collection[str] = (),
        fields: Mapping[str, object] = MappingProxyType({}),
        stream: TextIO | None = None,
        as_json: bool | None = None,
        level: int = logging.INFO,
        lines_max: int = LINES_MAX,
    ) -> None:
        stream = sys.stderr if stream is None else stream
        as_json = not stream.isatty() if as_json is None else as_json
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(lines_max)
        self._enqueue = _Enqueue(self._queue, fields)
        self._output = logging.StreamHandler(stream)
        self._output.setFormatter((JsonLines if as_json else PlainLines)(masker(secrets)))
        self._level = level
        self._writer = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._before: tuple[int, list[logging.Handler]] = (logging.WARNING, [])

    @property
    def dropped(self) -> int:
        """How many records were dropped because the queue was full."""
        return self._enqueue.dropped

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._before = root.level, root.handlers
        root.handlers = [self._enqueue]
        root.setLevel(self._level)
        # At DEBUG it writes whole requests, among them the bytes of a SASL login.
        logging.getLogger("aiokafka.conn").setLevel(logging.INFO)
        # At INFO it writes a line for every request of a tool, with the whole address, which may hold a key.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        # At INFO it writes a line for every reader of a partition, at each rebalance.
        logging.getLogger("aiokafka.consumer.subscription_state").setLevel(logging.WARNING)
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        root = logging.getLogger()
        root.level, root.handlers = self._before
        try:
            self._queue.put(None, timeout=FLUSH_S)
        except queue.Full:
            return  # nobody reads the output: the thread ends with the process
        self._writer.join(FLUSH_S)

    def _write(self) -> None:
        told = 0
        while (record := self._queue.get()) is not None:
            self._output.handle(record)
            if (dropped := self._enqueue.dropped) != told:
                notice = f"{dropped - told} log records were dropped: the output is too slow"
                told = dropped
                self._output.handle(log.makeRecord(log.name, logging.WARNING, __file__, 0, notice, (), None))


class LogSink(Hook):
    """Logs the events that an operator looks for: failures, and which partitions this worker has."""

    def question_finished(self, answer: Answer, duration_s: float) -> None:  # noqa: ARG002, D102 - see the hook
        if answer.error is not None:
            source = answer.source
            log.warning(
                "question %s failed in stage %s: %s: %s",
                answer.question_id,
                answer.error.stage,
                answer.error.code,
                answer.error.message,
                extra={"source": f"{source.topic}/{source.partition}/{source.offset}"},
            )

    def breaker_changed(self, dependency: str, state: str, cause: str) -> None:  # noqa: D102 - see the hook
        if state == "open":
            log.warning("%s fails too often and is not called for a while: %s", dependency, cause)
        elif state == "closed":
            log.info("%s is called again", dependency)

    def send_failed(self, topic: str, error: BaseException) -> None:  # noqa: D102 - see the hook
        log.error("could not write a record to the topic %s: %s: %s", topic, type(error).__name__, error)

    def reply_refused(self, topic: str, reason: str) -> None:  # noqa: D102 - see the hook
        log.warning("no reply was sent to the topic %s: %s", topic, reason)

    def partitions_assigned(self, partitions: Sequence[int]) -> None:  # noqa: D102 - see the hook
        log.info("assigned to this worker: partitions %s of questions", list(partitions))

    def partitions_revoked(self, partitions: Sequence[int]) -> None:  # noqa: D102 - see the hook
        log.info("taken from this worker: partitions %s of questions", list(partitions))

    def partition_recovered(  # noqa: D102 - see the hook
        self, partition: int, scanned: int, completed: int, duration_s: float
    ) -> None:
        log.info(
            "partition %d is recovered: %d answers read in %.0f ms, %d questions done above the commit point",
            partition,
            scanned,
            duration_s * 1000,
            completed,
        )

    def recovery_failed(self, error: BaseException) -> None:  # noqa: D102 - see the hook
        log.error(
            "the recovery scan failed; the partitions wait until it succeeds: %s: %s",
            type(error).__name__,
            error,
        )

    def offset_out_of_range(self, partition: int, committed: int, start: int) -> None:  # noqa: D102 - see the hook
        log.error(
            "partition %d: the log no longer has offset %d, the next to be read; reading goes on at %d",
            partition,
            committed,
            start,
        )

    def transaction_open(self, partition: int) -> None:
        """See the hook."""
        log.warning(
            "partition %d: a producer's transaction has been open for a minute, and no later question is "
            "read until it ends: find its producer with 'kafka-transactions.sh describe-producers', or "
            "end it with 'kafka-transactions.sh abort'",
            partition,
        )

    def commit_failed(self, error: BaseException) -> None:  # noqa: D102 - see the hook
        log.warning(
            "the broker refused a commit; the next one repeats it: %s: %s", type(error).__name__, error
        )

    def consumer_rebuilt(self, symptom: str, detail: str) -> None:  # noqa: D102 - see the hook
        log.error("the consumer is stuck (%s) and is being replaced: %s", symptom, detail)

    def document_skipped(self, problem: str) -> None:  # noqa: D102 - see the hook
        log.warning("skipped a record of documents: %s", problem)
