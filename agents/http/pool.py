"""The pooled HTTP transport: one pool a dependency, on aiohttp's connections (`agents.http.exchange`).

The hot path avoids httpx, because a call through `httpx.AsyncClient` costs several times the CPU. The pool
follows no redirect, keeps no cookie and reads no proxy from the environment: a request goes to its address
or fails, and only addresses that may be called are allowed (`agents.http.egress`). The pool has no
time-outs: stages cancel, and a cancelled request closes its connection.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from aiohttp.http import HttpProcessingError
from msgspec import Struct

from agents.errors import (
    BadOutputError,
    DependencyError,
    PermanentError,
    TransientError,
    UnusableServerError,
)
from agents.http.certificates import name_authority
from agents.http.connector import GuardedConnector, RefusedAddressError
from agents.http.egress import Endpoint
from agents.http.exchange import NO_TIMEOUT, Exchanges, RawReply

if TYPE_CHECKING:
    import httpx

    from agents.http.client import PooledTransport

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
DRAIN_S = 0.1
"""Seconds to wait for a stream's end after its reader has left, so that the connection can be kept."""


class HttpResponse(Struct, frozen=True):
    """A whole response. Header names are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpStream:
    """A response whose body is still coming. `chunks` can be read once, in pieces as they arrive."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class HttpPool:
    """Connections to one dependency, kept alive between calls. Guards bound their number, not the pool.

    Args:
        dependency: its name in errors, for instance `model` or `tools/weather`.
        headers: sent with every request, unless the request has its own of the same name.
        max_response_bytes: a longer body (after decompression) is refused.
        allowed: endpoints that the operator configured. They may be anywhere; all others must be public.
        tls: holds the authorities to trust; None: the system's.

    Besides `asyncio.CancelledError`, every method raises only `TransientError` for connection trouble,
    `BadOutputError` for a response that is not HTTP, `UnusableServerError` for a certificate that is not
    trusted and an address that may not or cannot be called, and `PermanentError` for a header that cannot be
    sent and a body that is too long.
    """

    def __init__(
        self,
        dependency: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        allowed: Collection[Endpoint] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.dependency = dependency
        self._headers = dict(headers)
        self._max_bytes = max_response_bytes
        self._allowed = allowed
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._exchanging: Exchanges | None = None

    def __repr__(self) -> str:
        return f"<HttpPool {self.dependency} {'open' if self._session else 'idle'}>"

    def _opened(self) -> aiohttp.ClientSession:
        # Made for the first request, because a session belongs to the loop that runs then.
        if self._session is None:
            session = aiohttp.ClientSession(
                connector=GuardedConnector(self._allowed, self._tls),
                # Decompression costs more than the bytes that it saves. Compressed responses are read too.
                headers={"Accept-Encoding": "identity", **self._headers},
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=NO_TIMEOUT,
                trust_env=False,
            )
            # aiohttp would repeat a GET by itself when the server closes a reused connection, but only the
            # guard may repeat a call.
            session._retry_connection = False
            self._session = session
        return self._session

    @property
    def _exchanges(self) -> Exchanges:
        if self._exchanging is None:
            self._exchanging = Exchanges(self._opened())
        return self._exchanging

    async def arequest(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """Send one request and return the whole response, of any status."""
        try:
            sending = self._exchanges.asend(method, url, body, headers, params)
            del body, headers, params
            reply = await sending
            try:
                if _is_small(reply, self._max_bytes):
                    content = await reply.content.read()
                else:
                    content = b"".join([chunk async for chunk in self._chunks(reply)])
            finally:
                reply.release()
        except _FAILURES as error:
            raise _translated(self.dependency, error) from error
        return HttpResponse(reply.status, reply.headers, content)

    async def aconnect(self, url: str) -> None:
        """Connect to the address, with TLS if it says so, and send nothing."""
        try:
            await self._exchanges.aconnect(url)
        except _FAILURES as error:
            raise _translated(self.dependency, error) from error

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[HttpStream]:
        """Send one request and read its response as it comes.

        The connection is closed if the block is left early, by an exception or by cancellation.
        """
        try:
            sending = self._exchanges.asend(method, url, body, headers)
            del body, headers
            reply = await sending
        except _FAILURES as error:
            raise _translated(self.dependency, error) from error
        try:
            yield HttpStream(reply.status, reply.headers, self._chunks(reply))
            await _drain(reply)
        finally:
            reply.release()

    def _chunks(self, reply: RawReply) -> "_Chunks":
        return _Chunks(self.dependency, reply, self._max_bytes)

    def client(self) -> "httpx.AsyncClient":
        """Return an httpx client over this pool's connections. Closing it leaves the pool open.

        It has httpx's own time-outs and errors. See `agents.http.client`.
        """
        from agents.http.client import make_client  # noqa: PLC0415 - 9 MB and 0.2 s that only its users pay

        return make_client(self.transport())

    def transport(self) -> "PooledTransport":
        """Return a transport for an httpx client, over this pool's connections."""
        from agents.http.client import PooledTransport  # noqa: PLC0415 - likewise

        return PooledTransport(self._opened, self._max_bytes)

    async def aclose(self) -> None:
        """Close every connection. Open requests fail; later ones open new connections."""
        session, self._session, self._exchanging = self._session, None, None
        if session is not None:
            await session.close()


class _Chunks:
    """A body in pieces as they arrive.

    It is no async generator: the garbage collector would close an unfinished one later, and with it the
    connection.
    """

    def __init__(self, dependency: str, reply: RawReply, max_bytes: int) -> None:
        self._dependency = dependency
        self._reply = reply
        self._max_bytes = max_bytes
        self._size = 0

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._reply.content.readany()
        except BaseException as error:
            self._reply.close()
            if isinstance(error, _FAILURES):
                raise _translated(self._dependency, error) from error
            raise
        if not chunk:
            raise StopAsyncIteration
        self._size += len(chunk)
        if self._size > self._max_bytes:
            self._reply.close()
            raise PermanentError(self._dependency, f"the response is longer than {self._max_bytes:,} bytes")
        return chunk


def json_body(value: Any) -> bytes:
    """Return the value as JSON, in no more memory than it has bytes.

    orjson returns its whole buffer, up to eight times as long, and a body lives as long as its request.

    Raises:
        TypeError: the value holds something that JSON cannot express.
    """
    return memoryview(orjson.dumps(value)).tobytes()


_FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)


def _translated(dependency: str, error: Exception) -> DependencyError:
    told = f"{type(error).__name__}: {error}"
    match error:
        case HttpProcessingError():
            return BadOutputError(dependency, f"not an HTTP response: {error.message}")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            # Without the URL, which may hold a key.
            return UnusableServerError(dependency, "not an address that can be called")
        case RefusedAddressError():
            return UnusableServerError(dependency, str(error))
        case aiohttp.ClientConnectorCertificateError():
            return UnusableServerError(dependency, f"{error.host} {name_authority(error.certificate_error)}")
        case aiohttp.ClientError() | OSError():
            return TransientError(dependency, told)
        case _:
            return PermanentError(dependency, f"cannot be sent: {error}")


def _is_small(reply: RawReply, max_bytes: int) -> bool:
    """Whether the head declares a body that is short enough to be read at once."""
    declared = reply.headers.get("Content-Length", "")
    return declared.isdecimal() and int(declared) <= max_bytes and "Content-Encoding" not in reply.headers


async def _drain(reply: RawReply) -> None:
    """Read a stream to its end for at most `DRAIN_S`, so that its connection can be used again."""
    if reply.closed or reply.content.at_eof():
        return
    try:
        async with asyncio.timeout(DRAIN_S):
            await reply.content.readany()
    except (TimeoutError, aiohttp.ClientError, OSError):
        return
