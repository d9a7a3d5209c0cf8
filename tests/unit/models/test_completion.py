"""Chat completions, right and wrong."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.components import Generation, Plan, PlannedCall
from agents.errors import BadOutputError, DependencyError, ThrottledError, TransientError
from agents.models.completion import Completions
from agents.models.sse import ServerEvent
from agents.models.tool_calls import planned_calls
from schemas.answer import ToolCall, Usage
from schemas.codec import decode_answer, encode
from schemas.question import Question
from tests.support.answerer import answer_to
from tests.support.components import SOURCE


def parse_plan(body: bytes) -> Plan:
    return Completions("model", "asked").plan(body, {"clock"})


def parse_generation(body: bytes) -> Generation:
    return Completions("model", "asked").generation(body)


def event(data: object, name: str = "message") -> ServerEvent:
    return ServerEvent(name, data if isinstance(data, bytes) else orjson.dumps(data))


def wanted(name: object = "clock", arguments: object = "{}", **more: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def test_a_plan_holds_the_tool_calls_with_their_arguments() -> None:
    body = {
        "choices": [
            {"message": {"content": None, "tool_calls": [wanted(arguments='{"place":"Oslo"}', id="a")]}}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    plan = parse_plan(orjson.dumps(body))
    assert plan.calls == (PlannedCall("a", "clock", {"place": "Oslo"}),)
    assert plan.usage == Usage(3, 2)


@pytest.mark.parametrize("tool_calls", [None, [], "clock", {}])
def test_a_completion_without_tool_calls_is_an_empty_plan(tool_calls: object) -> None:
    body = {"choices": [{"message": {"content": "NONE", "tool_calls": tool_calls}}]}
    assert parse_plan(orjson.dumps(body)).calls == ()


@pytest.mark.parametrize(
    ("arguments", "read", "problem"),
    [
        ('{"a": 1}', {"a": 1}, ""),
        ({"a": 1}, {"a": 1}, ""),
        ('{"a": 123456789012345678901}', {"a": 123456789012345678901}, ""),
        (
            '{"a": 0.1234567890123456789, "b": "1234567890123456789012"}',
            {"a": 0.1234567890123456789, "b": "1234567890123456789012"},
            "",
        ),
        ("", {}, ""),
        (None, {}, ""),
        ('{"a": 1', {}, "not JSON"),
        ('{"a": NaN}', {}, "not JSON"),
        ("[" * 10_000, {}, "not JSON"),
        ("[1]", {}, "not a JSON object"),
        (7, {}, "not a JSON object"),
    ],
)
def test_arguments_are_read_or_reported_as_a_problem(
    arguments: object, read: dict[str, Any], problem: str
) -> None:
    (call,) = planned_calls([wanted(arguments=arguments, id="x")])
    assert call.arguments == read
    assert problem in call.problem
    assert bool(call.problem) == bool(problem)


def test_ids_are_unique_and_stable() -> None:
    entries = [
        wanted(id="a"),
        wanted(id="a"),
        wanted(),
        wanted(id="call_2"),
        wanted(id=7),
        wanted(id="x" * 200),
    ]
    ids = [call.id for call in planned_calls(entries)]
    assert ids == [call.id for call in planned_calls(entries)]
    assert len(set(ids)) == len(entries)
    assert ids[0] == "a"


def test_no_malformed_call_vanishes() -> None:
    calls = planned_calls([None, "x", {}, {"function": 7}, wanted(name=None), wanted(name=" ")])
    assert [(call.name, bool(call.problem)) for call in calls] == [("", True)] * 6


def test_a_tool_that_was_not_offered_is_kept_for_the_executor_to_reject() -> None:
    assert [call.name for call in planned_calls([wanted("rm_rf")])] == ["rm_rf"]


def test_too_deep_arguments_reject_their_own_call_only() -> None:
    for depth in range(900, 1025):
        [call] = planned_calls([wanted(arguments=f'{{"a": {"[" * depth}{"9" * 20}{"]" * depth}}}')])
        assert call.problem


def test_numbers_in_arguments_given_as_an_object_are_not_rounded() -> None:
    call = b'{"function": {"name": "pay", "arguments": {"to": 123456789012345678901}}}'
    body = b'{"choices": [{"message": {"tool_calls": [%b]}}]}' % call
    assert parse_plan(body).calls[0].arguments == {"to": 123456789012345678901}


def test_a_generation_has_the_text_and_the_servers_name_for_the_model() -> None:
    body = {
        "model": "m-1",
        "choices": [{"message": {"content": "Blue [1]."}}],
        "usage": {"prompt_tokens": -1},
    }
    assert parse_generation(orjson.dumps(body)) == Generation("Blue [1].", "m-1", Usage())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [7]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {}}]}',
        b'{"choices": [{"message": {"content": " "}}]}',
        b'{"choices": [{"message": {"content": null, "tool_calls": [{}]}}]}',
        b"[" * 10_000,
        b"\xff\xfe",
        b'{"choices": [{"message": {"content": " [9][1]\\n"}}]}',
    ],
)
def test_a_completion_without_an_answer_is_bad_output(body: bytes) -> None:
    with pytest.raises(BadOutputError):
        parse_generation(body)


KEYS = (
    "choices message delta content tool_calls function name arguments id error code usage model finish_reason"
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 600) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS.split()),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_body_from_a_server_raises_dependency_errors_only(value: object) -> None:
    body = orjson.dumps(value)
    streamed = Completions("model", "asked").stream()
    for attempt in (
        lambda: parse_plan(body),
        lambda: parse_generation(body),
        lambda: streamed.feed(event(body)),
        streamed.result,
    ):
        try:
            attempt()
        except DependencyError:
            continue


def streamed(*chunks: object) -> Generation:
    generation = Completions("model", "asked").stream()
    for part in chunks:
        generation.feed(event(part))
    return generation.result()


def piece(content: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}, "finish_reason": finish}]}


def test_the_pieces_of_a_stream_are_joined() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}, "model": "m-1"}
    assert streamed(piece("Bl"), piece("ue"), piece(None, "stop"), usage, b"[DONE]") == Generation(
        "Blue", "m-1", Usage(5, 2)
    )


@pytest.mark.parametrize("end", [[b"[DONE]"], [piece(None, "length")]])
def test_a_finish_reason_or_done_ends_a_stream(end: list[object]) -> None:
    assert streamed(piece("Blue"), *end).text == "Blue"


def test_a_stream_that_ends_early_is_bad_output() -> None:
    with pytest.raises(BadOutputError, match="ended before"):
        streamed(piece("Bl"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "out of memory", "code": 500}, TransientError),
        ({"message": "busy", "code": 429}, ThrottledError),
        ({"message": "odd", "code": {}}, TransientError),
        ("plain words", TransientError),
    ],
)
def test_an_error_event_in_a_stream_is_raised(error: object, kind: type[DependencyError]) -> None:
    with pytest.raises(kind, match="failed midway"):
        streamed(piece("Bl"), {"error": error})


def test_a_stream_of_tool_calls_is_bad_output() -> None:
    called = {"choices": [{"delta": {"tool_calls": [wanted()]}, "finish_reason": "tool_calls"}]}
    with pytest.raises(BadOutputError, match="tools"):
        streamed(called, b"[DONE]")


@pytest.mark.parametrize(
    ("levels", "problem"), [(80, ""), (95, "nested too deeply"), (900, "nested too deeply")]
)
def test_too_deep_arguments_in_a_completion_are_a_problem(levels: int, problem: str) -> None:
    arguments = '{"a": ' + "[" * levels + "]" * levels + "}"
    [call] = planned_calls([{"id": "1", "function": {"name": "weather", "arguments": arguments}}])
    assert problem in call.problem
    assert bool(call.problem) is bool(problem)
    made = ToolCall(id="1", name="w", arguments=call.arguments, status="ok")
    answered = answer_to(Question(id="q", text="?"), SOURCE, tool_calls=(made,))
    assert decode_answer(encode(answered)) == answered


@pytest.mark.parametrize("wish", [{"tool_calls": [wanted(id="a")]}, {"function_call": {"name": "clock"}}])
def test_tool_calls_beside_a_text_degrade_it_and_alone_are_bad_output(wish: dict[str, Any]) -> None:
    body = {"choices": [{"message": {"content": "It is noon.", **wish}}]}
    generation = parse_generation(orjson.dumps(body))
    assert (generation.text, generation.degraded) == ("It is noon.", ("tool_calls_refused",))
    body = {"choices": [{"message": {"content": None, **wish}}]}
    with pytest.raises(BadOutputError, match="called tools"):
        parse_generation(orjson.dumps(body))
    streamed = Completions("model", "named").stream()
    for delta in ({"content": "Noon."}, wish):
        streamed.feed(event({"choices": [{"delta": delta}]}))
    streamed.feed(event({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
    assert streamed.result().degraded == ("tool_calls_refused",)


def test_a_tool_call_written_as_an_answer_is_no_answer() -> None:
    text = '<tool_call>{"name": "pay", "arguments": {}}</tool_call> [TOOL_CALLS][{"name": "pay"}]'
    with pytest.raises(BadOutputError, match="called tools"):
        parse_generation(orjson.dumps({"choices": [{"message": {"content": text}}]}))
    body = orjson.dumps({"choices": [{"message": {"content": f"It is noon [1]. {text}"}}]})
    generation = parse_generation(body)
    assert generation.text.strip() == "It is noon [1]."
    assert generation.degraded == ("tool_calls_refused",)


@pytest.mark.parametrize("text", ["How heavy is it?\nIt weighs 2 kg.", "x" * 3_000])
def test_a_rewriting_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(BadOutputError, match="did not rewrite"):
        Completions("model", "asked").rewriting(orjson.dumps({"choices": [{"message": {"content": text}}]}))


def test_a_rewriting_is_one_line_without_its_quotation_marks() -> None:
    body = {"choices": [{"message": {"content": ' "How heavy is the Lumo K10?"\n'}}]}
    rewriting = Completions("model", "asked").rewriting(orjson.dumps(body))
    assert rewriting.text == "How heavy is the Lumo K10?"
