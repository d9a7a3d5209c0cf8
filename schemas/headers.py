"""Record headers: those that a question brings, and those of the records that it leads to.

Kafka allows a header twice; as in its own clients (`lastHeader`), the last one counts. A malformed header
counts as absent: headers never fail a question. All headers that Kotae makes are text in UTF-8, because
binary values crash other consumers; echoed headers stay as they came.

A reply's partition is the one exception: one that cannot be read is no absent one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from schemas.answer import Answer, Instant, Source
from schemas.event import AnswerDelta

Header = tuple[str, bytes]

MESSAGE_MAX = 4096
"""Characters of the longest error message, which goes into answers, traces and dead letters."""

QUESTION_DIGEST = "kotae_question_digest"
"""The header of an answer with the digest of its question (`schemas.fingerprint`), in hexadecimal."""

_DIGEST = re.compile(rb"[0-9a-f]{64}")
UNREADABLE_PARTITION = -1
"""A `reply_partition` that is no number of a partition: no reply goes anywhere, because its reader reads one
partition alone and would not see it."""

_CORRELATION = ("correlation_id", "kafka_correlationId")
_TOPIC = re.compile(rb"[a-zA-Z0-9._-]{1,249}")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# The limit of the W3C's Baggage; both go into HTTP headers, so nothing but printable ASCII may pass.
_TRACE_DETAIL = re.compile(rb"[\x20-\x7e]{1,8192}")
_MILLISECONDS = re.compile(rb"[0-9]{1,15}")
_PARTITION = re.compile(rb"[0-9]{1,9}")
_encode = msgspec.json.Encoder().encode

FIXED: list[Header] = [
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/kotae"),
    ("content-type", b"application/json"),
]
"""The headers that all records of ours have."""
_ANSWER_TYPE: Header = ("ce_type", b"kotae.answer")
_DELTA_TYPE: Header = ("ce_type", b"kotae.answer.delta")
_TRACE_TYPE: Header = ("ce_type", b"kotae.question.trace")


class RequestHeaders(Struct, frozen=True):
    """The parsed headers of a question.

    Attributes:
        correlation: the headers to echo byte for byte.
        reply_to: the topic for a copy of the answer; not yet checked against the allow-list.
        reply_partition: the partition of that topic, if the asker names one; `UNREADABLE_PARTITION` if it
            names none that there can be.
        reply_deltas: the pieces of a streaming answer go to that topic, too.
        traceparent, tracestate, baggage: the W3C trace context, safe to pass on.
        ce_id: the CloudEvents id of the question.
        expiry_s: the deadline in unix seconds, from `ce_expirytime`.
        timeout_ms: the deadline in milliseconds after the record's timestamp.
    """

    correlation: tuple[Header, ...] = ()
    reply_to: str | None = None
    reply_partition: int | None = None
    reply_deltas: bool = False
    traceparent: str | None = None
    tracestate: str | None = None
    baggage: str | None = None
    ce_id: str | None = None
    expiry_s: float | None = None
    timeout_ms: int | None = None

    def expires_at(self, record_timestamp_ms: int) -> float | None:
        """Return the question's own deadline in unix seconds; None: it has none.

        `ce_expirytime` takes precedence over `timeout_ms`, which starts at the record's timestamp. In a
        record without a timestamp (Kafka has -1 there) `timeout_ms` is ignored.
        """
        if self.expiry_s is not None or self.timeout_ms is None or record_timestamp_ms < 0:
            return self.expiry_s
        return (record_timestamp_ms + self.timeout_ms) / 1000


NO_HEADERS = RequestHeaders()
"""The headers of a question without any."""


def parse_request_headers(headers: Sequence[Header]) -> RequestHeaders:
    """Parse a question's headers. Never raises."""
    if not headers:
        return NO_HEADERS
    # One pass in C; the last of several headers of one name wins.
    get = dict(headers).get
    correlation = tuple((name, value) for name in _CORRELATION if (value := get(name)) is not None)
    reply_to, reply_partition = _text(get("reply_to"), _TOPIC), None
    reply_deltas = False
    if reply_to is not None:
        reply_partition = _decimal_partition(get("reply_partition"))
        reply_deltas = get("reply_deltas") == b"true"
    elif (reply_to := _text(get("kafka_replyTopic"), _TOPIC)) is not None:
        reply_partition = _int32_partition(get("kafka_replyPartition"))
    traceparent = _text(get("traceparent"), _TRACEPARENT)
    timeout = _text(get("timeout_ms"), _MILLISECONDS)
    return RequestHeaders(
        correlation=correlation,
        reply_to=reply_to,
        reply_partition=reply_partition,
        reply_deltas=reply_deltas,
        traceparent=traceparent,
        # Without its parent, a trace state means nothing.
        tracestate=_text(get("tracestate"), _TRACE_DETAIL) if traceparent else None,
        baggage=_text(get("baggage"), _TRACE_DETAIL),
        ce_id=_utf8(get("ce_id")),
        expiry_s=_unix_time(get("ce_expirytime")),
        timeout_ms=None if timeout is None else int(timeout),
    )


def is_delta(headers: Sequence[Header]) -> bool:
    """Whether the record is a piece of a streaming answer: a reply topic holds these beside answers."""
    return _DELTA_TYPE in headers


def answer_headers(
    request: RequestHeaders, answer: Answer, now: datetime, digest: bytes | None = None
) -> list[Header]:
    """Return the headers of an answer. `ce_id` is the question's record: a second outcome has the same.

    `digest`: the content of the question (`schemas.fingerprint`); None if the record holds no question.
    """
    headers = _outgoing(request, answer, _record(answer.source), _ANSWER_TYPE, now)
    if digest is not None:
        headers.append((QUESTION_DIGEST, digest.hex().encode()))
    return headers


def question_digest(headers: Sequence[Header]) -> bytes | None:
    """Return the digest of an answer's question; None: the answer has none that can be read."""
    return parse_digest(dict(headers).get(QUESTION_DIGEST))


def parse_digest(value: bytes | None) -> bytes | None:
    """Return the digest that stands there in hexadecimal; None: there is none."""
    return bytes.fromhex(value.decode()) if value is not None and _DIGEST.fullmatch(value) else None


def delta_id(source: Source, delta: AnswerDelta) -> str:
    """Return the `ce_id` of a delta of the answer to a question's record: the same only for its repeats."""
    return f"{_record(source)}/{delta.epoch}/{delta.sequence}"


def delta_headers(request: RequestHeaders, delta: AnswerDelta, source: Source, now: datetime) -> list[Header]:
    """Return the headers of a piece of a streaming answer; `source` is the question's record."""
    headers = _outgoing(request, delta, delta_id(source, delta), _DELTA_TYPE, now)
    headers.append(("ce_sequence", b"%d" % delta.sequence))
    return headers


def trace_headers(answer: Sequence[Header]) -> list[Header]:
    """Return the headers of a question's trace: those of its answer with another type."""
    headers = list(answer)
    headers[headers.index(_ANSWER_TYPE)] = _TRACE_TYPE
    return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """The reason why a record became a dead letter.

    Attributes:
        source: the record.
        stage: the stage that failed, as in the answer's error.
        exception: the name of the exception's class.
        message: the exception's message.
        timestamp: the time of the failure, in UTC.
        consumer_group: the group of the worker that gave up.
        attempts: the number of times that the record was tried.
        disposition: the answer's error code, or a `Disposition`.
    """

    source: Source
    stage: str
    exception: str
    message: str
    timestamp: datetime
    consumer_group: str
    attempts: int
    disposition: str


def dead_letter_headers(original: Sequence[Header], letter: DeadLetter) -> list[Header]:
    """Return the original headers as they came, then those that tell why the record is a dead letter.

    The headers of an earlier failure stay, but the new ones are last and count. Only the number of redrives
    is carried over.
    """
    redrives = _text(dict(original).get("qa.dlq.redrives"), _MILLISECONDS)
    source = letter.source
    return [
        *original,
        ("__connect.errors.topic", to_bytes(source.topic)),
        ("__connect.errors.partition", b"%d" % source.partition),
        ("__connect.errors.offset", b"%d" % source.offset),
        ("__connect.errors.stage", to_bytes(letter.stage)),
        ("__connect.errors.exception.class.name", to_bytes(letter.exception)),
        ("__connect.errors.exception.message", to_bytes(letter.message[:MESSAGE_MAX])),
        ("qa.dlq.timestamp", rfc3339(letter.timestamp)),
        ("qa.dlq.consumer-group", to_bytes(letter.consumer_group)),
        ("qa.dlq.attempts", b"%d" % letter.attempts),
        ("qa.dlq.disposition", to_bytes(letter.disposition)),
        ("qa.dlq.redrives", b"%d" % int(redrives or 0)),
    ]


def _outgoing(
    request: RequestHeaders,
    message: Answer | AnswerDelta,
    identity: str,
    kind: Header,
    now: datetime,
) -> list[Header]:
    # UTF-8 can carry all ids: decoding has checked them.
    conversation = message.conversation_id.encode()
    headers = [
        *request.correlation,
        *FIXED,
        ("ce_id", identity.encode()),
        kind,
        ("ce_time", rfc3339(now)),
        ("ce_partitionkey", conversation),
        ("ce_correlationid", conversation),
        ("ce_causationid", (request.ce_id or message.question_id).encode()),
    ]
    if request.traceparent:
        headers.append(("traceparent", request.traceparent.encode()))
        if request.tracestate:
            headers.append(("tracestate", request.tracestate.encode()))
    if request.baggage:
        headers.append(("baggage", request.baggage.encode()))
    return headers


def _record(source: Source) -> str:
    return f"{source.topic}/{source.partition}/{source.offset}"


def _text(value: bytes | None, pattern: re.Pattern[bytes]) -> str | None:
    """Return the value if the whole of it matches the (ASCII) pattern."""
    return value.decode("ascii") if value is not None and pattern.fullmatch(value) else None


def _utf8(value: bytes | None) -> str | None:
    try:
        return value.decode() if value else None
    except UnicodeDecodeError:
        return None


def _decimal_partition(value: bytes | None) -> int | None:
    if value is None:
        return None
    return int(value) if _PARTITION.fullmatch(value) else UNREADABLE_PARTITION


def _int32_partition(value: bytes | None) -> int | None:
    if value is None:
        return None
    number = int.from_bytes(value, "big", signed=True) if len(value) == 4 else UNREADABLE_PARTITION
    return number if number >= 0 else UNREADABLE_PARTITION


def _unix_time(value: bytes | None) -> float | None:
    text = _utf8(value)
    if text is None:
        return None
    try:
        return msgspec.convert(text, Instant).timestamp()
    except (msgspec.ValidationError, OverflowError, ValueError):
        return None


def to_bytes(text: str) -> bytes:
    """Return a header's value."""
    # Text from an exception can hold characters that UTF-8 cannot carry.
    return text.encode("utf-8", "backslashreplace")


def rfc3339(moment: datetime) -> bytes:
    """Return a time as a header's value, in UTC."""
    # Five times as fast as `isoformat`, and every record has one.
    return _encode(moment if moment.tzinfo is UTC else moment.astimezone(UTC))[1:-1]
