"""Forbidden addresses in every form; a resolver that returns them; a canary that hears of connections.

The resolver replaces the C library's `getaddrinfo`. Connections to public addresses are refused at the lowest
level, so that no test leaves the machine.
"""

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agents.http.egress import is_public

PUBLIC = "93.184.216.34"
PUBLIC_TOO = "2606:2800:220:1::1"

HOSTS = [
    # Literal, in every form that reaches or embeds an internal address.
    *("127.0.0.1", "127.0.0.2", "0.0.0.0", "127.1", "127.0.1", "0x7f000001", "2130706433", "0177.0.0.1"),
    *("0x7f.0.0.1", "017700000001", "127.0.0.1.", "①②⑦.0.0.1", "127。0。0。1"),
    *(
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]",
    ),
    *("[64:ff9b::a9fe:a9fe]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:a9fe:a9fe::1]"),
    *("[2002:7f00:1::]", "[2001:0:a9fe:a9fe::1]", "[fe80::1]", "[fe80::1%25lo]", "[fec0::1]", "[fd00::1]"),
    *("[2a00::5efe:7f00:1]", "169.254.169.254", "10.0.0.1", "100.64.0.1", "192.168.0.1", "224.0.0.1"),
    # Names, of this machine and by the fake resolver.
    *("localhost", "LOCALHOST", "localhost.", "loopback.example", "six.example", "mapped.example"),
    *("mixed.example", "metadata.example", "nat64.example", "scoped.example"),
]
NAMES = {
    "localhost": ["127.0.0.1", "::1"],
    "loopback.example": ["127.0.0.1"],
    "six.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "scoped.example": ["fe80::1%1"],
    "public.example": [PUBLIC, PUBLIC_TOO],
}

_getaddrinfo = socket.getaddrinfo
_sock_connect = BaseSelectorEventLoop.sock_connect


@dataclass
class Network:
    """The fake resolver, and every address that was connected to.

    `answers` holds, for names that change, the addresses that the next look-ups get.
    """

    answers: dict[str, Iterator[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)

    def resolve(self, host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        """Replaces `socket.getaddrinfo`, which knows the numeric forms."""
        name = host.decode() if isinstance(host, bytes) else str(host)
        name = name.rstrip(".").lower()
        self.asked.append(name)
        if name in self.answers:
            addresses = next(self.answers[name])
        elif name in NAMES:
            addresses = NAMES[name]
        else:
            return _getaddrinfo(host, port, *args, **options)
        return [_resolved(address, port) for address in addresses]

    async def connect(self, loop: BaseSelectorEventLoop, sock: socket.socket, address: Any) -> None:
        """Replaces the event loop's `sock_connect`."""
        self.connected.append(address[:2])
        if is_public(address[0]):
            raise ConnectionRefusedError(111, "this machine is not left")
        await _sock_connect(loop, sock, address)


def _resolved(address: str, port: int) -> tuple[Any, ...]:
    if ":" not in address:
        return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
    bare, _, scope = address.partition("%")
    return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (bare, port, 0, int(scope or 0)))


@dataclass
class Canary:
    """Listens on loopback, in both families; no connection may ever arrive."""

    port: int
    heard: list[str] = field(default_factory=list)


@asynccontextmanager
async def run_canary() -> AsyncIterator[Canary]:
    """A canary on a free port while the block lasts."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        canary.heard.append(str(writer.get_extra_info("sockname")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
        await writer.drain()
        writer.close()

    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    canary = Canary(both.getsockname()[1])
    async with await asyncio.start_server(hear, sock=both):
        yield canary
