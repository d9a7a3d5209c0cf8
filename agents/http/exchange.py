"""One request and its response, on a connection of aiohttp's pool.

A call through aiohttp's session costs 120 us of CPU. Half of that is the session: redirects, cookies,
time-outs, a task that writes the body, a response object for every use. This module uses aiohttp's
connections, TLS and parser alone. `connect` is documented; the protocol's `read` and `set_response_params`
are not, and the integration tests of `agents.http.pool` fail if they change.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

TARGETS_MAX = 256
"""Prepared addresses that are kept; dependencies have a few each."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
"""No time-outs of aiohttp's: stages keep the time."""


@dataclass(slots=True)
class RawReply:
    """A response whose body may still be coming, in `content`. The caller must release it in every case."""

    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader
    _connection: Connection

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, so that nothing more comes."""
        return self._connection.closed

    def release(self) -> None:
        """Free the connection for the next request; close it if a body was not read or sent to its end."""
        if _is_unsent(self._connection):
            _close(self._connection)
        else:
            self._connection.release()

    def close(self) -> None:
        """Close the connection."""
        _close(self._connection)


class Exchanges:
    """Sends requests on the connections of a session, with its default headers.

    It raises aiohttp's errors: `aiohttp.ClientError`, and `aiohttp.http.HttpProcessingError` if the response
    is not HTTP. It also raises OSError, and ValueError for headers that would break the request.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._targets: dict[tuple[str, str], aiohttp.ClientRequest] = {}

    async def asend(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> RawReply:
        """Send a request and return once the response's head is there. Cancellation closes the connection.

        The body is released before the wait for the response: thousands of prompts would stay in memory.
        """
        target = self._targets.get((method, url)) or self._target(method, url)
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("the pool was closed")
        connection = await connector.connect(target, [], NO_TIMEOUT)
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            connection.close()
            raise aiohttp.ServerDisconnectedError
        try:
            protocol.set_response_params(skip_payload=method == "HEAD", read_until_eof=True)
            transport.write(_head(target, body, headers, params) + (body or b""))
            del body, headers, params
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:  # informational: the response follows
                message, content = await protocol.read()
        except BaseException:
            _close(connection)
            raise
        return RawReply(message.code, message.headers, content, connection)

    async def aconnect(self, url: str) -> None:
        """Connect, with TLS if the address says so, and send nothing."""
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("the pool was closed")
        (await connector.connect(self._target("GET", url), [], NO_TIMEOUT)).release()

    def _target(self, method: str, url: str) -> aiohttp.ClientRequest:
        """Prepare the parts that all calls of an address share: the endpoint and the default headers."""
        try:
            parsed = URL(url)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        if parsed.scheme not in {"http", "https"}:
            raise aiohttp.NonHttpUrlClientError(url)
        session = self._session
        loop = asyncio.get_running_loop()
        target = aiohttp.ClientRequest(method, parsed, headers=session.headers, loop=loop, session=session)
        if len(self._targets) >= TARGETS_MAX:
            self._targets.clear()
        self._targets[method, url] = target
        return target


def _is_unsent(connection: Connection) -> bool:
    """Whether a part of the request is still unsent."""
    transport = connection.transport
    return transport is not None and transport.get_write_buffer_size() > 0


def _close(connection: Connection) -> None:
    # A closed transport goes on sending its buffer for as long as the server takes to read it.
    if connection.transport is not None and _is_unsent(connection):
        connection.transport.abort()
    connection.close()


def _head(
    target: aiohttp.ClientRequest,
    body: bytes | None,
    own: Mapping[str, str] | None,
    params: Mapping[str, str] | None,
) -> bytes:
    headers = target.headers.copy()
    if own:
        headers.update(own)
    if body is not None:
        headers["Content-Length"] = str(len(body))
    url = target.url.extend_query(params) if params else target.url
    lines = [f"{name}: {value}" for name, value in headers.items()]
    # A header with a line's end in it would smuggle in another header or request. Nearly all headers are
    # printable, and that check is faster than the search for forbidden characters.
    if not "".join(lines).isprintable() and any(map(_CONTROLS.search, lines)):
        raise ValueError("a header holds control characters")
    return "\r\n".join((f"{target.method} {url.raw_path_qs} HTTP/1.1", *lines, "", "")).encode()
