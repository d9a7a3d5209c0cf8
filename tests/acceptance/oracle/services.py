"""The model and a tool that is not idempotent, as real HTTP servers that keep a ledger of their calls."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from tests.acceptance.oracle.ledgers import ModelCall, ToolCall
from tests.support.model_server import ModelServer, Recorded, Reply, completion, text

TOOL = "pay"


class Services:
    """Both servers. An async context manager.

    Args:
        latency_s: (least, most) of the model; each call's latency is drawn from `rng`.
    """

    def __init__(self, rng: random.Random, latency_s: tuple[float, float]) -> None:
        self._rng = rng
        self._latency_s = latency_s
        self.model = ModelServer(self._reply)
        self.model_calls: list[ModelCall] = []
        self.tool_calls: list[ToolCall] = []
        self.answer: Callable[[str], Reply] = lambda question_id: text(f"The answer to {question_id}.")
        app = web.Application()
        app.router.add_post(f"/{TOOL}", self._run_tool)
        self._tools = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self.tool_url = ""

    async def __aenter__(self) -> Self:
        await self.model.__aenter__()
        await self._tools.setup()
        await web.TCPSite(self._tools, "127.0.0.1", 0).start()
        self.tool_url = f"http://127.0.0.1:{self._tools.addresses[0][1]}/{TOOL}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tools.cleanup()
        await self.model.__aexit__(kind, error, trace)

    def _reply(self, request: Recorded) -> Reply:
        question_id, stage = _request_id(request.headers["X-Request-Id"])
        self.model_calls.append(ModelCall(question_id, stage, time.time()))
        if stage == "plan":
            # As models do, it gives its calls other ids whenever it is asked.
            call = {"name": TOOL, "arguments": "{}"}
            plan = {"id": f"call-{uuid.uuid4().hex[:8]}", "type": "function", "function": call}
            reply = completion({"content": None, "tool_calls": [plan]})
        else:
            reply = self.answer(question_id)
        return replace(reply, delay_s=reply.delay_s + self._rng.uniform(*self._latency_s))

    async def _run_tool(self, request: web.Request) -> web.Response:
        question_id, _ = _request_id(request.headers["X-Request-Id"])
        key = request.headers.get("Idempotency-Key", "")
        self.tool_calls.append(ToolCall(question_id, TOOL, key, time.time()))
        await asyncio.sleep(self._rng.uniform(*self._latency_s))
        return web.json_response({"paid": True})


def _request_id(header: str) -> tuple[str, str]:
    question_id, stage, _ = header.split("/")
    return unquote(question_id), unquote(stage)
