"""Values as other programs write them: nulls, byte order marks, schema registries, halves of characters."""

import codecs
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.answer import Timings
from schemas.codec import (
    DecodeError,
    InvalidError,
    UndecodableError,
    decode_answer,
    decode_document,
    decode_question,
    encode,
)
from schemas.dialects import plain_json
from tests.unit.schemas.golden import ANSWER, DOCUMENT, QUESTION
from tests.unit.schemas.test_codec import question

OPTIONAL = ["conversation_id", "tenant", "history", "tools", "stream", "metadata"]
PLAIN = decode_question(question())


@pytest.mark.parametrize("fields", [[name] for name in OPTIONAL] + [OPTIONAL])
def test_a_null_in_an_optional_field_of_a_question_is_its_absence(fields: list[str]) -> None:
    assert decode_question(question(**dict.fromkeys(fields))) == PLAIN


@pytest.mark.parametrize("field", ["tenant", "title", "source", "metadata"])
def test_a_null_in_an_optional_field_of_a_document_is_its_absence(field: str) -> None:
    read = decode_document(json.dumps({"id": "d", "text": "t", field: None}).encode())
    assert read == decode_document(b'{"id":"d","text":"t"}')


def test_nulls_in_nested_messages_are_absences_too() -> None:
    answer: dict[str, Any] = json.loads(encode(ANSWER))
    answer["usage"] = {"prompt_tokens": None, "completion_tokens": 7}
    answer["timings_ms"] = None
    answer["tool_calls"][0] |= {"reused": None, "duration_ms": None, "result": None}
    read = decode_answer(json.dumps(answer).encode())
    assert (read.usage.prompt_tokens, read.usage.completion_tokens) == (0, 7)
    assert read.timings_ms == Timings()
    assert read.tool_calls == ANSWER.tool_calls


def test_a_null_that_is_a_value_stays_one() -> None:
    read = decode_question(question(tenant=None, metadata={"a": None, "b": [None, {"tenant": None}]}))
    assert read.metadata == {"a": None, "b": [None, {"tenant": None}]}


@pytest.mark.parametrize("field", ["id", "text"])
def test_a_null_in_a_required_field_is_refused(field: str) -> None:
    with pytest.raises(InvalidError, match=f"{field}: Expected `str`, got `null`"):
        decode_question(question(**{field: None}))
    with pytest.raises(InvalidError, match=f"{field}: Expected `str`, got `null`"):
        decode_document(json.dumps({"id": "d", "text": "t", field: None}).encode())


def test_a_byte_order_mark_is_taken_off() -> None:
    assert decode_question(codecs.BOM_UTF8 + encode(QUESTION)) == QUESTION
    assert decode_document(codecs.BOM_UTF8 + encode(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding: str) -> None:
    with pytest.raises(UndecodableError, match=r"it is UTF-16: write the value in UTF-8"):
        decode_question(question().decode().encode(encoding))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (b"\0" + (42).to_bytes(4, "big"), "magic byte (0x00) and the schema id 42: write plain JSON"),
        (b"\0" + (42).to_bytes(8, "big"), "magic byte (0x00) and the schema id 42: write plain JSON"),
        (b"\x03\0" + b"u" * 16, "AWS Glue's schema registry (0x03): write plain JSON"),
    ],
)
def test_a_schema_registrys_frame_is_named_and_the_ids_behind_it_are_salvaged(
    frame: bytes, says: str
) -> None:
    with pytest.raises(UndecodableError) as caught:
        decode_question(frame + question(tenant="t"))
    assert says in caught.value.message
    assert (caught.value.salvaged.question_id, caught.value.salvaged.tenant) == ("q-1", "t")
    with pytest.raises(UndecodableError) as caught:
        decode_document(frame + b"\x06avro" * 9)
    assert "schema registry" in caught.value.message


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\ude00 cut", "\ufffd cut"),
        (r"\ud83d\ude00", "\N{GRINNING FACE}"),
        (r"\ud83d\ud83d\ude00", "\ufffd\N{GRINNING FACE}"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\\ud83d \ud83d", r"\ud83d" + " \ufffd"),
        (r"\uD83D\n\uDE00", "\ufffd\n\ufffd"),
    ],
)
def test_half_a_surrogate_pair_becomes_a_replacement_character(written: str, read: str) -> None:
    value = b'{"id":"q-1","text":"%s","metadata":{"%s":1}}' % (written.encode(), written.encode())
    found = decode_question(value)
    assert found.text == read
    assert list(found.metadata) == [read]
    assert decode_question(encode(found)) == found


@given(
    st.lists(
        st.sampled_from(["\\", "u", "d83d", "de00", '"', "{", "x", "\\ud83d", "\\ude00", "\n"]), max_size=12
    )
)
def test_only_halves_of_surrogate_pairs_are_changed(parts: list[str]) -> None:
    written = json.dumps("".join(parts))
    assert plain_json(written.encode()) == written.encode()


@given(
    st.binary(max_size=40), st.sampled_from([b"", b"\0", b"\x03\0", codecs.BOM_UTF8, b'{"id":"a","text":"b"'])
)
def test_any_bytes_are_a_message_or_a_decode_error(noise: bytes, start: bytes) -> None:
    with suppress(DecodeError):
        decode_question(start + noise)
