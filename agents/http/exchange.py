"""One request and its response, on a connection of aiohttp's pool.

A call through aiohttp's session costs 120 us of CPU, and half of that is the session: redirects, cookies,
time-outs, a task that writes the body, a response for every use. Here are the connections, TLS and the
parser of aiohttp alone. `connect` is its documented interface; its protocol's `read` and
`set_response_params` are not, and the integration tests of `agents.http.pool` would show if they changed.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

TARGETS_MAX = 256
"""Addresses that are remembered ready to be called; dependencies have a few each."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
"""Stages keep the time."""


@dataclass(slots=True)
class Reply:
    """A response whose body may still be coming, in `content`. Release it, whatever happens."""

    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader
    _connection: Connection

    @property
    def closed(self) -> bool:
        """Whether nothing more can come."""
        return self._connection.closed

    def release(self) -> None:
        """Let the connection be used again, or close it where a body was not read or sent to its end."""
        if _is_unsent(self._connection):
            _close(self._connection)
        else:
            self._connection.release()

    def close(self) -> None:
        """Close the connection."""
        _close(self._connection)


class Exchanges:
    """Sends requests on the connections of a session, with its default headers.

    Raises what aiohttp does: `aiohttp.ClientError`, `aiohttp.http.HttpProcessingError` where what comes is
    not HTTP, OSError, and ValueError for headers that would break the request.
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
    ) -> Reply:
        """Send it, and return when the response's head is there. Cancelled, it closes the connection.

        What was sent is let go of before the response is waited for: thousands of prompts would be in memory.
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
        return Reply(message.code, message.headers, content, connection)

    def _target(self, method: str, url: str) -> aiohttp.ClientRequest:
        """What does not change from call to call: where to connect, and the default headers."""
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
    """Whether a part of the request still waits for its server to read."""
    return connection.transport is not None and connection.transport.get_write_buffer_size() > 0


def _close(connection: Connection) -> None:
    # A transport that is closed goes on sending what it was given, for as long as its server takes.
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
    # One with a line's end in it would begin a header, or a request, of its own. Nearly all are printable,
    # which is found out faster than that they hold nothing forbidden.
    if not "".join(lines).isprintable() and any(map(_CONTROLS.search, lines)):
        raise ValueError("a header holds control characters")
    return "\r\n".join((f"{target.method} {url.raw_path_qs} HTTP/1.1", *lines, "", "")).encode()
