"""Secrets are masked in settings, logs and messages."""

from typing import Any

import orjson
import pytest

from streams.publishing.records import Record, conceal_in
from streams.settings.model import Settings
from streams.settings.secrets import concealer, masked, secrets_of


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("api_key", "sk-1", "***"),
        ("qdrant_api_key", "sk-1", "***"),
        ("sasl_password", "x", "***"),
        ("api_key", "", ""),
        ("max_tokens", 1024, 1024),
        ("base_url", "http://me:pw@host/v1?a=b@c", "http://***@host/v1?a=b@c"),
        ("base_url", "http://host/a@b", "http://host/a@b"),
        ("reply_topics", ["a", "b"], ["a", "b"]),
        ("base_url", "https://h/v1?api-version=1&sig_key=abc", "https://h/v1?api-version=1&sig_key=***"),
        ("fallback_headers", {"a": "b", "c": {"env": "K"}}, {"a": "***", "c": {"env": "K"}}),
        (
            "weather",
            {"url": "http://k@x", "headers": {"X-Trace": "abc", "Authorization": {"env": "KEY"}}},
            {"url": "http://***@x", "headers": {"X-Trace": "***", "Authorization": {"env": "KEY"}}},
        ),
    ],
)
def test_secret_values_are_masked(name: str, value: Any, shown: Any) -> None:
    assert masked(name, value) == shown


class TestConcealed:
    def test_a_secret_is_concealed_in_text_and_in_its_json_form(self) -> None:
        conceal = concealer(['canary-"quoted"-key', "canary-plain-key"])
        assert conceal(b'{"a":"x canary-plain-key y"}') == b'{"a":"x *** y"}'
        assert conceal(orjson.dumps({"a": 'canary-"quoted"-key'})) == b'{"a":"***"}'

    @pytest.mark.parametrize("key", ['"canary-key-in-quotes"', "canary-key-ends-in-\\", '"canary-open'])
    def test_concealed_json_is_still_json(self, key: str) -> None:
        conceal = concealer([key])
        for held in (key, key.strip('"'), key.strip("\\") + '"', key.strip("\\") + "\n", f"x{key}y"):
            for value in (held, {held: held}):
                concealed = conceal(orjson.dumps({"error": None, "result": value}))
                assert "result" in orjson.loads(concealed)
                assert orjson.dumps(key)[1:-1] not in concealed
        assert conceal(f"refused: {key}".encode()) == b"refused: ***"

    def test_the_longer_of_two_secrets_is_concealed_first(self) -> None:
        assert concealer(["canary-plain-key", "canary-plain-key-2"])(b"canary-plain-key-2") == b"***"

    def test_a_message_without_secrets_is_not_copied(self) -> None:
        text = b'{"a":"b"}'
        assert concealer(["canary-plain-key"])(text) is text

    def test_a_short_secret_is_not_concealed(self) -> None:
        assert concealer(["EMPTY", "password"])(b"the password is EMPTY") == b"the password is EMPTY"


def test_dead_letters_keep_their_value_and_lose_it_from_their_headers() -> None:
    key = "canary-plain-key"
    conceal = concealer([key])
    letter = Record("questions.dlq", b"k", key.encode(), [("message", key.encode()), ("none", None)])  # type: ignore[list-item] - a null header
    answer = Record("answers", b"k", key.encode(), [])
    for record in (letter, answer):
        conceal_in(record, conceal, "questions.dlq")
    assert letter.value == key.encode()
    assert letter.headers == [("message", b"***"), ("none", None)]
    assert answer.value == b"***"


def test_headers_that_hold_no_secret_may_be_in_answers() -> None:
    headers = {
        "Accept": "application/json",
        "X-Tenant": "acme-corporation",
        "User-Agent": "acme-questions/1.0",
        "X-Api-Key": "canary-literal-key",
        "X-Region": {"env": "REGION_KEY"},
    }
    settings = Settings(tools={"weather": {"url": "http://w/", "headers": headers}})
    found = secrets_of(settings, {"REGION_KEY": "canary-from-environment"})
    assert found == {"canary-literal-key", "canary-from-environment"}
