"""Every message and header set of an earlier version, kept in tests/golden, is still read.

Files there are only added: a new written form gets a file beside the old one. The metadata of commits is kept
there too, and read by tests/unit/consumer/test_offset_map.py.
"""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, structs
from msgspec.structs import fields

from schemas.client_headers import feedback_headers, request_headers
from schemas.codec import encode
from schemas.fingerprint import digest_of
from schemas.headers import (
    DeadLetter,
    Header,
    RequestHeaders,
    answer_headers,
    dead_letter_headers,
    delta_headers,
    parse_request_headers,
    trace_headers,
)
from tests.unit.schemas.golden import ANSWER, DELTA, FEEDBACK, GOLDEN, NOW, QUESTION, SOURCE
from tests.unit.schemas.test_codec import DECODERS

KEPT = Path(__file__).parents[2] / "golden"
MESSAGES = sorted((KEPT / "messages").glob("*/*.json"))
HEADERS = sorted((KEPT / "headers").glob("*.json"))
KINDS = {
    re.sub("(?<=[a-z])(?=[A-Z])", "-", message.__name__).lower(): (message, decode)
    for message, decode in DECODERS.items()
}

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ASKED = request_headers(
    QUESTION,
    NOW,
    correlation_id="abc",
    reply_to="replies",
    expires_at=datetime(2026, 1, 2, 4, tzinfo=UTC),
    traceparent=PARENT,
)
ASKED_WITH_DELTAS = request_headers(
    QUESTION, NOW, correlation_id="abc", reply_to="answers.replies", reply_partition=17, reply_deltas=True
)
REQUEST = parse_request_headers([*ASKED, ("tracestate", b"a=1"), ("baggage", b"user=7")])
SPRING = parse_request_headers([("kafka_correlationId", bytes(range(240, 256)))])
LETTER = DeadLetter(
    source=SOURCE,
    stage="generate",
    exception="StageFailed",
    message="押金 unknown",
    timestamp=NOW,
    consumer_group="kotae",
    attempts=1,
    disposition="model_unavailable",
)
DIGEST = digest_of(structs.replace(QUESTION, instructions=""))
WRITTEN: dict[str, list[Header]] = {
    "question": ASKED,
    "question with deltas": ASKED_WITH_DELTAS,
    "feedback": feedback_headers(FEEDBACK, "f-1"),
    "answer": answer_headers(REQUEST, ANSWER, NOW, DIGEST),
    "answer to Spring": answer_headers(SPRING, ANSWER, NOW),
    "answer-delta": delta_headers(REQUEST, DELTA, SOURCE, NOW),
    "question-trace": trace_headers(answer_headers(REQUEST, ANSWER, NOW, DIGEST)),
    "dead letter": dead_letter_headers(ASKED, LETTER),
}


def name(path: Path) -> str:
    return str(path.relative_to(KEPT))


def kept_value(value: bytes) -> str | dict[str, str]:
    """How a header's value is kept: as text where it is text."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def kept_headers(headers: list[Header]) -> dict[str, Any]:
    """The content of a header set's file: the headers, and the values read from them that are no defaults."""
    read = parse_request_headers(headers)
    values = {field.name: (getattr(read, field.name), field.default) for field in fields(RequestHeaders)}
    said = {key: value for key, (value, default) in values.items() if value != default}
    if "correlation" in said:
        said["correlation"] = [[key, kept_value(value)] for key, value in read.correlation]
    return {"headers": [[key, kept_value(value)] for key, value in headers], "read": said}


def headers_of(path: Path) -> list[Header]:
    return [
        (key, value.encode() if isinstance(value, str) else base64.b64decode(value["base64"]))
        for key, value in json.loads(path.read_text("utf-8"))["headers"]
    ]


def missing(kept: Any, read: Any, at: str = "") -> list[str]:
    """The places where `read` lacks or changes a value of `kept`; further fields are no harm."""
    if isinstance(kept, dict) and isinstance(read, dict):
        return [
            line
            for key, value in kept.items()
            for line in (missing(value, read[key], f"{at}.{key}") if key in read else [f"{at}.{key} is gone"])
        ]
    if isinstance(kept, list) and isinstance(read, list) and len(kept) == len(read):
        pairs = enumerate(zip(kept, read, strict=True))
        return [line for i, (one, other) in pairs for line in missing(one, other, f"{at}[{i}]")]
    return [] if kept == read else [f"{at} was {kept!r} and is read as {read!r}"]


@pytest.mark.parametrize("path", MESSAGES, ids=name)
def test_every_field_of_a_golden_message_is_read(path: Path) -> None:
    message, decode = KINDS[path.parent.name]
    wire = path.read_bytes()
    read = decode(wire)
    assert type(read) is message
    assert missing(json.loads(wire), json.loads(encode(read))) == []


@pytest.mark.parametrize(("title", "message", "wire"), [(key, *value) for key, value in GOLDEN.items()])
def test_every_message_written_today_is_kept(title: str, message: Struct, wire: bytes) -> None:
    [found] = [path for path in MESSAGES if path.read_bytes() == wire]
    kind = found.parent.name
    assert (kind, KINDS[kind][1](wire)) == (title.split()[-1], message)


def test_every_kind_of_message_is_kept() -> None:
    assert {path.parent.name for path in MESSAGES} == set(KINDS)


@pytest.mark.parametrize("path", HEADERS, ids=name)
def test_every_value_of_golden_headers_is_read(path: Path) -> None:
    kept = json.loads(path.read_text("utf-8"))
    assert missing(kept, kept_headers(headers_of(path))) == []


@pytest.mark.parametrize("title", WRITTEN)
def test_every_header_set_written_today_is_kept(title: str) -> None:
    assert WRITTEN[title] in [headers_of(path) for path in HEADERS]


def test_a_dead_letter_that_fails_again_keeps_its_count() -> None:
    headers = [*headers_of(KEPT / "headers" / "dead-letter.json"), ("qa.dlq.redrives", b"2")]
    assert dead_letter_headers(headers, LETTER)[-1] == ("qa.dlq.redrives", b"2")


@pytest.mark.parametrize(
    ("kept", "read"),
    [({"a": 1}, {}), ({"a": 1}, {"a": 2}), ([1], []), ([{"a": [1]}], [{"a": [2]}]), ({"a": 1}, [])],
)
def test_a_lost_field_of_a_golden_message_is_noticed(kept: Any, read: Any) -> None:
    assert missing(kept, read)
