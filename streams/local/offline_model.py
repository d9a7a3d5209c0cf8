"""A model server without a model: answers OpenAI's chat completions by extraction and matching.

It is a real HTTP server in a process of its own: its clients know only by its name that there is no model.
A request with `tools` gets a plan. Any other request gets an answer, from the sources and tool results in
its last message.
"""

import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web

from agents.language.follow_ups import standing_alone
from agents.models.extractive import Extractor
from agents.models.prompt import estimate_tokens
from streams.local.planning import match_tools
from streams.local.prompt_reader import last_message, read_follow_up, read_prompt
from streams.settings.errors import OperatorError

MODEL = "kotae-offline-extractive"
DEFAULT_PORT = 8399
REQUEST_BYTES_MAX = 16 * 1024 * 1024
_EXTRACTOR = web.AppKey("extractor", Extractor)
# A word with the space after it, or a few characters of a script without spaces.
_PIECES = re.compile(r"[^\s\u2e80-\u9fff\uff00-\uffef]+\s*|[\u2e80-\u9fff\uff00-\uffef]{1,3}\s*|\s+")


@asynccontextmanager
async def serve_offline_model(
    host: str = "127.0.0.1", port: int = DEFAULT_PORT, extractor: Extractor | None = None
) -> AsyncIterator[str]:
    """Serve the offline model, and yield its base URL with the version path. Port 0: any free port.

    `extractor` finds the answers in the sources; None: by words alone.

    Raises:
        OperatorError: the address is in use or not available.
    """
    runner = web.AppRunner(make_app(extractor or Extractor()), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise OperatorError(
                f"cannot serve the offline model at {host}:{port}: {error.strerror or error}; "
                "stop the program that listens there, or choose another port with --port"
            ) from error
        served = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{served}/v1"
    finally:
        await runner.cleanup()


def make_app(extractor: Extractor) -> web.Application:
    """Make the server's routes: /v1/chat/completions, /v1/models and /health."""
    app = web.Application(client_max_size=REQUEST_BYTES_MAX)
    app[_EXTRACTOR] = extractor
    app.router.add_post("/v1/chat/completions", _complete)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/health", _health)
    return app


async def _health(_: web.Request) -> web.Response:
    return _json({"status": "ok", "model": MODEL})


async def _models(_: web.Request) -> web.Response:
    return _json({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "kotae"}]})


async def _complete(request: web.Request) -> web.StreamResponse:
    try:
        asked = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        return _refused(f"the body is not JSON: {error}")
    problem = _problem(asked)
    if problem:
        return _refused(problem)
    message = await _areply(asked, request.app[_EXTRACTOR])
    if asked.get("stream"):
        return await _stream(request, asked, message)
    finish = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return _json({**_head("chat.completion"), "choices": [choice], "usage": _usage(asked, message)})


def _problem(asked: Any) -> str:
    if not isinstance(asked, dict):
        return "the body is not a JSON object"
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        return "`messages` must be a list that is not empty"
    if not all(isinstance(message, dict) for message in messages):
        return "every message must be an object"
    if not isinstance(asked.get("tools") or [], list):
        return "`tools` must be a list"
    return ""


async def _areply(asked: dict[str, Any], extractor: Extractor) -> dict[str, Any]:
    """Return the message that answers a request."""
    follow_up = read_follow_up(asked["messages"])
    if follow_up is not None:
        return {"role": "assistant", "content": standing_alone(follow_up)}
    offers = [offer for offer in asked.get("tools") or () if isinstance(offer, dict)]
    if not offers or asked.get("tool_choice") == "none":
        grounding = read_prompt(asked["messages"])
        return {"role": "assistant", "content": await extractor.aanswer_plainly(grounding, math.inf)}
    calls = match_tools(last_message(asked["messages"]), offers)
    if not calls:
        return {"role": "assistant", "content": "NONE"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": f"call_{uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()},
            }
            for call in calls
        ],
    }


async def _stream(request: web.Request, asked: dict[str, Any], message: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    head = _head("chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if "tool_calls" in message:
        calls = [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]
        deltas = [{"role": "assistant", "content": None, "tool_calls": calls}]
    else:
        deltas += [{"content": piece} for piece in _PIECES.findall(message["content"])]
    for delta in deltas:
        await response.write(
            _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        )
    finish = "tool_calls" if "tool_calls" in message else "stop"
    last = _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    options = asked.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        last += _event({**head, "choices": [], "usage": _usage(asked, message)})
    await response.write(last + b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _head(kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": MODEL}


def _usage(asked: dict[str, Any], message: dict[str, Any]) -> dict[str, int]:
    """Count tokens by length, because there is no tokenizer."""
    prompt = sum(estimate_tokens(last_message([part])) for part in asked["messages"])
    written = orjson.dumps(message.get("tool_calls") or message["content"]).decode()
    completion = estimate_tokens(written)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _refused(message: str) -> web.Response:
    return _json({"error": {"message": message, "type": "invalid_request_error", "code": None}}, status=400)


def _json(content: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
