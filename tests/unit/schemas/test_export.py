"""The exported schemas are valid by the standards' own schemas, and agree with the code."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from schemas.asyncapi import asyncapi_document
from schemas.codec import DecodeError, decoder
from schemas.export import export_schemas
from schemas.headers import DeadLetter, RequestHeaders, answer_headers, dead_letter_headers, delta_headers
from schemas.json_schema import MESSAGES, message_schemas
from schemas.topics import Topics
from tests.unit.schemas.golden import ANSWER, DELTA, GOLDEN, NOW, SOURCE

META_SCHEMA = Path(__file__).parents[2] / "support" / "asyncapi-3.0.0.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(json.dumps(asyncapi_document(Topics("qa."), partitions=4)))


def resolve(document: dict[str, Any], reference: dict[str, str]) -> Any:
    found: Any = document
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.mark.parametrize("name", MESSAGES)
def test_every_json_schema_is_valid(name: str) -> None:
    Draft202012Validator.check_schema(message_schemas()[name])


@pytest.mark.parametrize("name", GOLDEN)
def test_every_golden_message_fits_its_json_schema(name: str) -> None:
    schema = message_schemas()[name.split()[-1]]
    Draft202012Validator(schema).validate(json.loads(GOLDEN[name][1]))


@pytest.mark.parametrize("wrong", [{"text": "why?"}, {"id": "q", "text": ""}, {"id": 1, "text": "why?"}])
def test_the_json_schema_refuses_what_the_decoder_refuses(wrong: dict[str, Any]) -> None:
    assert not Draft202012Validator(message_schemas()["question"]).is_valid(wrong)


@pytest.mark.parametrize(
    ("name", "least"), [("question", {"id": "q", "text": "?"}), ("document", {"id": "d", "text": "A text."})]
)
def test_the_json_schema_takes_the_nulls_that_the_decoder_takes(name: str, least: dict[str, Any]) -> None:
    schema = Draft202012Validator(message_schemas()[name])
    for field in MESSAGES[name].__struct_fields__:
        value = least | {field: None}
        optional = field not in least
        assert schema.is_valid(value) == optional, field
        assert _is_decoded(name, value) == optional, field


def _is_decoded(name: str, value: dict[str, Any]) -> bool:
    try:
        decoder(MESSAGES[name])(json.dumps(value).encode())
    except DecodeError:
        return False
    return True


def test_asyncapi_is_valid_by_its_official_meta_schema(document: dict[str, Any]) -> None:
    validator = Draft7Validator(json.loads(META_SCHEMA.read_text("utf-8")))
    validator.validate(document)
    assert not validator.is_valid({**document, "operations": {"x": {"action": "shout"}}})


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def follow(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                resolve(document, value)
            for inner in value.values():
                follow(inner)
        elif isinstance(value, list):
            for inner in value:
                follow(inner)

    follow(document)


def test_asyncapi_says_how_a_reply_finds_its_asker(document: dict[str, Any]) -> None:
    reply = document["operations"]["receiveQuestion"]["reply"]
    assert reply["address"] == {"location": "$message.header#/reply_to"}
    assert resolve(document, reply["channel"])["address"] is None
    messages = document["components"]["messages"]
    for name in ("question", "answer", "answerDelta"):
        assert messages[name]["correlationId"] == {"location": "$message.header#/correlation_id"}


def test_asyncapi_has_every_public_topic(document: dict[str, Any]) -> None:
    topics = Topics("qa.")
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == (topics.own - {topics.journal}) | {None}
    bindings = document["channels"]["answers"]["bindings"]["kafka"]
    assert bindings["partitions"] == 4
    assert document["channels"]["documents"]["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] == [
        "compact"
    ]


def test_asyncapi_names_every_header_that_is_written(document: dict[str, Any]) -> None:
    request = RequestHeaders(
        correlation=(("correlation_id", b"a"),), traceparent="t", tracestate="s", baggage="b"
    )
    letter = DeadLetter(
        source=SOURCE,
        stage="decode",
        exception="X",
        message="",
        timestamp=NOW,
        consumer_group="kotae",
        attempts=1,
        disposition="invalid",
    )
    written = {
        "answer": answer_headers(request, ANSWER, NOW),
        "answerDelta": delta_headers(request, DELTA, SOURCE, NOW),
        "deadLetter": dead_letter_headers([], letter),
    }
    for message, headers in written.items():
        documented = document["components"]["messages"][message]["headers"]["properties"]
        assert {name for name, _ in headers} <= set(documented)


def test_the_export_writes_the_same_files_each_time(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "contracts"
    written = export_schemas(directory, Topics(), partitions=6)
    assert sorted(path.name for path in written) == sorted(
        ["asyncapi.json", *(f"{name}.schema.json" for name in MESSAGES)]
    )
    before = [path.read_bytes() for path in written]
    export_schemas(directory, Topics(), partitions=6)
    assert [path.read_bytes() for path in written] == before
    for path in written:
        if path.name != "asyncapi.json":
            Draft202012Validator.check_schema(json.loads(path.read_text("utf-8")))
