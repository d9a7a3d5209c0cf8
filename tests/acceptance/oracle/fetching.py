"""A Python tool that fetches any URL, in a worker whose names are resolved by the fake resolver."""

import itertools
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from typing import Any

import httpx

from agents.tools.python_tool import tool
from tests.support.forgery import PUBLIC, Network

network = Network(answers={"rebinding.example": itertools.chain([[PUBLIC]], itertools.repeat(["127.0.0.1"]))})


async def _connect(loop: BaseSelectorEventLoop, sock: socket.socket, address: Any) -> None:
    await network.connect(loop, sock, address)


@tool(idempotent=True, timeout_s=5.0)
async def fetch(url: str, http: httpx.AsyncClient) -> str:
    """Fetches a page and follows its redirects."""
    return (await http.get(url, follow_redirects=True)).text


socket.getaddrinfo = network.resolve
BaseSelectorEventLoop.sock_connect = _connect  # type: ignore[assignment] - a method in place of a method
