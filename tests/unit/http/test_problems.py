"""The error that a body tells, in the shapes of many servers."""

from typing import Any

import orjson
import pytest

from agents.http.problems import TOLD_MAX, is_error, told_by, told_in


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


def test_of_a_text_only_one_short_line_is_told() -> None:
    assert told_by(b" no such model\n") == "no such model"
    for body in (b"", b"\xff", b"a" * 300, b'{"choices": [', b"<p>nothing", b"\0"):
        assert told_by(body) == ""


@pytest.mark.parametrize(
    "content",
    [
        {"Message": "the tank leaks"},
        {"internalServerException": {"message": "the tank leaks"}},
        {"errorMessage": "the tank leaks", "errorType": "Leak"},
        {"Error": {"Message": "the tank leaks"}},
        {"error_code": 336100, "error_msg": "the tank leaks"},
        {"exception": "the tank leaks"},
        {"type": "response.failed", "response": {"error": {"message": "the tank leaks"}}},
        {"status": "error", "reason": "the tank leaks"},
    ],
)
def test_an_error_is_known_by_any_name_of_its_message(content: dict[str, Any]) -> None:
    assert is_error(content)
    assert told_in(content) == "the tank leaks"


@pytest.mark.parametrize(
    "content",
    [
        {"type": "ping"},
        {"status": "processing"},
        {"error_code": 0, "error_msg": ""},
        {"type": "response.created", "response": {"message": "x"}},
        {"usage": {"prompt_tokens": 1}},
    ],
)
def test_other_frames_are_no_errors(content: dict[str, Any]) -> None:
    assert not is_error(content)


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
