"""What passes to the publisher: records to write, and which of them make one outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from schemas.answer import Answer, Source
from schemas.headers import Header, RequestHeaders
from schemas.question import Question
from streams.publishing.gate import Gate


class Record:
    """One record to write.

    Attributes:
        partition: where; None leaves it to the key. On a topic with fewer partitions it is taken
            modulo theirs, unless it is `exact`.
        size: bytes of key and value, as they were made: what is taken out on the way is not deducted.
        settled: told of it once it was sent, in a turn of its own: None when the broker has it, else why it
            has not.
        gate: what it has to pass when it leaves; None: nothing.
        alone: it was in a batch that was refused for its size: which record was too large, shows alone.
    """

    __slots__ = ("alone", "exact", "gate", "headers", "key", "partition", "settled", "size", "topic", "value")

    settled: "Settled"
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
        self.size = len(key or b"") + len(value or b"")

    @property
    def size_with_headers(self) -> int:
        """Bytes of all that is written."""
        return self.size + sum(len(name) + len(value or b"") for name, value in self.headers)


Settled = Callable[[Record, BaseException | None], None]


@dataclass(slots=True, eq=False)
class Inquiry:
    """A record of `questions` and what is known of it; `question` is None where it did not decode.

    `headers_lost`: it had headers that could not be read, which `record` is without. `gate`: whether its
    outcome may go out.
    """

    record: ConsumerRecord
    source: Source
    request: RequestHeaders
    question: Question | None = None
    headers_lost: bool = False
    gate: Gate = field(default_factory=Gate)


@dataclass(slots=True, eq=False)
class Outcome:
    """All that is written for one question, in this order: dead letter, answer, then the copies.

    `refused_reply` is where its reply may not go. `shrunk` counts how often the answer was made smaller
    because it was too large.
    """

    inquiry: Inquiry
    message: Answer
    answer: Record
    dead_letter: Record | None = None
    reply: Record | None = None
    refused_reply: str | None = None
    trace: Record | None = None
    shrunk: int = 0


def conceal_in(record: Record, conceal: Callable[[bytes], bytes], dead_letters: str) -> None:
    """Take secrets out of what we wrote: a dead letter's value is as received, the headers of others are.

    A dependency that repeats our key in an error or a result would else have it published.
    """
    if record.topic == dead_letters:
        record.headers = [(name, value and conceal(value)) for name, value in record.headers]
    elif record.value:
        record.value = conceal(record.value)
