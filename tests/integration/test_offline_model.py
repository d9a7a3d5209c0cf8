"""`kotae offline-model` as a process of its own, asked by an ordinary client."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.http.pool import HttpPool
from agents.models.prompt import rewrite_messages
from agents.models.sse import EventDecoder
from schemas.question import Question, Turn
from streams.local.offline_model import MODEL
from tests.support.system import ROOT, Program, environment, free_port

SOURCES = """<source id="1" title="保修">
晨雾加湿器的保修期为三年。请保留发票。
</source>
<question>
晨雾加湿器的保修期是多久？
</question>"""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    arguments = ["streams", "offline-model", "--port", str(port)]
    program = Program(arguments, environment(), tmp_path / "log")
    pool = HttpPool("model", allowed={("127.0.0.1", port)})
    try:
        await program.printed(f"127.0.0.1:{port}")
        async with pool.client() as http:
            http.base_url = httpx.URL(f"http://127.0.0.1:{port}")
            yield http
    finally:
        await pool.aclose()
        assert await program.stop() == 0


def ask(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "any", "messages": [{"role": "user", "content": content}], **more}


async def test_health_models_and_completions_whole_and_streamed_are_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json()["status"] == "ok"
    models = (await client.get("/v1/models")).json()
    assert [model["id"] for model in models["data"]] == [MODEL]

    whole = (await client.post("/v1/chat/completions", json=ask(SOURCES))).json()
    text = whole["choices"][0]["message"]["content"]
    assert text.startswith("晨雾加湿器的保修期为三年。[1]")
    assert (whole["model"], whole["choices"][0]["finish_reason"]) == (MODEL, "stop")
    assert whole["usage"]["total_tokens"] > 0

    decoder = EventDecoder()
    body = ask(SOURCES, stream=True, stream_options={"include_usage": True})
    streamed = await client.post("/v1/chat/completions", json=body)
    events = [event.data for event in decoder.feed(streamed.content)]
    assert events[-1] == b"[DONE]"
    chunks = [httpx.Response(200, content=event).json() for event in events[:-1]]
    pieces = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 5
    assert chunks[-1]["usage"] == whole["usage"]

    unknown = (
        await client.post("/v1/chat/completions", json=ask("<question>\n谁是法国总统？\n</question>"))
    ).json()
    assert "我不知道" in unknown["choices"][0]["message"]["content"]

    for content, status in [
        (b"{", 400),
        (b"[]", 400),
        (b'{"messages": []}', 400),
        (b'{"messages": [1]}', 400),
    ]:
        refused = await client.post("/v1/chat/completions", content=content)
        assert refused.status_code == status
        assert refused.json()["error"]["message"]
    odd = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, 7]}], "tools": [7, {}]}
    assert (await client.post("/v1/chat/completions", json=odd)).status_code == 200


def test_a_taken_port_is_reported_in_one_line_with_its_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "streams", "offline-model", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=30,
            cwd=ROOT,
            env=environment(),
            check=False,
        )
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1
    assert str(port) in ended.stderr
    assert "--port" in ended.stderr


async def test_a_follow_up_is_rewritten_into_a_question_that_stands_alone(client: httpx.AsyncClient) -> None:
    said = (Turn("user", "How long is the warranty of the Lumo K10?"), Turn("assistant", "Two years."))
    asked = Question(id="q", text="How heavy is it?", history=said)
    body = {"model": "any", "messages": rewrite_messages(asked)}
    reply = (await client.post("/v1/chat/completions", json=body)).json()
    assert reply["choices"][0]["message"]["content"] == "How heavy is it? (Lumo K10)"
