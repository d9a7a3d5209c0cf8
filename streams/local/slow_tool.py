"""The server of a tool that accepts every request and never answers, to show a degraded answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

NAME = "stock_level"
_TIMEOUT_S = 1.5


@asynccontextmanager
async def run_slow_tool(host: str = "127.0.0.1") -> AsyncIterator[dict[str, dict[str, Any]]]:
    """Serve the tool on a free port, and yield its part of the `[tools]` table."""
    app = web.Application()
    app.router.add_get("/stock", _never)
    # A client that gives up cancels its handler, so that none is left when the server stops.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        port = runner.addresses[0][1]
        yield {NAME: slow_tool_table(f"http://{host}:{port}/stock")}
    finally:
        await runner.cleanup()


def slow_tool_table(url: str) -> dict[str, Any]:
    """Return the table `[tools.stock_level]` for a server at this address."""
    return {
        "description": (
            "Looks up how many units of a product are in stock in a warehouse right now. "
            "查询某个产品目前在仓库的库存数量。"
        ),
        "url": url,
        "method": "GET",
        "timeout_s": _TIMEOUT_S,
        "parameters": {
            "type": "object",
            "properties": {
                "product": {
                    "type": "string",
                    "description": "The product's name. 产品名称。",
                    "examples": ["Heron Flow", "晨雾加湿器"],
                    "minLength": 1,
                },
                "city": {
                    "type": "string",
                    "description": "The city of the warehouse. 仓库所在的城市。",
                    "enum": ["Rotterdam", "Hangzhou"],
                },
            },
            "required": ["product"],
            "additionalProperties": False,
        },
    }


async def _never(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError("this event is never set")
