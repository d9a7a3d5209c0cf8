"""Letters that Kafka Connect, Spring and share groups wrote, and their original records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.headers import Header
from streams.operations.letters import NOWHERE, Letter, OriginalRecord
from streams.operations.redrive import decide
from tests.unit.operations.test_redrive import VALUE, Q, letter

CONNECT: list[Header] = [
    ("__connect.errors.topic", b"questions"),
    ("__connect.errors.partition", b"2"),
    ("__connect.errors.offset", b"5"),
    ("__connect.errors.connector.name", b"sink"),
    ("__connect.errors.exception.message", b"refused"),
]
SPRING: list[Header] = [
    ("kafka_dlt-original-topic", b"questions"),
    ("kafka_dlt-original-partition", b"\x00\x00\x00\x02"),
    ("kafka_dlt-original-offset", b"\x00\x00\x00\x00\x00\x00\x00\x05"),
    ("kafka_dlt-original-timestamp", (1_700_000_000_000).to_bytes(8)),
    ("kafka_dlt-original-timestamp-type", b"LogAppendTime"),
    ("kafka_dlt-original-consumer-group", b"billing"),
    ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
    ("kafka_dlt-exception-message", b"refused"),
]
SHARE: list[Header] = [
    ("__dlq.errors.topic", b"questions"),
    ("__dlq.errors.partition", b"2"),
    ("__dlq.errors.offset", b"5"),
    ("__dlq.errors.group", b"billing"),
    ("__dlq.errors.delivery.count", b"5"),
    ("__dlq.errors.message", b"refused"),
]
RETRIED: list[Header] = [
    *((f"kafka_{name.removeprefix('kafka_dlt-')}", value) for name, value in SPRING),
    ("kafka_dlt-original-topic", b"questions-retry-0"),
    ("kafka_dlt-original-partition", bytes(4)),
    ("kafka_dlt-original-offset", bytes(8)),
    ("kafka_dlt-original-timestamp", (1_700_000_009_000).to_bytes(8)),
]
KINDS = pytest.mark.parametrize(
    "headers", [CONNECT, SPRING, SHARE, RETRIED], ids=["connect", "spring", "share", "spring's retries"]
)
ASKED_MS = 1_700_000_000_000
WRITTEN_MS = ASKED_MS + 60_000
SKEW_MS = 300_000
ORIGINAL = OriginalRecord(b"c", VALUE, (("correlation_id", b"abc"),), ASKED_MS)


def foreign(headers: list[Header], value: bytes | None = None) -> Letter:
    return Letter(0, 3, None, value, tuple(headers), WRITTEN_MS, "questions")


def state(one: Letter) -> str:
    return decide([one], answered=(), contents={}, sent=())[0].state


@KINDS
def test_a_letter_of_another_program_names_its_record_and_failure(headers: list[Header]) -> None:
    found = foreign(headers, VALUE)
    assert (found.source, found.message) == ((2, 5), "refused")
    assert (found.needs_original, found.ours, found.code) == (True, False, "foreign")


@KINDS
def test_a_letter_without_its_record_goes_back_as_the_record_at_its_original_place(
    headers: list[Header],
) -> None:
    whole = foreign(headers).restored(ORIGINAL, skew_ms=SKEW_MS)
    assert (whole.key, whole.value, whole.identity, whole.asked_ms) == (b"c", VALUE, Q, ASKED_MS)
    assert whole.redriven_headers == [
        ("correlation_id", b"abc"),
        ("qa.dlq.origin", b"2/5"),
        ("qa.dlq.redrives", b"1"),
    ]
    assert state(whole) == "redrive"


@KINDS
def test_a_letter_without_its_record_is_damaged_when_the_record_is_gone(headers: list[Header]) -> None:
    gone = foreign(headers).restored(None, skew_ms=SKEW_MS)
    assert (state(gone), gone.whole) == ("damaged", False)


@KINDS
def test_a_letter_with_its_record_goes_back_when_the_original_is_gone(headers: list[Header]) -> None:
    kept = foreign([("correlation_id", b"abc"), *headers], VALUE).restored(None, skew_ms=SKEW_MS)
    assert state(kept) == "redrive"
    assert [name for name, _ in kept.redriven_headers] == [
        "correlation_id",
        "qa.dlq.origin",
        "qa.dlq.redrives",
    ]


def test_a_record_that_was_written_anew_goes_back_as_it_was_asked() -> None:
    quoted = foreign(SPRING, b'"%s"' % VALUE.replace(b'"', b'\\"')).restored(ORIGINAL, skew_ms=SKEW_MS)
    assert quoted.value == VALUE
    spaced = foreign(SPRING, VALUE.replace(b" ", b"")).restored(ORIGINAL, skew_ms=SKEW_MS)
    assert spaced.value == VALUE


@pytest.mark.parametrize(
    ("headers", "value", "original"),
    [
        (SPRING, None, OriginalRecord(b"c", VALUE, (), ASKED_MS + 1)),
        (SHARE, None, OriginalRecord(b"c", VALUE, (), WRITTEN_MS + SKEW_MS + 1)),
        (CONNECT, VALUE.replace(b'"q"', b'"other"'), ORIGINAL),
    ],
    ids=["another timestamp", "younger than its letter", "another question"],
)
def test_another_record_at_the_place_of_a_new_topic_is_not_taken(
    headers: list[Header], value: bytes | None, original: OriginalRecord
) -> None:
    kept = foreign(headers, value).restored(original, skew_ms=SKEW_MS)
    assert (kept.value, kept.whole) == (value, value is not None)


def test_a_record_that_cannot_be_decoded_is_unfit_whoever_wrote_its_letter() -> None:
    null = foreign(SHARE).restored(OriginalRecord(None, None, (), ASKED_MS), skew_ms=SKEW_MS)
    assert (null.code, state(null)) == ("undecodable", "unfit")
    assert state(foreign(CONNECT, b'{"id": "q"}').restored(None, skew_ms=SKEW_MS)) == "unfit"


def test_a_letter_about_another_topic_or_without_numbers_is_nowhere() -> None:
    assert foreign([("__dlq.errors.topic", b"orders"), *SHARE[1:]]).source == NOWHERE
    assert foreign([*CONNECT[:2], ("__connect.errors.offset", b"five")]).source == NOWHERE
    assert foreign([*CONNECT[:2], ("__connect.errors.offset", b"9" * 5000)]).source == NOWHERE


def test_our_letter_counts_before_the_headers_of_an_earlier_life() -> None:
    ours = letter(9, [*SPRING, *SHARE])
    assert (ours.source, ours.code, ours.needs_original) == ((2, 9), "model_unavailable", False)


def test_springs_numbers_are_taken_as_text_too() -> None:
    written = [(name, b"5" if name.endswith("offset") else value) for name, value in SPRING]
    assert foreign(written).source == (2, 5)
    assert foreign(SPRING).header_texts["kafka_dlt-original-timestamp"] == str(ASKED_MS)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([name for name, _ in [*CONNECT, *SPRING, *SHARE, *RETRIED]])
            | st.sampled_from(["qa.dlq.redrives", "qa.dlq.origin", "qa.dlq.disposition"]),
            st.binary(max_size=9) | st.just(b"questions"),
        ),
        max_size=8,
    ),
    st.none() | st.binary(max_size=20),
)
def test_any_headers_lead_to_a_state(headers: list[Header], value: bytes | None) -> None:
    one = foreign(headers, value)
    assert decide(
        [one.restored(None, skew_ms=0) if one.needs_original else one], answered=(), contents={}, sent=()
    )
    assert one.redriven_headers
    assert isinstance(one.message, str)
