"""Any bytes from a server are an answer, a degraded one or an error; without a proper end no whole answer."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.components import Call, Generation, Grounding, Plan, ToolSpec
from agents.errors import DependencyError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.models.completion import Completions
from agents.models.openai import OpenAIModel
from agents.models.sse import EventDecoder
from schemas.answer import ToolCall
from schemas.codec import encode
from schemas.question import Question
from tests.support.answerer import answer_to
from tests.support.components import SOURCE

FRAMES = [
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"Nine <think>a</think> hours [1] \\ud83d"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"</think>"}]}}]}\r\n\r\n',
    b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x"}}]}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}\n\n',
    b'data: {"choices":[{"message":{"content":"Nine","refusal":"no"},"finish_reason":"length"}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"function_call":{"name":"x","arguments":"{}"}}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"Nine hours "}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"Nine hours and a"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"Nine hours and a half [1]."}}]}\n\n',
    b'data: {"choices":[{"index":0,"message":{"content":"Nine hours and a half [1]."}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"4"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"42"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}\n\n',
    b'data: {"choices":[{"index":1,"delta":{"content":"Ten"},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":7}}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'error: {"message":"broken","code":503}\n\n',
    b"event: error\ndata: broken\n\n",
    b'{"error":{"message":["a",{"msg":1}],"code":[429]}}\n',
    b'{\n "error": {\n  "message": "broken"\n }\n}\n',
    b"<html>\n<title>502</title>\n",
    b"data: [KEEPALIVE]\n\n",
    b": ping\n\n",
    b"data:\n\n",
    b"data: [DONE]\n\n",
]
ENDLESS = [frame for frame in FRAMES if not any(end in frame for end in (b"stop", b"length", b"[DONE]"))]
WHOLE = [
    b'{"choices":[{"message":{"content":"Nine.","tool_calls":[{"id":1,"function":{"name":{}}}]}}]}',
    b'{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"x","arguments":[NaN]}}]}}]}',
    b'{"choices":[{"message":{"content":"<tool_call>{}"},"finish_reason":"length"}]}',
    b'{"choices":[{"index":[],"message":{"content":{"text":{"value":"a"}}},"finish_reason":{}}],"model":{}}',
    b'{"error":{"message":"a","code":429}}',
    b"<html><title>a</title>",
    b'\xef\xbb\xbf{"choices":[{"message":{"content":"```json\\n{\\"name\\":\\"x\\",\\"arguments\\":\\"{}\\"}"}}]}',
]


@st.composite
def mutated(draw: st.DrawFn, parts: Sequence[bytes]) -> bytes:
    """Real parts, several of them, with bytes of their own put in, taken out and changed."""
    body = bytearray(b"".join(draw(st.lists(st.sampled_from(parts), max_size=8))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 6))] = draw(
            st.binary(max_size=4)
            | st.sampled_from([b"null", b"{}", b"[]", b'"x"', b"\\ud83d", b"\n\n", b"1e999"])
        )
    return bytes(body)


BODIES = st.binary(max_size=300) | mutated(FRAMES) | mutated(WHOLE) | mutated([*FRAMES, *WHOLE])


def cut(body: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def streamed(pieces: Sequence[bytes]) -> tuple[Generation, str]:
    decoder = EventDecoder()
    generation = Completions("model", "m").stream()
    deltas: list[str] = []
    for piece in [*pieces, None]:
        for event in decoder.close() if piece is None else decoder.feed(piece):
            deltas.append(generation.feed(event))
            if generation.done:
                break
        if generation.done:
            break
    deltas.append(generation.close())
    return generation.result(), "".join(deltas)


@given(BODIES, st.data())
def test_any_stream_is_an_answer_or_a_dependencys_error(body: bytes, data: st.DataObject) -> None:
    try:
        made, deltas = streamed(cut(body, data))
    except DependencyError:
        return
    assert made.text.strip()
    deltas.encode()
    encode(answer_to(Question(id="q", text="?"), SOURCE, text=made.text, model=made.model))
    assert b"DONE" in body.upper() or b"finish_reason" in body


@given(BODIES)
def test_any_body_is_an_answer_a_plan_or_a_dependencys_error(body: bytes) -> None:
    with contextlib.suppress(DependencyError):
        made = Completions("model", "m").generation(body)
        encode(answer_to(Question(id="q", text="?"), SOURCE, text=made.text, model=made.model))
    with contextlib.suppress(DependencyError):
        plan = Completions("model", "m").plan(body, {"x"})
        calls = tuple(
            ToolCall(id=one.id, name=one.name, arguments=one.arguments, status="ok", result=one.problem)
            for one in plan.calls
        )
        encode(answer_to(Question(id="q", text="?"), SOURCE, tool_calls=calls))


@given(st.lists(st.sampled_from(ENDLESS), max_size=6), st.integers(0, 80))
def test_a_stream_that_stops_anywhere_before_its_end_is_no_answer(frames: list[bytes], missing: int) -> None:
    body = b"".join(frames)
    with pytest.raises(DependencyError):
        streamed([body[: len(body) - missing]])


GROUNDING = Grounding(Question(id="q", text="How long?"))
TOOLS = [ToolSpec("x", "X.", {"type": "object"}, 5.0, idempotent=True)]


async def answers_of(pieces: Sequence[bytes]) -> None:
    """Ask a server on this machine that sends these bytes after its head, whatever they are."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        pool = HttpPool("model", allowed={endpoint(base_url)})
        model = OpenAIModel(pool, base_url, "m")
        call = Call("q", "generate", asyncio.get_running_loop().time() + 10)
        try:
            async with asyncio.timeout(10):
                for asked in (
                    lambda: model.agenerate(GROUNDING, call, lambda _: None),
                    lambda: model.agenerate(GROUNDING, call),
                    lambda: model.aplan(GROUNDING.question, TOOLS, call),
                ):
                    with contextlib.suppress(DependencyError):
                        assert isinstance(await asked(), Generation | Plan)
        finally:
            await pool.aclose()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BODIES, st.data())
def test_any_bytes_over_http_end_a_call(body: bytes, data: st.DataObject) -> None:
    asyncio.run(answers_of(cut(body, data)))
