"""A real HTTP server for tools: it answers, hangs, redirects or lies, and keeps its requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import orjson
from aiohttp import web


def unused_client() -> httpx.AsyncClient:
    """Replaces an HTTP client in tests that must not use one."""
    raise AssertionError("something asked for an HTTP client")


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class ToolServer:
    """The server's requests and its address."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    hanging: int = 0
    abandoned: int = 0

    @property
    def last(self) -> Received:
        return self.received[-1]

    async def keep(self, request: web.Request) -> None:
        self.received.append(
            Received(
                request.method,
                request.path,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                await request.read(),
            )
        )

    async def ok(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.json_response({"weather": "sunny", "degrees": 21.5})

    async def hang(self, request: web.Request) -> web.Response:
        await self.keep(request)
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        raise AssertionError("unreachable")

    async def dribble(self, request: web.Request) -> web.StreamResponse:
        """Send headers and one byte, then nothing: a response that looks as if it had begun."""
        await self.keep(request)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"{")
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        return response

    async def slow(self, request: web.Request) -> web.Response:
        await self.keep(request)
        await asyncio.sleep(0.3)
        return web.json_response({"weather": "sunny"})

    async def status(self, request: web.Request) -> web.Response:
        await self.keep(request)
        code = int(request.match_info["code"])
        return web.json_response(
            {"error": f"code {code}", "trace": "secret stack"}, status=code, headers={"Retry-After": "3"}
        )

    async def uuids(self, request: web.Request) -> web.Response:
        """Refuse every request whose id is no UUID."""
        await self.keep(request)
        try:
            UUID(request.headers["X-Request-Id"])
        except ValueError:
            return web.json_response({"detail": "x-request-id must be a UUID"}, status=422)
        return web.json_response({"weather": "sunny"})

    async def text(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(text="晴，21 度")

    async def gbk(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(
            body="晴，21 度".encode("gbk"), headers={"Content-Type": "text/plain; charset=gbk"}
        )

    async def empty(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(status=204)

    async def garbage(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(body=b"{not json", content_type="application/json")

    async def wei(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(body=b'{"wei": 123456789012345678901}', content_type="application/json")

    async def image(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(body=b"\x89PNG\xff\xfe\x00", content_type="image/png")

    async def huge(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(text="字" * int(request.query.get("length", "50000")))

    async def nested(self, request: web.Request) -> web.Response:
        await self.keep(request)
        return web.Response(text="[" * 400 + "]" * 400, content_type="application/json")

    async def repeat(self, request: web.Request) -> web.Response:
        """Return the request's headers, also in the usual place of an error."""
        await self.keep(request)
        told = f"not with {dict(request.headers)}"
        code = int(request.query.get("code", "200"))
        return web.json_response({"error": {"message": told}, "seen": dict(request.headers)}, status=code)

    async def redirect(self, request: web.Request) -> web.Response:
        await self.keep(request)
        raise web.HTTPFound(f"{self.url}/ok")


@asynccontextmanager
async def run_tool_server() -> AsyncIterator[ToolServer]:
    """A server on a free port of the loopback address while the block lasts."""
    server = ToolServer()
    app = web.Application()
    for answer in (
        server.ok,
        server.hang,
        server.dribble,
        server.slow,
        server.uuids,
        server.text,
        server.gbk,
        server.empty,
        server.garbage,
        server.wei,
        server.image,
        server.huge,
        server.nested,
        server.redirect,
        server.repeat,
    ):
        app.router.add_route("*", f"/{answer.__name__}", answer)
    app.router.add_route("*", "/status/{code}", server.status)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
