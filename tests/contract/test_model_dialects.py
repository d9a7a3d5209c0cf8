"""Replies of servers as they really are: the right answer, a degraded one or the server's error."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from agents.components import Call, Generation, Grounding, Passage, Plan, ToolSpec
from agents.errors import BadOutputError, DependencyError, PermanentError, ThrottledError, TransientError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.models.openai import OpenAIModel
from schemas.answer import Usage
from schemas.question import Question
from tests.support.model_server import EVENTS, JSON, ModelServer, Recorded, Reply, chunk, completion, text
from tests.support.system import eventually

PASSAGE = Passage("c1", "d1", "Pump", "p.md", "The pump runs for nine hours.", 1.0)
GROUNDING = Grounding(Question(id="q", text="How long does the pump run?"), [PASSAGE])
TOOLS = [
    ToolSpec("level", "The level of a tank.", {"type": "object", "properties": {}}, 5.0, idempotent=True),
    ToolSpec("drain", "Drains a tank.", {"type": "object", "properties": {}}, 5.0, idempotent=False),
]
ANSWER = "It runs nine hours [1]."
DONE = b"data: [DONE]\n\n"


def call() -> Call:
    return Call("q", "generate", asyncio.get_running_loop().time() + 10)


class Client:
    """A model at a scripted server."""

    def __init__(self, server: ModelServer, base_url: str = "", **more: Any) -> None:
        self._pool = HttpPool("model", allowed={endpoint(server.base_url)})
        self.model = OpenAIModel(self._pool, base_url or server.base_url, "m", "key", **more)

    async def __aenter__(self) -> OpenAIModel:
        return self.model

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()


async def generated(reply: Reply, deltas: list[str] | None = None) -> Generation:
    async with ModelServer(reply) as server, Client(server) as model:
        return await model.agenerate(GROUNDING, call(), None if deltas is None else deltas.append)


async def planned(reply: Reply) -> Plan:
    async with ModelServer(reply) as server, Client(server) as model:
        return await model.aplan(GROUNDING.question, TOOLS, call())


def events(*pieces: bytes, headers: Mapping[str, str] = EVENTS) -> Reply:
    return Reply(pieces=pieces, headers=headers)


BEGUN = chunk({"content": "It runs nine"})
MIDWAY = [
    b'error: {"code":500,"message":"the tank leaks"}\n\n',
    b'event: error\ndata: {"message":"the tank leaks","type":"server_error"}\n\n',
    b"event: error\ndata: the tank leaks\n\n",
    b'data: {"object":"error","message":"the tank leaks","code":50000}\n\n',
    b'data: {"type":"error","error":{"type":"api_error","message":"the tank leaks"}}\n\n',
    b'data: {"error":"the tank leaks"}\n\n',
    b'data: {"detail":[{"loc":["body"],"msg":"the tank leaks"}]}\n\n',
    b'data: {"message":"the tank leaks","code":"internal"}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"error":{"message":"the tank leaks"}}]}\n\n',
    b'{"error":{"message":"the tank leaks"}}\n\n',
    b'{\n  "error": {\n    "message": "the tank leaks"\n  }\n}\n\n',
    b"<html>\n<head><title>the tank leaks</title></head>\n</html>\n\n",
    b"Internal Server Error: the tank leaks\n\n",
    b'data: {"internalServerException":{"message":"the tank leaks"}}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"error":{"message":"the tank leaks"}}}]}\n\n',
    b'data: [{"error":{"message":"the tank leaks"}}]\n\n',
    b'data: {"error":{"message":"the tank leaks"},"choices":[{"delta":{},"finish_reason":"error"}]}\n\n',
]


@pytest.mark.parametrize("frame", MIDWAY)
@pytest.mark.parametrize("end", [[DONE], [chunk({}, "stop"), DONE], []])
async def test_an_error_in_the_middle_of_a_stream_is_no_answer(frame: bytes, end: list[bytes]) -> None:
    with pytest.raises(TransientError, match=r"failed midway: .*the tank leaks"):
        await generated(events(BEGUN, frame, *end), [])


BUSY = [
    {"error": {"message": "come later", "code": 429}},
    {"error": {"message": "come later", "code": "503"}},
    {"error": {"message": "come later", "type": "rate_limit_error"}},
    {"message": "come later", "code": 429},
    {"object": "error", "message": "come later", "type": "TooManyRequests"},
    {"detail": "come later", "status": 503},
]


@pytest.mark.parametrize("content", BUSY)
@pytest.mark.parametrize("deltas", [None, []])
async def test_a_server_that_is_busy_says_so_with_status_200(
    content: object, deltas: list[str] | None
) -> None:
    with pytest.raises(ThrottledError, match="come later"):
        await generated(Reply(pieces=[orjson.dumps(content)]), deltas)
    with pytest.raises(ThrottledError, match="come later"):
        await planned(Reply(pieces=[orjson.dumps(content)]))
    with pytest.raises(ThrottledError, match="come later"):
        await generated(events(BEGUN, b"data: " + orjson.dumps(content) + b"\n\n", DONE), [])


@pytest.mark.parametrize("deltas", [None, []])
async def test_a_page_with_status_200_is_no_answer(deltas: list[str] | None) -> None:
    page = b"<!doctype html><html><head><title>Gateway is\n asleep</title></head><body>x</body></html>"
    with pytest.raises(BadOutputError, match="Gateway is asleep"):
        await generated(Reply(pieces=[page], headers={"Content-Type": "text/html"}), deltas)


async def test_a_refused_request_in_status_200_is_refused() -> None:
    with pytest.raises(PermanentError, match="no such model"):
        await generated(Reply(pieces=[b'{"error":{"message":"no such model","code":404}}']))


PARTS: list[Any] = [
    [{"type": "text", "text": "It runs "}, {"type": "text", "text": "nine hours [1]."}],
    [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm [2]"}]},
        {"type": "text", "text": ANSWER},
    ],
    [{"type": "reasoning", "text": "Hm"}, {"type": "output_text", "text": ANSWER}],
    ["It runs ", "nine hours [1]."],
    [{"text": "Hm", "thought": True}, {"text": ANSWER}],
    [{"type": "reasoning_text", "text": "Hm"}, {"type": "TEXT", "text": ANSWER}, {"type": "text"}],
    [{"type": "text", "content": ANSWER}],
    {"type": "text", "text": ANSWER},
]


@pytest.mark.parametrize("content", PARTS)
async def test_content_in_parts_is_joined_without_the_thoughts(content: Any) -> None:
    assert (await generated(completion({"content": content}))).text == ANSWER
    deltas: list[str] = []
    assert (
        await generated(events(chunk({"content": content}), chunk({}, "stop"), DONE), deltas)
    ).text == ANSWER
    assert "".join(deltas) == ANSWER


THOUGHTS = [
    "<think>\nSource [2] says two.\n</think>\n\n",
    "<THINKING>Hm</THINKING>",
    "\n<thought>Hm</thought>\n",
    "<reasoning>Hm</reasoning>",
    "<seed:think>Hm</seed:think>",
    "[THINK]Hm[/THINK]",
    "<|channel|>analysis<|message|>Hm [2]<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>commentary<|message|>Hm<|end|><|start|>assistant<|channel|>final <|message|>",
]


@pytest.mark.parametrize("thoughts", THOUGHTS)
@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_reasoning_is_in_neither_text_nor_deltas(thoughts: str, size: int) -> None:
    assert (await generated(text(thoughts + ANSWER))).text == ANSWER
    whole = thoughts + ANSWER
    pieces = [chunk({"content": whole[i : i + size]}) for i in range(0, len(whole), size)]
    deltas: list[str] = []
    assert (await generated(events(*pieces, chunk({}, "stop"), DONE), deltas)).text == ANSWER
    assert "".join(deltas) == ANSWER


LONE = [
    chunk({"content": piece}) for piece in ("Hm, ", "two?</th", "ink>\n\n", "It runs ", "nine hours [1].")
]


async def test_no_stream_tells_the_reasoning_before_a_lone_closing_mark() -> None:
    async with ModelServer(events(*LONE, chunk({}, "stop"), DONE)) as server, Client(server) as model:
        for _ in range(2):
            deltas: list[str] = []
            assert (await model.agenerate(GROUNDING, call(), deltas.append)).text == ANSWER
            assert deltas == ["It runs ", "nine hours [1]."]


@pytest.mark.parametrize("known_by", ["answer", "stream", "plan"])
async def test_a_stream_is_told_in_pieces_once_a_reply_has_shown_that_the_model_answers_first(
    known_by: str,
) -> None:
    def reply(request: Recorded) -> Reply:
        return events(*WORDS, *END) if request.body.get("stream") else text("NONE")

    async with ModelServer(reply) as server, Client(server) as model:
        first: list[str] = []
        match known_by:
            case "answer":
                await model.agenerate(GROUNDING, call())
            case "plan":
                await model.aplan(GROUNDING.question, TOOLS, call())
            case _:
                await model.agenerate(GROUNDING, call(), first.append)
                assert "".join(first) == ANSWER
        deltas: list[str] = []
        await model.agenerate(GROUNDING, call(), deltas.append)
    assert deltas == ["It runs ", "nine hours [1]."]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_in_a_field_of_its_own_shows_that_the_text_holds_none(field: str) -> None:
    deltas: list[str] = []
    await generated(events(chunk({field: "Hm"}), *WORDS, *END), deltas)
    assert deltas == ["It runs ", "nine hours [1]."]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_a_text_that_was_broken_off_does_not_show_that_the_model_answers_first(reason: str) -> None:
    replies = iter([events(chunk({"content": "Hm, two"}, reason), DONE), events(*LONE, *END)])
    async with ModelServer(lambda _: next(replies)) as server, Client(server) as model:
        await model.agenerate(GROUNDING, call())
        deltas: list[str] = []
        await model.agenerate(GROUNDING, call(), deltas.append)
    assert "".join(deltas) == ANSWER


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_a_reply_of_reasoning_alone_says_why(field: str) -> None:
    reply = completion({"content": None, field: "Hm"})
    body = orjson.loads(reply.pieces[0])
    body["choices"][0]["finish_reason"] = "length"
    with pytest.raises(BadOutputError, match="only reasoning, and reached the longest length"):
        await generated(Reply(pieces=[orjson.dumps(body)]))


FINISHES = [
    *[
        (reason, ("answer_truncated",))
        for reason in ("length", "max_tokens", "MAX_TOKENS", "context_length_exceeded", "max_time", "OTHER")
    ],
    *[(reason, ("answer_filtered",)) for reason in ("content_filter", "SAFETY", "ERROR_TOXIC", "blocked")],
    *[
        (reason, ())
        for reason in ("stop", "eos_token", "end_turn", "stop_sequence", "COMPLETE", "tool_calls")
    ],
]


@pytest.mark.parametrize(("reason", "degraded"), FINISHES)
async def test_a_text_that_was_cut_or_filtered_is_degraded(reason: str, degraded: Sequence[str]) -> None:
    body = orjson.loads(text("It runs nine").pieces[0])
    body["choices"][0]["finish_reason"] = reason
    assert (await generated(Reply(pieces=[orjson.dumps(body)]))).degraded == degraded
    assert (await generated(events(BEGUN, chunk({}, reason), DONE), [])).degraded == degraded


@pytest.mark.parametrize("reason", ["error", "aborted", "engine_failed", "MALFORMED_FUNCTION_CALL"])
async def test_a_text_that_the_server_broke_off_is_no_answer(reason: str) -> None:
    with pytest.raises(TransientError, match=f"broke the answer off: {reason.lower()}"):
        await generated(events(BEGUN, chunk({}, reason), DONE), [])


async def test_a_refusal_is_told_as_one() -> None:
    with pytest.raises(BadOutputError, match="refused to answer: I cannot help"):
        await generated(completion({"content": None, "refusal": "I cannot help."}))
    with pytest.raises(BadOutputError, match="refused to answer: I cannot help"):
        await generated(events(chunk({"refusal": "I cannot"}), chunk({"refusal": " help."}), DONE), [])
    with pytest.raises(BadOutputError, match="refused to plan"):
        await planned(completion({"content": None, "refusal": "I cannot help."}))


WORDS = [chunk({"content": "It runs "}), chunk({"content": "nine hours [1]."})]
END = [chunk({}, "stop"), DONE]
STREAMS = [
    [WORDS[0], b"data:\n\n", b"data: \n\n", b": ping\n\n", WORDS[1], *END],
    [piece.replace(b"\n", b"\r\n") for piece in (*WORDS, *END)],
    [b"\xef\xbb\xbf", *WORDS, *END],
    [b"".join(WORDS).replace(b"\n\n", b"\n"), *END],
    [chunk({"content": "It runs "}, "null"), chunk({"content": "nine hours [1]."}, ""), *END],
    [WORDS[0], WORDS[0].replace(b'"index":0', b'"index":1'), WORDS[1], *END],
    [b'data: {"choices":[],"usage":{"prompt_tokens":1},"x":NaN}\n\n', *WORDS, *END],
    [*WORDS, b'data: {"choices":[{"index":0,"delta":null,"finish_reason":"stop"}]}\n\n', DONE],
    [
        *WORDS,
        b'data: {"choices":[{"message":{"content":"It runs nine hours [1]."},"finish_reason":"stop"}]}\n\n',
    ],
    [*WORDS, chunk({"content": ANSWER}, "stop"), DONE],
    [*WORDS, chunk({"content": ANSWER}), *END],
    [piece.removeprefix(b"data: ") for piece in (*WORDS, END[0])],
    [b"event: ping\ndata: {}\n\n", *WORDS, *END],
    [
        b"event: heartbeat\ndata: 1735\n\n",
        WORDS[0],
        b"data: ping\n\n",
        b"data: [KEEPALIVE]\n\n",
        WORDS[1],
        *END,
    ],
    [b"data: null\n\n", WORDS[0], b"data: []\n\n", b"ping\n\n", b"x-meta: a b\n\n", WORDS[1], *END],
    [b": OPENROUTER PROCESSING\n\n", WORDS[0], b"\0" + WORDS[1], b"  " + END[0], b"data: [done]\n\n"],
    [b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n', *WORDS, END[0], b"[DONE]\n"],
]
TYPES: list[Mapping[str, str]] = [EVENTS, {"Content-Type": "text/plain"}, JSON, {"X-A": "b"}]


@pytest.mark.parametrize("pieces", STREAMS)
@pytest.mark.parametrize("headers", TYPES)
async def test_the_frames_of_a_stream_are_read_as_they_come(
    pieces: list[bytes], headers: Mapping[str, str]
) -> None:
    deltas: list[str] = []
    reply = events(*pieces, headers=headers)
    assert await generated(reply, deltas) == await generated(reply)
    assert "".join(deltas) == ANSWER


async def test_usage_is_read_wherever_it_stands() -> None:
    used = {"prompt_tokens": 3, "completion_tokens": 4}
    frames = [
        {"choices": [], "usage": used},
        {"choices": [{"index": 0, "delta": {}, "usage": used}]},
        {"choices": [], "x_groq": {"usage": used}},
    ]
    for frame in frames:
        made = await generated(events(*WORDS, b"data: " + orjson.dumps(frame) + b"\n\n", *END), [])
        assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (3, 4)


@pytest.mark.parametrize(
    ("first", "second", "read"),
    [
        (rb"\ud83d", rb"\ude00", "\U0001f600"),
        (rb"\ud83d", b"!", "\ufffd!"),
        (rb"\ude00", b"!", "\ufffd!"),
    ],
)
async def test_halves_of_a_character_are_joined_or_marked(first: bytes, second: bytes, read: str) -> None:
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
    deltas: list[str] = []
    made = await generated(events(frame % (b"Nine " + first), frame % second, *END), deltas)
    assert made.text == "".join(deltas) == f"Nine {read}"


@pytest.mark.parametrize("reason", [None, "null", ""])
async def test_a_stream_without_a_proper_end_is_no_answer(reason: str | None) -> None:
    with pytest.raises(BadOutputError, match="ended before the answer did"):
        await generated(events(chunk({"content": "It runs"}, reason)), [])


LEVEL = {"name": "level", "arguments": {"tank": "A"}}
WRITTEN = orjson.dumps(LEVEL).decode()
AS_TEXT = [
    f"<tool_call>\n{WRITTEN}\n</tool_call>",
    f"I look it up.\n<tool_call>{WRITTEN}</tool_call>",
    f"<tool_call>{WRITTEN}",
    f"<think>Hm</think><tool_call>{WRITTEN}</tool_call>",
    f"[TOOL_CALLS][{WRITTEN}]",
    '[TOOL_CALLS]level[ARGS]{"tank": "A"}',
    '<function=level>{"tank": "A"}</function>',
    f"<|python_tag|>{WRITTEN}<|eom_id|>",
    f"```json\n{WRITTEN}\n```",
    WRITTEN,
    '{"name": "functions.level", "parameters": {"tank": "A"}}',
    '{"tool": "level", "arguments": {"tank": "A"}}',
    '{"tool_name": "level", "tool_input": {"tank": "A"}}',
    '{"function": "default_api:level", "arguments": {"tank": "A"}}',
    '[level(tank="A")]',
    "```tool_code\nlevel(tank='A')\n```",
    f"```tool_call\n{WRITTEN}\n```",
    '<|channel|>commentary to=functions.level <|constrain|>json<|message|>{"tank": "A"}<|call|>',
]


@pytest.mark.parametrize("content", AS_TEXT)
async def test_a_tool_call_that_is_written_as_text_is_taken(content: str) -> None:
    (taken,) = (await planned(text(content))).calls
    assert (taken.name, taken.arguments, taken.problem) == ("level", {"tank": "A"}, "")


@pytest.mark.parametrize(
    "content",
    [
        "<tool_call>level, please</tool_call>",
        "<function=level><parameter=tank>A</parameter></function>",
        f"I could call {WRITTEN}, but which tank?",
        "<｜tool▁calls▁begin｜>level",
        "level('A')",
        'Action: level\nAction Input: {"tank": "A"}',
        '<|START_ACTION|>[{"tool_name": "level"}]<|END_ACTION|>',
    ],
)
async def test_a_tool_call_that_cannot_be_read_is_told(content: str) -> None:
    (told,) = (await planned(text(content))).calls
    assert told.problem


@pytest.mark.parametrize(
    "content",
    ["NONE", "No tool: {it} [1] <b>", '{"answer": "NONE"}', "`<think>` [x]", "f(x) is low", "I (x)", ""],
)
async def test_other_words_of_a_plan_call_no_tool(content: str) -> None:
    assert (await planned(text(content))).calls == ()


ARGUMENTS: list[Any] = [
    '{"tank": "A"}',
    {"tank": "A"},
    orjson.dumps('{"tank": "A"}').decode(),
    '```json\n{"tank": "A"}\n```',
    '{"tank": "A"}<|im_end|>',
    '{"tank": "A"}</tool_call>',
]
NAMES = ["level", "functions.level", " level", "functions.level:0", "level<|channel|>commentary"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arguments", ARGUMENTS)
async def test_names_and_arguments_are_read_in_every_form(name: str, arguments: Any) -> None:
    function = {"name": name, "arguments": arguments}
    for message in (
        {"tool_calls": [{"id": "", "type": "function", "function": function}]},
        {"tool_calls": [function]},
        {"tool_calls": {"function": function}},
        {"function_call": function},
    ):
        plan = await planned(completion({"content": None, **message}))
        assert [(one.name, one.arguments, one.problem) for one in plan.calls] == [
            ("level", {"tank": "A"}, "")
        ]


async def test_a_plan_in_events_that_nobody_asked_for_is_read() -> None:
    def part(index: int, identifier: str | None, name: str | None, arguments: str) -> bytes:
        function = {"arguments": arguments} | ({"name": name} if name else {})
        return chunk({"tool_calls": [{"index": index, "id": identifier, "function": function}]})

    pieces = [
        *(part(0, "a", "level", '{"ta'), part(0, None, None, 'nk": "A"}')),
        *(part(1, "b", "drain", ""), part(1, "b", "drain", "{}")),
        *(chunk({}, "tool_calls"), DONE),
    ]
    plan = await planned(events(*pieces))
    assert [(one.id, one.name, one.arguments) for one in plan.calls] == [
        ("a", "level", {"tank": "A"}),
        ("b", "drain", {}),
    ]
    older = [chunk({"function_call": LEVEL | {"arguments": part}}) for part in ('{"tank"', ': "A"}')]
    (call_,) = (await planned(events(*older, *END))).calls
    assert (call_.name, call_.arguments) == ("level", {"tank": "A"})


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls"])
async def test_a_plan_that_is_not_whole_is_no_empty_plan(reason: str) -> None:
    body = orjson.loads(text("I have to").pieces[0])
    body["choices"][0]["finish_reason"] = reason
    with pytest.raises(BadOutputError):
        await planned(Reply(pieces=[orjson.dumps(body)]))


class Picky:
    """Refuses some parameters, in the words of a vendor."""

    def __init__(self, status: int, **refused: Any) -> None:
        self._status = status
        self._refused = refused

    def __call__(self, request: Recorded) -> Reply:
        for name, error in self._refused.items():
            if name in request.body:
                return Reply(status=self._status, pieces=[orjson.dumps(error)])
        if request.body.get("stream"):
            return events(*WORDS, *END)
        return (
            completion({"content": ANSWER})
            if "tools" not in request.body
            else completion({"content": "NONE"})
        )


UNSUPPORTED = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
        "param": "max_tokens",
    }
}
EXTRA = {
    "object": "error",
    "message": {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", "stream_options"],
                "msg": "Extra inputs are not permitted",
            }
        ]
    },
}


async def test_a_refused_parameter_is_left_out_from_then_on_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    temperature = {"error": {"message": "`temperature` must be strictly positive"}}
    picky = Picky(400, max_tokens=UNSUPPORTED, temperature=temperature)
    async with ModelServer(picky) as server, Client(server) as model:
        made = await asyncio.gather(*(model.agenerate(GROUNDING, call()) for _ in range(5)))
        sent = len(server.requests)
        await model.aplan(GROUNDING.question, TOOLS, call())
    assert {one.text for one in made} == {ANSWER}
    assert len(server.requests) == sent + 1
    assert server.requests[-1].body["max_completion_tokens"] == 1024
    assert {"max_tokens", "temperature"}.isdisjoint(server.requests[-1].body)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "model (m) refuses the parameter max_tokens (Unsupported parameter" in lines[0]
    assert "max_completion_tokens sent instead" in lines[0]
    assert all("MODEL.PARAMETERS" in line for line in lines)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (
            b"Failed to deserialize the JSON body: unknown field `temperature`, expected one of `model`",
            "temperature",
        ),
        (b'{"error":{"message":"temperature only supports 1 with this model"}}', "temperature"),
        (b'{"detail":"max_tokens is not supported, use max_completion_tokens"}', "max_tokens"),
        (b'{"code":"InvalidParameter","message":"temperature must be greater than 0"}', "temperature"),
        (b'[{"error":{"message":"Unknown name \\"temperature\\": Cannot find field."}}]', "temperature"),
    ],
)
async def test_a_refusal_names_a_parameter_in_the_words_of_any_server(body: bytes, name: str) -> None:
    def script(request: Recorded) -> Reply:
        return Reply(status=400, pieces=[body]) if name in request.body else text(ANSWER)

    async with ModelServer(script) as server, Client(server) as model:
        assert (await model.agenerate(GROUNDING, call())).text == ANSWER
        assert len(server.requests) == 2


async def test_a_refused_parameter_of_a_stream_is_left_out() -> None:
    deltas: list[str] = []
    async with ModelServer(Picky(422, stream_options=EXTRA)) as server, Client(server) as model:
        assert (await model.agenerate(GROUNDING, call(), deltas.append)).text == ANSWER
    assert "".join(deltas) == ANSWER
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 1024. This model supports at most 512 completion tokens",
        "This model's maximum context length is 4096 tokens; reduce the messages or max_tokens",
        "invalid value for 'messages'",
        "tools are not supported",
        "bad request",
    ],
)
async def test_other_refusals_are_told_and_change_nothing(message: str) -> None:
    picky = Picky(400, model={"error": {"message": message}})
    async with ModelServer(picky) as server, Client(server) as model:
        with pytest.raises(PermanentError, match=message[:20]):
            await model.aplan(GROUNDING.question, TOOLS, call())
    assert len(server.requests) == 1


async def test_an_operators_parameters_and_headers_are_in_every_request() -> None:
    parameters = {"max_tokens": None, "max_completion_tokens": 9, "stream_options": None, "seed": 7}
    headers = {"api-key": "azure", "authorization": "Basic x"}
    async with (
        ModelServer(Picky(400)) as server,
        Client(
            server, f"{server.base_url}/?api-version=1&a=b", parameters=parameters, headers=headers
        ) as model,
    ):
        await model.agenerate(GROUNDING, call(), lambda _: None)
        await model.aplan(GROUNDING.question, TOOLS, call())
        assert repr(model).endswith("/chat/completions>")
    for request in server.requests:
        assert (request.body["max_completion_tokens"], request.body["seed"]) == (9, 7)
        assert {"max_tokens", "stream_options"}.isdisjoint(request.body)
        assert (request.headers["api-key"], request.headers["Authorization"]) == ("azure", "Basic x")
        assert request.query == {"api-version": "1", "a": "b"}


async def test_a_parameter_goes_only_with_the_one_that_it_belongs_to() -> None:
    parameters = {"tool_choice": "required", "stream_options": {"include_usage": False}}
    async with ModelServer(Picky(400)) as server, Client(server, parameters=parameters) as model:
        await model.agenerate(GROUNDING, call())
        await model.aplan(GROUNDING.question, TOOLS, call())
    answer, plan = (request.body for request in server.requests)
    assert {"tool_choice", "stream_options"}.isdisjoint(answer)
    assert plan["tool_choice"] == "required"


async def test_a_refusal_in_an_object_keeps_its_text() -> None:
    with pytest.raises(DependencyError, match=r"body\.stream_options: Extra inputs are not permitted"):
        await generated(Reply(status=422, pieces=[orjson.dumps(EXTRA)]))


GROWING = ["It ", "It runs ", "It runs nine ", "It runs nine hours ", ANSWER]
FINISH = chunk({}, "stop")


def deltas_of(*pieces: str) -> list[bytes]:
    return [chunk({"content": piece}) for piece in pieces]


@pytest.mark.parametrize(
    "frames",
    [
        [*deltas_of(*GROWING), FINISH],
        [*deltas_of(*GROWING[:-1]), chunk({"content": ANSWER}, "stop")],
        [*deltas_of(*GROWING), chunk({"content": ANSWER}, "stop")],
        [*deltas_of(*GROWING[:-1]), chunk({}, "stop", choices=[{"message": {"content": ANSWER}}]), FINISH],
        [*(chunk({"content": [{"type": "text", "text": piece}]}) for piece in GROWING), FINISH],
        [*deltas_of(*(f"<think>Hm [2].</think>{piece}" for piece in GROWING)), FINISH],
        [*deltas_of("It runs nine ", "hours [1].", ANSWER), FINISH],
        [*deltas_of("It runs nine ", "hours", ANSWER), FINISH],
        [chunk({}, choices=[{"message": {"content": piece}}]) for piece in ("It runs ", "nine hours [1].")]
        + [FINISH],
    ],
)
async def test_chunks_that_repeat_the_text_so_far_are_told_once(frames: list[bytes]) -> None:
    deltas: list[str] = []
    assert (await generated(events(*frames, DONE), deltas)).text == ANSWER
    assert "".join(deltas) == ANSWER
    assert (await generated(events(*frames, DONE))).text == ANSWER


@pytest.mark.parametrize(
    "pieces", [["4", "42"], ["42", "42"], [*GROWING, " [1]."], ["It runs nine", ANSWER, "!"]]
)
async def test_chunks_that_may_repeat_the_text_or_not_are_no_answer(pieces: list[str]) -> None:
    deltas: list[str] = []
    with pytest.raises(BadOutputError, match="repeat the text or continue it"):
        await generated(events(*deltas_of(*pieces), FINISH, DONE), deltas)
    assert (ANSWER + "42").find("".join(deltas)) >= 0


@pytest.mark.parametrize(
    "last",
    [chunk({}, "stop"), chunk({}, "length"), chunk({"content": ""}, "stop", usage={"total_tokens": 0})],
)
async def test_a_server_that_holds_the_connection_open_after_its_answer_costs_little(
    last: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.models.openai.END_S", 0.05)
    reply = replace(events(BEGUN, chunk({"content": " hours [1]."}), last, b": ping\n\n"), hangs=True)
    async with ModelServer(reply) as server, Client(server) as model:
        deltas: list[str] = []
        async with asyncio.timeout(5):
            generation = await model.agenerate(GROUNDING, call(), deltas.append)
            assert generation.text == "".join(deltas) == ANSWER
            assert generation.degraded == (("answer_truncated",) if b"length" in last else ())
            await eventually(lambda: server.lost, 5, "the connection's end")


async def test_a_reason_in_every_chunk_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.models.openai.END_S", 0.05)
    words = [chunk({"content": word}, "stop") for word in ("It runs ", "nine ", "hours [1].")]
    # The server is slower than that after the second.
    reply = replace(events(*words[:2], *[b": wait\n\n"] * 4, words[2], DONE), gap_s=0.02)
    assert (await generated(reply, [])).text == ANSWER


async def test_token_counts_after_the_reason_are_taken() -> None:
    usage = chunk({}, choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
    reply = replace(events(BEGUN, FINISH, usage, DONE), gap_s=0.02)
    assert (await generated(reply, [])).usage.prompt_tokens == 3


async def test_a_server_that_wants_uuids_for_request_ids_gets_them(caplog: pytest.LogCaptureFixture) -> None:
    """As llama-cpp-python's: it refuses any other id, with no word."""

    def script(request: Recorded) -> Reply:
        try:
            UUID(request.headers["X-Request-Id"])
        except ValueError:
            return Reply(status=400)
        return text(ANSWER)

    async with ModelServer(script) as server, Client(server) as model:
        deltas: list[str] = []
        assert (await model.agenerate(GROUNDING, call(), deltas.append)).text == "".join(deltas) == ANSWER
        assert (await model.agenerate(GROUNDING, call())).text == ANSWER
        assert await model.aplan(GROUNDING.question, TOOLS, call()) == Plan((), Usage(11, 7))
        assert (await model.agenerate(GROUNDING, call())).text == ANSWER
        named = [request.headers["X-Request-Id"] for request in server.requests]
    assert named[0] == "q/generate/1"
    assert len(set(named)) == 2, "the same attempt has the same id"
    assert named[1::2] == [named[1]] * 3 == named[6:] * 3, "the fourth request is sent once"
    [warning] = [record.getMessage() for record in caplog.records]
    assert "model (m) takes requests only if their X-Request-Id is a UUID" in warning


async def test_a_server_that_refuses_our_request_ids_by_name_gets_uuids() -> None:
    def script(request: Recorded) -> Reply:
        try:
            UUID(request.headers["X-Request-Id"])
        except ValueError:
            return Reply(
                status=422, pieces=[b'{"detail":[{"loc":["header","x-request-id"],"msg":"no UUID"}]}']
            )
        return text(ANSWER)

    async with ModelServer(script) as server, Client(server) as model:
        for _ in range(2):
            assert (await model.agenerate(GROUNDING, call())).text == ANSWER
        assert len(server.requests) == 3


async def test_a_server_that_refuses_without_a_reason_is_asked_once_more() -> None:
    async with ModelServer(Reply(status=400)) as server, Client(server) as model:
        with pytest.raises(PermanentError, match="HTTP 400"):
            await model.agenerate(GROUNDING, call())
        assert len(server.requests) == 2


@pytest.mark.parametrize("refused", [(0,), (1,), (0, 1), (0, 1, 3), (0, 2)])
async def test_a_server_that_refuses_some_requests_without_a_reason_keeps_our_ids(
    refused: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    asked = itertools.count()

    def script(_: Recorded) -> Reply:
        return Reply(status=400) if next(asked) in refused else text(ANSWER)

    async with ModelServer(script) as server, Client(server) as model:
        for _ in range(4):
            with contextlib.suppress(PermanentError):
                await model.agenerate(GROUNDING, call())
        assert server.requests[-1].headers["X-Request-Id"] == "q/generate/1"
    assert not caplog.records


@pytest.mark.parametrize("reason", [None, "null", ""])
async def test_a_stream_that_names_no_reason_for_its_end_is_taken_as_cut(reason: str | None) -> None:
    """As llama-cpp-python's server breaks a stream off when another request comes."""
    deltas: list[str] = []
    made = await generated(events(chunk({"content": "It runs"}, reason), DONE), deltas)
    assert (made.text, made.degraded) == ("It runs", ("answer_truncated",))
    usage = chunk({}, choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
    made = await generated(events(chunk({"content": ANSWER}, reason), usage, DONE), deltas)
    assert (made.text, made.degraded) == (ANSWER, ())
