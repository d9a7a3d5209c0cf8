"""A whole body is read the same in one look as field by field."""

from copy import deepcopy
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.bodies import _plain, _read_fields

USUAL = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Nine hours [1].", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
CALLS = [{"id": "a", "type": "function", "function": {"name": "x", "arguments": '{"a": 1}'}}]
PLACES: list[list[str | int]] = [[], ["choices"], ["choices", 0], ["choices", 0, "message"], ["usage"]]
FIELDS = [
    *(
        "model",
        "choices",
        "usage",
        "error",
        "x_groq",
        "message",
        "delta",
        "finish_reason",
        "content",
        "index",
    ),
    *("tool_calls", "function_call", "refusal", "reasoning", "reasoning_content", "thinking", "detail"),
    *("prompt_tokens", "completion_tokens", "status", "type"),
]
MARKS = ["<think>", "</think>", "[THINK]", "[/think]", "◁/think▷", "<|channel|>final<|message|>", "<|end|>"]
TEXTS = [
    *MARKS,
    "analysisHm",
    "analysis",
    "assistantfinal",
    "[1]",
    " ",
    "\n",
    "\ud83d",
    "\ude00",
    "é",
    "a",
    "A",
]
REASONS = ["stop", "tool_calls", "length", "content_filter", "Stop", "error", "null", "function_call", "eos"]
OTHER_USAGE = {"prompt_tokens": 7, "completion_tokens": 2}
VALUES: list[Any] = [
    *(*TEXTS, *REASONS, "", " a", "\ud83d\ude00", "A <think>a</think>b"),
    *(None, True, False, -1, 0, 1, 1.0),
    *([], {}, [{}], ["a"], [None], "[]", "{}"),
    *({"message": "a"}, {"content": "a"}, {"usage": OTHER_USAGE}, {"name": "x", "arguments": "{}"}),
    *(OTHER_USAGE, CALLS, [{"type": "text", "text": "Nine."}]),
    *({**USUAL["choices"][0], "index": 1}, [USUAL["choices"][0], USUAL["choices"][0]]),  # type: ignore[index]
]
Change = tuple[list[str | int], str, Any]


def changed(changes: list[Change]) -> dict[str, Any]:
    content: Any = deepcopy(USUAL)
    for place, field, value in changes:
        at = content
        try:
            for step in place:
                at = at[step]
            at[field] = deepcopy(value)
        except (LookupError, TypeError):
            continue
    return content  # type: ignore[no-any-return]  # a dict, of which anything may have changed


def test_the_usual_replies_are_read_in_one_look() -> None:
    told = ["choices", 0, "message"]
    assert _plain(changed([])) == _read_fields("model", changed([]))
    plan = changed([(told, "content", None), (told, "tool_calls", CALLS)])
    plan["choices"][0]["finish_reason"] = "tool_calls"
    assert _plain(plan) == _read_fields("model", plan) is not None


def assert_read_the_same(content: dict[str, Any]) -> None:
    before = deepcopy(content)
    plain = _plain(content)
    assert content == before
    if plain is not None:
        assert plain == _read_fields("model", content)


@pytest.mark.parametrize("field", FIELDS)
def test_a_reply_with_anything_in_one_field_is_read_the_same_in_one_look(field: str) -> None:
    for place, value in product(PLACES, VALUES):
        assert_read_the_same(changed([(place, field, value)]))


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PLACES),
            st.sampled_from(FIELDS),
            st.sampled_from(VALUES) | st.lists(st.sampled_from(TEXTS)).map("".join),
        ),
        max_size=4,
    )
)
def test_a_reply_with_anything_in_several_fields_is_read_the_same_in_one_look(changes: list[Change]) -> None:
    assert_read_the_same(changed(changes))
