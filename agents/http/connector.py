"""Connections to addresses that may be called, and to no others.

The check covers the addresses themselves: all those that a name has at that moment, then each one again when
its socket is made. So neither a name that changes afterwards nor the form of a URL leads around it.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Collection, Sequence
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from agents.http.egress import Endpoint, is_public, normalised, refused


class RefusedAddressError(aiohttp.ClientConnectionError):
    """No connection was made. The message names host and port as they were asked for, and no address."""

    def __init__(self, asked: Endpoint) -> None:
        super().__init__(
            f"{asked[0]}:{asked[1]} may not be called: it is not public, and not among the addresses that "
            "the operator allows (egress.allow)"
        )


class GuardedConnector(aiohttp.TCPConnector):
    """A connector of aiohttp that connects only to public addresses and to `allowed` ones.

    It does not limit the number of connections. TLS still checks a certificate against the host's name,
    because only the address is pinned. `tls` holds the authorities to trust; None: the system's.
    """

    def __init__(self, allowed: Collection[Endpoint], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(limit=0, socket_factory=self._socket, ssl=tls or True)
        self._allowed = frozenset(allowed)
        self._granted: set[tuple[str, int]] = set()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Any]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Return a connection without unread data.

        aiohttp checks a connection when it takes it back, not when it hands it out again: a response that
        came in between, such as a 408, would be taken for that to the next request.
        """
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                return connection
            connection.close()

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections. Reads of bodies fail, which aiohttp's own closing would leave waiting."""
        # A reader learns of the abort after one turn of the event loop, with TLS after two.
        while in_use := [one.transport for one in self._acquired if one.transport is not None]:
            for transport in in_use:
                transport.abort()
            await asyncio.sleep(0)
        await super().close(abort_ssl=abort_ssl)

    async def _resolve_host(
        self, host: str, port: int, traces: Sequence[Any] | None = None
    ) -> "list[aiohttp.abc.ResolveResult]":
        # Every connection passes here, also one to a literal address, which a resolver never sees.
        found = await super()._resolve_host(host, port, traces)
        asked = normalised(host, port)
        addresses = [one["host"] for one in found]
        if refused(asked, addresses, self._allowed):
            raise RefusedAddressError(asked)
        if asked in self._allowed:
            self._granted.update((address, port) for address in addresses)
        return found

    def _socket(self, info: Any) -> socket.socket:
        # The second fence: `_resolve_host` is not part of aiohttp's interface. If a connection ever bypasses
        # it, this method refuses every address that was not granted there.
        family, kind, protocol, _, address = info
        if not is_public(address[0]) and address[:2] not in self._granted:
            # Without the address, which the asker must not learn.
            raise PermissionError(errno.EACCES, "the address was not checked")
        return socket.socket(family, kind, protocol)
