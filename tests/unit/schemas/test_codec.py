"""Messages to bytes and back: exact bytes, round trips, and errors for bytes that are no message."""

import json
from contextlib import suppress
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from schemas.answer import Answer, AnswerError, Source, Timings, ToolCall
from schemas.codec import (
    NESTING_MAX,
    DecodeError,
    InvalidError,
    Salvaged,
    TooLargeError,
    UndecodableError,
    decode_answer,
    decode_cancel,
    decode_delta,
    decode_document,
    decode_feedback,
    decode_journal_entry,
    decode_question,
    decode_trace,
    encode,
)
from schemas.control import Cancel
from schemas.document import Document
from schemas.errors import ErrorCode
from schemas.event import AnswerDelta, QuestionTrace, StageTrace
from schemas.feedback import Feedback
from schemas.journal import JournalEntry
from schemas.question import TEXT_MAX, Question, Turn
from tests.unit.schemas.golden import ANSWER, GOLDEN

DECODERS: dict[type[Struct], Any] = {
    Question: decode_question,
    Answer: decode_answer,
    AnswerDelta: decode_delta,
    QuestionTrace: decode_trace,
    Document: decode_document,
    Feedback: decode_feedback,
    Cancel: decode_cancel,
    JournalEntry: decode_journal_entry,
}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OPEN = st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=3)
IDENTIFIER = st.text(min_size=1, max_size=128)
MOMENT = st.datetimes(timezones=st.just(UTC))
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=20)
MESSAGES = [
    st.builds(
        Question,
        id=IDENTIFIER,
        text=TEXT.filter(str.strip),
        conversation_id=st.text(max_size=128),
        tenant=IDENTIFIER,
        history=st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), TEXT), max_size=2).map(
            tuple
        ),
        tools=st.none() | st.lists(TEXT, max_size=2).map(tuple),
        stream=st.booleans(),
        metadata=OPEN,
    ),
    st.builds(
        Answer,
        id=IDENTIFIER,
        question_id=IDENTIFIER,
        conversation_id=IDENTIFIER,
        tenant=IDENTIFIER,
        status=st.sampled_from(["answered", "degraded", "failed"]),
        source=st.builds(Source, TEXT, st.integers(0, 99), st.integers(0, 2**63 - 1)),
        created_at=MOMENT,
        text=TEXT,
        tool_calls=st.lists(
            st.builds(
                ToolCall,
                id=TEXT,
                name=TEXT,
                arguments=OPEN,
                status=st.sampled_from(["ok", "error"]),
                result=JSON_VALUES,
            ),
            max_size=2,
        ).map(tuple),
        error=st.none() | st.builds(AnswerError, st.sampled_from(ErrorCode), TEXT, TEXT),
        timings_ms=st.builds(Timings, queue=st.none() | NUMBER, total=st.none() | NUMBER),
        metadata=OPEN,
    ),
    st.builds(
        AnswerDelta,
        question_id=IDENTIFIER,
        conversation_id=IDENTIFIER,
        epoch=st.integers(0, 2**63 - 1),
        sequence=st.integers(0, 2**31),
        text=TEXT,
        done=st.booleans(),
    ),
    st.builds(
        Feedback,
        question_id=IDENTIFIER,
        conversation_id=IDENTIFIER,
        source=st.builds(Source, TEXT, st.integers(0, 99), st.integers(0, 2**63 - 1)),
        rating=st.sampled_from([-1, 1]),
        at=MOMENT,
        tenant=IDENTIFIER,
        response_id=st.text(max_size=128),
        comment=st.text(max_size=2_000),
        tags=st.lists(st.text(min_size=1, max_size=64), max_size=10).map(tuple),
    ),
    st.builds(
        QuestionTrace,
        question_id=IDENTIFIER,
        conversation_id=IDENTIFIER,
        tenant=IDENTIFIER,
        status=st.sampled_from(["answered", "degraded", "failed"]),
        stages=st.lists(
            st.builds(
                StageTrace,
                stage=TEXT,
                status=st.sampled_from(["ok", "skipped"]),
                attempt=st.integers(1, 9),
                started_at=MOMENT,
                duration_ms=NUMBER,
                detail=TEXT,
            ),
            max_size=2,
        ).map(tuple),
    ),
    st.builds(
        Cancel,
        type=st.just("cancel"),
        source=st.builds(Source, TEXT, st.integers(0, 99), st.integers(0, 2**63 - 1)),
        tenant=IDENTIFIER,
        reason=st.sampled_from(["disconnect", "request"]),
        at=st.none() | MOMENT,
    ),
    st.builds(Document, id=IDENTIFIER, tenant=IDENTIFIER, title=TEXT, source=TEXT, text=TEXT, metadata=OPEN),
]


def question(**fields: Any) -> bytes:
    return json.dumps({"id": "q-1", "text": "why?"} | fields).encode()


def nested(depth: int) -> bytes:
    return b'{"id":"q-1","text":"why?","metadata":{"a":' + b"[" * depth + b"]" * depth + b"}}"


@pytest.mark.parametrize("name", GOLDEN)
def test_every_message_is_these_bytes_and_reads_back(name: str) -> None:
    message, wire = GOLDEN[name]
    assert encode(message) == wire
    assert DECODERS[type(message)](wire) == message


def test_a_question_needs_an_id_and_a_text_only() -> None:
    assert decode_question(b'{"id":"q-1","text":"why?"}') == Question(
        id="q-1", text="why?", conversation_id="q-1", tenant="default", tools=None, stream=False
    )


def test_unknown_fields_are_ignored() -> None:
    assert decode_question(question(colour="red", priority={"a": [1]})) == decode_question(question())


def test_the_longest_text_passes() -> None:
    assert len(decode_question(question(text="答" * TEXT_MAX)).text) == TEXT_MAX


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (None, UndecodableError, "null"),
        (b"", UndecodableError, "not JSON in UTF-8"),
        (b"\xff\xfe", UndecodableError, "not JSON in UTF-8"),
        (b'{"id":"q-1","text":"\xff"}', UndecodableError, "not JSON in UTF-8"),
        (b'{"id":"q-1","te', UndecodableError, "truncated"),
        (b'{"id":"q-1","text":"a"} x', UndecodableError, "trailing"),
        (b'{"id":"q-1","text":"a","metadata":{"a":NaN}}', UndecodableError, "not JSON in UTF-8"),
        (nested(10_000), UndecodableError, "nested too deeply"),
        (b'{"x":' + b"[" * 10_000, UndecodableError, "nested too deeply"),
        (nested(NESTING_MAX), InvalidError, "nested more than 100 levels"),
        (b"null", InvalidError, "Expected `object`, got `null`"),
        (b"[]", InvalidError, "Expected `object`, got `array`"),
        (b'{"text":"a"}', InvalidError, "missing required field `id`"),
        (b'{"id":"q-1"}', InvalidError, "missing required field `text`"),
        (question(id=7), InvalidError, "id: Expected `str`, got `int`"),
        (question(id=""), InvalidError, "id: Expected `str` of length >= 1"),
        (question(id="x" * 129), InvalidError, "id: Expected `str` of length <= 128"),
        (question(instructions="x" * 8001), InvalidError, "instructions: Expected `str` of length <= 8000"),
        (question(text=""), InvalidError, "text: Expected `str` of length >= 1"),
        (question(text=" \n\t\u3000"), InvalidError, "text: Expected text that is not blank"),
        (question(text=["a"]), InvalidError, "text: Expected `str`, got `array`"),
        (question(text=None), InvalidError, "text: Expected `str`, got `null`"),
        (question(tools=["a", None]), InvalidError, "tools[1]: Expected `str`, got `null`"),
        (question(history=[{"role": "user", "content": 7}]), InvalidError, "history[0].content"),
        (question(history=["hello"]), InvalidError, "history[0]: Expected `object`, got `str`"),
        (question(metadata=[]), InvalidError, "metadata: Expected `object`"),
        (
            b'{"id":"q-1","text":"a","metadata":{"a":1e999}}',
            InvalidError,
            "metadata[...]: Number out of range",
        ),
        (question(text="x" * (TEXT_MAX + 1)), TooLargeError, "text: longer than 32768 characters"),
    ],
)
def test_a_value_that_is_no_question_is_refused_with_the_reason(
    value: bytes | None, error: type[DecodeError], says: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_question(value)
    assert type(caught.value) is error
    assert says in caught.value.message
    assert "\n" not in caught.value.message


def test_each_class_has_its_error_code() -> None:
    assert UndecodableError.code is ErrorCode.UNDECODABLE
    assert InvalidError.code is ErrorCode.INVALID
    assert TooLargeError.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("value", "salvaged"),
    [
        (question(text="", conversation_id="c", tenant="t"), Salvaged("q-1", "c", "t")),
        (question(text="x" * (TEXT_MAX + 1)), Salvaged("q-1")),
        (b'{"id":"q-1","text":"a","metadata":{"a":NaN}}', Salvaged("q-1")),
        (b'{"id":"q-1","text":7,"conversation_id":["c"],"tenant":""}', Salvaged("q-1")),
        (b'{"id":7,"text":"a","tenant":"t"}', Salvaged(tenant="t")),
        (question(id="x" * 129), Salvaged()),
        (b'{"id":"\\ud800","text":""}', Salvaged("\N{REPLACEMENT CHARACTER}")),
        (nested(NESTING_MAX), Salvaged("q-1")),
        (b'{"id":"q-1"', Salvaged()),
        (b'["q-1"]', Salvaged()),
        (b"[" * 10_000, Salvaged()),
    ],
)
def test_readable_ids_of_a_broken_question_are_salvaged(value: bytes, salvaged: Salvaged) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_question(value)
    assert caught.value.salvaged == salvaged


@pytest.mark.parametrize("decode", DECODERS.values())
@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"{}", b"[" * 10_000, b'{"x":' * 10_000])
def test_every_decoder_raises_decode_errors_only(decode: Any, value: bytes | None) -> None:
    with pytest.raises(DecodeError):
        decode(value)


@given(st.one_of(*MESSAGES))
def test_every_message_reads_back(message: Struct) -> None:
    assert DECODERS[type(message)](encode(message)) == message


@given(st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_decode_or_raise_a_decode_error(value: bytes) -> None:
    for decode in DECODERS.values():
        with suppress(DecodeError):
            decode(value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": JSON_VALUES | st.just("q-1"),
            "text": JSON_VALUES | st.just("why?"),
            "tenant": JSON_VALUES,
            "metadata": st.dictionaries(st.text(max_size=4), JSON_VALUES, max_size=3),
        },
    )
)
def test_every_decoded_message_can_be_encoded_again(fields: dict[str, Any]) -> None:
    try:
        asked = decode_question(json.dumps(fields).encode())
    except DecodeError as error:
        salvaged = error.salvaged
        for found in (salvaged.question_id, salvaged.conversation_id, salvaged.tenant):
            assert found is None or 1 <= len(found.encode().decode()) <= 128
    else:
        echo = msgspec.structs.replace(ANSWER, question_id=asked.id, metadata=asked.metadata)
        assert decode_answer(encode(echo)).metadata == asked.metadata


def test_the_deepest_nesting_that_passes_can_be_echoed() -> None:
    asked = decode_question(nested(NESTING_MAX - 2))
    encode(msgspec.structs.replace(ANSWER, metadata=asked.metadata))
    with pytest.raises(InvalidError):
        decode_question(nested(NESTING_MAX - 1))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rating", 0),
        ("rating", 2),
        ("rating", True),
        ("rating", "1"),
        ("comment", "x" * 2_001),
        ("tags", ["x"] * 11),
        ("tags", ["x" * 65]),
        ("tags", [""]),
        ("at", "2026-01-02T03:04:05"),
        ("source", {"topic": "questions"}),
        ("question_id", ""),
        ("response_id", "x" * 129),
    ],
)
def test_a_feedback_out_of_bounds_is_refused_with_its_field(field: str, value: Any) -> None:
    wire = json.loads(GOLDEN["feedback"][1]) | {field: value}
    with pytest.raises(DecodeError, match=field):
        decode_feedback(json.dumps(wire).encode())


def test_a_feedback_needs_an_answer_a_rating_and_a_time_only() -> None:
    least = {"question_id": "q", "conversation_id": "c", "rating": 1, "at": "2026-01-02T03:04:05Z"}
    least["source"] = {"topic": "questions", "partition": 0, "offset": 0}
    feedback = decode_feedback(json.dumps(least).encode())
    assert (feedback.tenant, feedback.comment, feedback.tags) == ("default", "", ())
