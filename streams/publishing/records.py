"""The values that pass to the publisher: records to write, and the outcomes that they make up."""

from collections.abc import Callable
from dataclasses import dataclass

from aiokafka import ConsumerRecord

from schemas.answer import Answer, Source
from schemas.fingerprint import Fingerprint
from schemas.headers import Header, RequestHeaders
from schemas.question import Question
from streams.publishing.gate import Gate
from streams.publishing.replies import ReplyPlace


class Record:
    """One record to write.

    Attributes:
        partition: where it goes; None leaves that to the key. On a topic with fewer partitions it is taken
            modulo their number, unless it is `exact`.
        size: bytes of key and value, as they were made: secrets taken out later are not deducted.
        on_delivery: called once, in a turn of the event loop of its own: with None when the broker has the
            record, else with the error.
        gate: the gate that it has to pass when it leaves; None: it needs none.
        position: once the broker has it, its offset in its partition, or one below that.
        alone: it travels in a batch of its own, because the broker refused the batch that it was in for its
            size, and only so the record that is too large shows.
    """

    __slots__ = (
        "alone",
        "exact",
        "gate",
        "headers",
        "key",
        "on_delivery",
        "partition",
        "position",
        "size",
        "topic",
        "value",
    )

    on_delivery: "OnDelivery"
    gate: Gate | None
    alone: bool

    def __init__(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header],
        partition: int | None = None,
        *,
        exact: bool = False,
    ) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.partition = partition
        self.exact = exact
        self.position = 0
        self.size = len(key or b"") + len(value or b"")

    @property
    def size_with_headers(self) -> int:
        """Bytes of the whole record."""
        return self.size + sum(len(name) + len(value or b"") for name, value in self.headers)


OnDelivery = Callable[[Record, BaseException | None], None]
"""Called with the record, and None or the error; see `Record.on_delivery`."""


@dataclass(slots=True, eq=False)
class Inquiry:
    """A record of `questions`, decoded.

    Attributes:
        record: the record, without headers whose names could not be read.
        gate: the gate of its partition, which its outcome has to pass.
        question: None if the value could not be decoded.
        problem: why the record cannot be answered: a `DecodeError`, or a defect's error; None: it can be.
        headers_lost: `record` is without some of its headers.
        warnings: notes for its asker; see `schemas.errors.WarningCode`.
        fingerprint: of the question; None if the record cannot be answered.
    """

    record: ConsumerRecord
    source: Source
    request: RequestHeaders
    gate: Gate
    question: Question | None = None
    problem: Exception | None = None
    headers_lost: bool = False
    warnings: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None

    def warn(self, warning: str) -> None:
        """Add a warning for its answer."""
        self.warnings = (*self.warnings, warning)


@dataclass(slots=True, eq=False)
class Outcome:
    """The records of one question, written in this order: dead letter, answer, then the copies.

    Attributes:
        refused_reply: the place that the asker named and that no reply goes to.
        shrunk: how often the answer was made smaller because it was too large.
    """

    inquiry: Inquiry
    message: Answer
    answer: Record
    dead_letter: Record | None = None
    reply: Record | None = None
    refused_reply: ReplyPlace | None = None
    trace: Record | None = None
    shrunk: int = 0


def conceal_in(record: Record, conceal: Callable[[bytes], bytes], dead_letters: str) -> None:
    """Take secrets out of a record: of a dead letter's headers, else of the value.

    A dead letter's value is as received, and so are the other records' headers. Without this, a dependency
    that repeats our key in an error or a result would get it published.
    """
    if record.topic == dead_letters:
        record.headers = [(name, value and conceal(value)) for name, value in record.headers]
    elif record.value:
        record.value = conceal(record.value)
