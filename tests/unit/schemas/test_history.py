"""Histories as chat APIs keep them."""

from typing import Any

import pytest

from schemas.codec import decode_question
from schemas.question import Turn
from tests.unit.schemas.test_codec import question


def read(*history: Any) -> tuple[list[Turn], list[str]]:
    warnings: list[str] = []
    found = decode_question(question(history=list(history)), warnings.append)
    return list(found.history), warnings


def turn(role: Any, content: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def test_a_usual_history_is_read_as_it_is() -> None:
    assert read(turn("user", ""), turn("assistant")) == ([Turn("user", ""), Turn("assistant", "hello")], [])


@pytest.mark.parametrize(
    ("written", "role"),
    [
        ("User", "user"),
        (" USER ", "user"),
        ("human", "user"),
        ("Assistant", "assistant"),
        ("ai", "assistant"),
        ("model", "assistant"),
        ("bot", "assistant"),
        ("system", "user"),
        ("developer", "user"),
    ],
)
def test_a_role_of_a_chat_api_is_the_askers_or_the_assistants(written: str, role: Any) -> None:
    assert read(turn(written)) == ([Turn(role, "hello")], [])


@pytest.mark.parametrize(
    "written",
    [
        {"role": "model", "parts": [{"text": "hello"}]},
        {"type": "ai", "content": "hello"},
        {"from": "gpt", "value": "hello"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]},
    ],
)
def test_turns_are_read_under_the_names_of_their_fields_in_other_apis(written: dict[str, Any]) -> None:
    assert read(written) == ([Turn("assistant", "hello")], [])


@pytest.mark.parametrize("role", ["tool", "function", "", "critic", None, 7])
def test_a_turn_of_another_role_is_left_out_with_a_warning(role: Any) -> None:
    turns, [warning] = read(turn("user", "before"), turn(role, tool_call_id="t"), turn("user", "after"))
    assert turns == [Turn("user", "before"), Turn("user", "after")]
    assert warning.startswith("unusable_role: 1 of 3 turns of the history were left out")
    assert ("none" if role is None else str(role)) in warning


def test_a_turn_without_a_role_is_left_out_with_a_warning() -> None:
    turns, [warning] = read({"content": "hello"})
    assert turns == []
    assert "(none)" in warning


def test_a_thousand_unusable_turns_are_one_short_warning() -> None:
    turns, [warning] = read(*[turn(f"role {number}" + "x" * 1000) for number in range(1000)])
    assert turns == []
    assert "1000 of 1000" in warning
    assert "995 more" in warning
    assert len(warning) < 500


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}], "hello"),
        ([{"type": "input_text", "text": "hello"}], "hello"),
        ([{"type": "output_text", "text": "hello", "annotations": []}], "hello"),
        ([{"type": "text", "text": {"value": "hello"}}], "hello"),
        ([{"text": "hello"}], "hello"),
        (["hel", None, "lo"], "hello"),
        ([{"type": "TEXT", "text": "hello"}], "hello"),
        ({"type": "text", "text": "hello"}, "hello"),
        ({"parts": ["hel", "lo"]}, "hello"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hello"}], "hello"),
    ],
)
def test_a_content_of_text_parts_is_their_text(content: Any, text: str) -> None:
    assert read(turn("user", content)) == ([Turn("user", text)], [])


@pytest.mark.parametrize("content", [None, [], [None], [{"type": "reasoning", "summary": []}]])
def test_a_turn_without_words_is_left_out(content: Any) -> None:
    assert read(turn("assistant", content, tool_calls=[]), turn("user")) == ([Turn("user", "hello")], [])


def test_a_turn_that_lacks_its_content_and_a_null_turn_are_left_out() -> None:
    assert read({"role": "assistant", "tool_calls": []}, None, turn("user")) == ([Turn("user", "hello")], [])


def test_parts_that_are_no_text_are_left_out_with_a_warning() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    turns, [warning] = read(turn("user", [{"type": "text", "text": "What is this?"}, image, image]))
    assert turns == [Turn("user", "What is this?")]
    assert warning == "unusable_content: parts of the history that are no text were left out (image_url)"
