"""The error that a body tells, in the shapes of many servers."""

from typing import Any

import orjson
import pytest

from agents.http.problems import TOLD_MAX, is_error, told_by


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"error": "a"}, "a"),
        ({"error": {"message": "a"}}, "a"),
        ({"message": "a", "code": 1}, "a"),
        (
            {
                "object": "error",
                "message": {"detail": [{"loc": ["body", "x"], "msg": "a", "input": "SECRET"}]},
            },
            "body.x: a",
        ),
        ({"detail": "a"}, "a"),
        ({"detail": [{"msg": "a"}, {"msg": "b"}]}, "a; b"),
        ({"errors": ["a", {"message": "b"}]}, "a; b"),
        ({"error": {"message": ""}, "detail": "a"}, "a"),
        ({"error": {"code": 7}}, ""),
        ({"error": {"message": "a\n  b"}}, "a b"),
        ({"error": {"message": "x" * 999}}, "x" * TOLD_MAX),
        ({"input": "SECRET"}, ""),
        ([[[[[[[["too deep"]]]]]]]], ""),
        (7, ""),
    ],
)
def test_the_message_alone_is_told(content: Any, told: str) -> None:
    assert told_by(orjson.dumps(content)) == told


def test_of_a_page_the_title_is_told() -> None:
    assert (
        told_by(b"<html><TITLE>502 Bad\n Gateway &amp; more</TITLE><body>SECRET") == "502 Bad Gateway & more"
    )
    assert told_by(b"nothing like it") == told_by(b"\xff") == ""


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"choices": [{}]}, False),
        ({"choices": [{}], "error": None}, False),
        ({"choices": [{}], "error": {}}, False),
        ({"choices": [{}], "error": {"code": 1}}, True),
        ({"choices": [], "usage": {}}, False),
        ({"choices": [{}], "message": "x"}, False),
        ({"message": "x"}, True),
        ({"message": {"role": "assistant", "content": "x"}}, False),
        ({"object": "error"}, True),
        ({}, False),
    ],
)
def test_errors_are_told_from_completions(content: dict[str, Any], error: bool) -> None:
    assert is_error(content) is error
