"""What is shown of values that hold secrets."""

from typing import Any

import pytest

from streams.secrets import masked


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
        (
            "weather",
            {"url": "http://k@x", "headers": {"X-Trace": "abc", "Authorization": {"env": "KEY"}}},
            {"url": "http://***@x", "headers": {"X-Trace": "***", "Authorization": {"env": "KEY"}}},
        ),
    ],
)
def test_masked(name: str, value: Any, shown: Any) -> None:
    assert masked(name, value) == shown
