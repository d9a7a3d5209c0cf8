"""Headers in: they are read or ignored, and never raise. Headers out: text, and the asker's own bytes."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.answer import Source
from schemas.client_headers import request_headers
from schemas.headers import (
    MESSAGE_MAX,
    UNREADABLE_PARTITION,
    DeadLetter,
    Header,
    RequestHeaders,
    answer_headers,
    dead_letter_headers,
    delta_headers,
    parse_request_headers,
    trace_headers,
)
from tests.unit.schemas.golden import ANSWER, DELTA, NOW, QUESTION, SOURCE

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
KNOWN = [
    "correlation_id",
    "reply_to",
    "ce_expirytime",
    "timeout_ms",
    "traceparent",
    "tracestate",
    "baggage",
    "ce_id",
    "kafka_correlationId",
    "kafka_replyTopic",
    "kafka_replyPartition",
    "qa.dlq.redrives",
]


def parse(*headers: tuple[str, bytes | None]) -> RequestHeaders:
    return parse_request_headers(headers)  # type: ignore[arg-type]  # Kafka allows null values


def test_no_headers_ask_for_nothing() -> None:
    assert parse() == RequestHeaders()
    assert parse().expires_at(1_000) is None


def test_kotaes_own_headers_are_read() -> None:
    assert parse(
        ("correlation_id", b"abc"),
        ("reply_to", b"chat.replies"),
        ("traceparent", PARENT),
        ("tracestate", b"a=1"),
        ("baggage", b"user=7"),
        ("ce_id", "é".encode()),
    ) == RequestHeaders(
        correlation=(("correlation_id", b"abc"),),
        reply_to="chat.replies",
        traceparent=PARENT.decode(),
        tracestate="a=1",
        baggage="user=7",
        ce_id="é",
    )


def test_springs_headers_are_read() -> None:
    raw = bytes(range(240, 256))
    request = parse(
        ("kafka_correlationId", raw),
        ("kafka_replyTopic", b"spring.replies"),
        ("kafka_replyPartition", b"\x00\x00\x01\x02"),
    )
    assert request.correlation == (("kafka_correlationId", raw),)
    assert (request.reply_to, request.reply_partition) == ("spring.replies", 258)
    assert ("kafka_correlationId", raw) in answer_headers(request, ANSWER, NOW)


def test_springs_partition_belongs_to_springs_topic() -> None:
    request = parse(("reply_to", b"a"), ("kafka_replyTopic", b"b"), ("kafka_replyPartition", b"\0\0\0\1"))
    assert (request.reply_to, request.reply_partition) == ("a", None)


@pytest.mark.parametrize("value", [b"", b"\0\0\1", b"\0\0\0\0\1", b"\xff\xff\xff\xff", b"3"])
def test_springs_malformed_partition_is_no_absent_one(value: bytes) -> None:
    request = parse(("kafka_replyTopic", b"b"), ("kafka_replyPartition", value))
    assert (request.reply_to, request.reply_partition) == ("b", UNREADABLE_PARTITION)
    absent = parse(("kafka_replyTopic", b"b"), ("kafka_replyPartition", None))
    assert absent.reply_partition is None


@pytest.mark.parametrize(
    ("value", "partition"), [(b"0", 0), (b"63", 63), (b"007", 7), (b"999999999", 999_999_999)]
)
def test_a_partition_in_text_belongs_to_its_topic(value: bytes, partition: int) -> None:
    assert parse(("reply_to", b"a"), ("reply_partition", value)).reply_partition == partition
    assert parse(("reply_partition", value)).reply_partition is None
    spring = parse(("kafka_replyTopic", b"b"), ("reply_partition", value))
    assert (spring.reply_to, spring.reply_partition) == ("b", None)


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b"1.0", b" 1", b"1\n", b"\0\0\0\1", "٣".encode(), b"9" * 10, b"\xff"]
)
def test_a_partition_that_is_no_number_is_no_absent_one(value: bytes) -> None:
    assert parse(("reply_to", b"a"), ("reply_partition", value)).reply_partition == UNREADABLE_PARTITION


def test_a_client_says_where_its_reply_goes() -> None:
    asked = request_headers(
        QUESTION, NOW, correlation_id="c", reply_to="a", reply_partition=0, reply_deltas=True
    )
    request = parse_request_headers(asked)
    assert (request.reply_to, request.reply_partition, request.reply_deltas) == ("a", 0, True)
    alone = request_headers(QUESTION, NOW, correlation_id="c", reply_partition=0, reply_deltas=True)
    assert not {"reply_partition", "reply_deltas"} & set(dict(alone))


def test_deltas_go_with_the_reply_where_the_asker_says_true() -> None:
    assert parse(("reply_to", b"a"), ("reply_deltas", b"true")).reply_deltas
    for value in (b"1", b"TRUE", b"false", b""):
        assert not parse(("reply_to", b"a"), ("reply_deltas", value)).reply_deltas
    assert not parse(("reply_deltas", b"true")).reply_deltas


@pytest.mark.parametrize("value", [b"", b"a b", b"\xff", b"a/b", b"a\n", b"x" * 250, None])
def test_a_reply_to_that_is_no_topics_name_is_ignored(value: bytes | None) -> None:
    assert parse(("reply_to", value)).reply_to is None


def test_of_duplicate_headers_the_last_counts() -> None:
    request = parse(
        ("correlation_id", b"1"), ("reply_to", b"a"), ("correlation_id", b"2"), ("reply_to", b"b")
    )
    assert request.correlation == (("correlation_id", b"2"),)
    assert request.reply_to == "b"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        PARENT[:-1],
        PARENT + b"\n",
        PARENT.upper(),
        b"ff" + PARENT[2:],
        b"00-" + b"0" * 32 + PARENT[35:],
        None,
    ],
)
def test_a_malformed_trace_context_is_not_passed_on(value: bytes | None) -> None:
    request = parse(("traceparent", value), ("tracestate", b"a=1"), ("baggage", b"a=1\r\nHost: evil"))
    assert (request.traceparent, request.tracestate, request.baggage) == (None, None, None)


class TestExpiry:
    def test_an_expiry_time_is_the_deadline(self) -> None:
        assert parse(("ce_expirytime", b"1970-01-01T01:00:10.5+01:00")).expires_at(99) == 10.5

    def test_a_time_out_counts_from_the_records_timestamp(self) -> None:
        assert parse(("timeout_ms", b"1500")).expires_at(10_000) == 11.5

    def test_an_expiry_time_counts_before_a_time_out(self) -> None:
        headers = parse(("timeout_ms", b"1"), ("ce_expirytime", b"1970-01-01T00:00:10Z"))
        assert headers.expires_at(5_000) == 10

    def test_a_malformed_expiry_time_leaves_the_time_out(self) -> None:
        assert parse(("timeout_ms", b"1000"), ("ce_expirytime", b"soon")).expires_at(0) == 1

    @pytest.mark.parametrize(
        "value",
        [b"", b"soon", b"\xff", b"1970-01-01T00:00:10", b"1970-01-01", b"12", b"2026-13-01T00:00:00Z", None],
    )
    def test_a_malformed_expiry_time_is_ignored(self, value: bytes | None) -> None:
        assert parse(("ce_expirytime", value)).expires_at(0) is None

    @pytest.mark.parametrize(
        "value", [b"", b"-1", b"1.5", b" 1", b"1_000", b"\xff", "٣".encode(), b"9" * 400, None]
    )
    def test_a_malformed_time_out_is_ignored(self, value: bytes | None) -> None:
        assert parse(("timeout_ms", value)).expires_at(0) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KNOWN) | st.text(max_size=12),
            st.none() | st.binary(max_size=40) | st.text(max_size=20).map(str.encode),
        ),
        max_size=12,
    ),
    st.integers(-1, 2**63 - 1),
)
def test_no_headers_raise_an_error(headers: list[Header], timestamp_ms: int) -> None:
    request = parse_request_headers(headers)
    request.expires_at(timestamp_ms)
    for name, value in answer_headers(request, ANSWER, NOW):
        assert (name, value) in headers or value.decode() is not None
    assert dead_letter_headers(headers, letter())[: len(headers)] == headers


def test_an_answers_headers() -> None:
    request = parse(("correlation_id", b"\xff\x00"), ("ce_id", b"event-7"), ("traceparent", PARENT))
    assert answer_headers(request, ANSWER, NOW) == [
        ("correlation_id", b"\xff\x00"),
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/kotae"),
        ("content-type", b"application/json"),
        ("ce_id", b"questions/3/42"),
        ("ce_type", b"kotae.answer"),
        ("ce_time", b"2026-01-02T03:04:05.678000Z"),
        ("ce_partitionkey", b"c-1"),
        ("ce_correlationid", b"c-1"),
        ("ce_causationid", b"event-7"),
        ("traceparent", PARENT),
    ]


def test_without_a_cloud_event_the_question_is_the_cause() -> None:
    assert dict(answer_headers(parse(), ANSWER, NOW))["ce_causationid"] == b"q-1"


def test_every_piece_of_an_answer_is_an_event_of_its_own() -> None:
    headers = dict(delta_headers(parse(("correlation_id", b"abc")), DELTA, SOURCE, NOW))
    assert headers["correlation_id"] == b"abc"
    assert headers["ce_id"] == b"questions/3/42/1/0"
    assert headers["ce_type"] == b"kotae.answer.delta"
    assert headers["ce_sequence"] == b"0"


def test_a_traces_headers() -> None:
    answer = answer_headers(parse(("traceparent", PARENT)), ANSWER, NOW)
    kinds = {header for header in answer if header[0] == "ce_type"}
    assert trace_headers(answer) == [
        ("ce_type", b"kotae.question.trace") if header in kinds else header for header in answer
    ]


def test_a_worker_reads_the_headers_that_a_client_sends() -> None:
    sent = request_headers(
        QUESTION,
        NOW,
        correlation_id="abc",
        reply_to="replies",
        expires_at=datetime(2026, 1, 2, 4, tzinfo=timezone(timedelta(hours=1))),
        traceparent=PARENT.decode(),
    )
    assert parse_request_headers(sent) == RequestHeaders(
        correlation=(("correlation_id", b"abc"),),
        reply_to="replies",
        traceparent=PARENT.decode(),
        ce_id="q-1",
        expiry_s=datetime(2026, 1, 2, 3, tzinfo=UTC).timestamp(),
    )
    assert dict(sent)["ce_type"] == b"kotae.question"


def letter(message: str = "the value is null") -> DeadLetter:
    return DeadLetter(
        source=Source("questions", 3, 42),
        stage="decode",
        exception="UndecodableError",
        message=message,
        timestamp=NOW,
        consumer_group="kotae",
        attempts=1,
        disposition="undecodable",
    )


def test_a_dead_letters_headers() -> None:
    original = [("a", b"\xff"), ("a", b"2"), ("qa.dlq.redrives", b"2")]
    assert dead_letter_headers(original, letter()) == [
        *original,
        ("__connect.errors.topic", b"questions"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.stage", b"decode"),
        ("__connect.errors.exception.class.name", b"UndecodableError"),
        ("__connect.errors.exception.message", b"the value is null"),
        ("qa.dlq.timestamp", b"2026-01-02T03:04:05.678000Z"),
        ("qa.dlq.consumer-group", b"kotae"),
        ("qa.dlq.attempts", b"1"),
        ("qa.dlq.disposition", b"undecodable"),
        ("qa.dlq.redrives", b"2"),
    ]


def test_a_dead_letters_message_is_bounded_text() -> None:
    message = dict(dead_letter_headers([], letter("\ud800" + "x" * 10_000)))[
        "__connect.errors.exception.message"
    ]
    assert message.decode().startswith("\\ud800x")
    assert len(message) < MESSAGE_MAX + 10
