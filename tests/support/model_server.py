"""A scripted server of OpenAI's chat completions, over real HTTP: slow, broken or hanging."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream"}


@dataclass(frozen=True)
class Reply:
    """The server's reply to one request.

    Attributes:
        pieces: the parts of the body, written one by one with `gap_s` between them.
        delay_s: time before the status line.
        hangs: whether the server hangs after the pieces, until the client goes away.
        cut: whether the connection is dropped after the pieces, in the middle of the body.
    """

    status: int = 200
    pieces: Sequence[bytes] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    delay_s: float = 0.0
    gap_s: float = 0.0
    hangs: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived; the names of its headers ignore case."""

    headers: Mapping[str, str]
    body: dict[str, Any]
    peer: Any
    query: Mapping[str, str] = field(default_factory=dict)


def completion(message: Mapping[str, Any], **more: Any) -> Reply:
    """A whole chat completion with this message."""
    content = {
        "id": "c1",
        "object": "chat.completion",
        "model": "scripted",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        **more,
    }
    return Reply(pieces=[orjson.dumps(content)])


def text(content: str) -> Reply:
    """A whole answer."""
    return completion({"content": content})


def calls(*wanted: tuple[str, str]) -> Reply:
    """A plan of (name, arguments as the model wrote them)."""
    return completion(
        {
            "content": None,
            "tool_calls": [
                {"id": f"call-{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for n, (name, arguments) in enumerate(wanted)
            ],
        }
    )


def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One event of a streamed completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"model": "scripted", "choices": [choice], **more}) + b"\n\n"


def stream(*words: str, gap_s: float = 0.0, done: bool = True) -> Reply:
    """A streamed answer, a word an event."""
    pieces = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in words)]
    if done:
        usage = {"usage": {"prompt_tokens": 11, "completion_tokens": 7}}
        pieces += [chunk({}, "stop", **usage), b"data: [DONE]\n\n"]
    return Reply(pieces=pieces, headers=EVENTS, gap_s=gap_s)


class ModelServer:
    """Serves the replies of `script`.

    Attributes:
        requests: every request that arrived.
        abandoned: the requests whose client went away, each with the time, in unix seconds.
        capacity: entered while a reply is delayed; a semaphore makes other requests wait.
    """

    def __init__(self, script: Callable[[Recorded], Reply] | Reply) -> None:
        self.script: Callable[[Recorded], Reply] = script if callable(script) else lambda _: script
        self.requests: list[Recorded] = []
        self.abandoned: list[tuple[Recorded, float]] = []
        self.capacity: AbstractAsyncContextManager[None] = nullcontext()
        self.base_url = ""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    @property
    def lost(self) -> int:
        """How many clients went away."""
        return len(self.abandoned)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        recorded = Recorded(request.headers, orjson.loads(await request.read()), peer, dict(request.query))
        self.requests.append(recorded)
        reply = self.script(recorded)
        try:
            async with self.capacity:
                await asyncio.sleep(reply.delay_s)
            response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
            await response.prepare(request)
            for piece in reply.pieces:
                await response.write(piece)
                await asyncio.sleep(reply.gap_s)
            if reply.hangs:
                await asyncio.Event().wait()
            if reply.cut:
                request.transport.close()
                return response
            await response.write_eof()
        except (asyncio.CancelledError, ConnectionError):
            self.abandoned.append((recorded, time.time()))
            raise
        return response
