"""The pooled HTTP transport: one pool a dependency, on aiohttp's connections (`agents.http.exchange`).

Not httpx on the hot path, because a call through `httpx.AsyncClient` costs several times the CPU. No
redirect is followed, no cookie kept, no proxy read from the environment: a request goes where it was
sent or nowhere, and only to addresses that may be called (`agents.http.egress`). There are no time-outs of
its own: stages cancel, and a cancelled request closes its connection.
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

from agents.errors import BadOutputError, DependencyError, PermanentError, TransientError
from agents.http.connector import GuardedConnector, RefusedAddressError
from agents.http.egress import Endpoint
from agents.http.exchange import NO_TIMEOUT, Exchanges, Reply

if TYPE_CHECKING:
    import httpx

    from agents.http.client import PooledTransport

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
DRAIN_S = 0.1
"""How long the end of a stream is waited for after its reader was content, to keep the connection."""


class HttpResponse(Struct, frozen=True):
    """A whole response; header names are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpStream:
    """A response whose body is still coming; `chunks` can be read once, in pieces as they arrive."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class HttpPool:
    """Connections to one dependency, kept alive between calls. Any number at once: guards limit.

    Args:
        dependency: its name in errors, for instance `model` or `tools/weather`.
        headers: sent with every request, unless the request names its own.
        max_response_bytes: a longer body (after decompression) is refused.
        allowed: endpoints that the operator configured; they may be anywhere, all others are public.
        tls: whose certificates are trusted; None: those that the system's authorities signed.

    Every method raises, besides `asyncio.CancelledError`, only: `TransientError` for connection
    trouble; `BadOutputError` for what is not HTTP; `PermanentError` for a URL, header or certificate
    that cannot work, for an address that may not be called, and for a body that is too long.
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
        # Made with the first request, because a session belongs to the loop that is running then.
        if self._session is None:
            session = aiohttp.ClientSession(
                connector=GuardedConnector(self._allowed, self._tls),
                # Decompression costs more than a local network; who compresses all the same is read.
                headers={"Accept-Encoding": "identity", **self._headers},
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=NO_TIMEOUT,
                trust_env=False,
            )
            # It would send a GET again by itself when the server closes the connection that it reused;
            # whether a call may be repeated is for its guard to say.
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
        """Send one request and read the whole answer, whatever its status."""
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

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[HttpStream]:
        """Send one request and read its answer as it comes.

        Leaving the block early, by an exception or by cancellation closes the connection.
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

    def _chunks(self, reply: Reply) -> "_Chunks":
        return _Chunks(self.dependency, reply, self._max_bytes)

    def client(self) -> "httpx.AsyncClient":
        """The client that people know, over this pool's connections; closing it leaves the pool open.

        It has httpx's own time-outs and errors. See `agents.http.client`.
        """
        from agents.http.client import make_client  # noqa: PLC0415 - 9 MB and 0.2 s that only its users pay

        return make_client(self.transport())

    def transport(self) -> "PooledTransport":
        """What a client of httpx's kind sends its requests with, to share the pool's connections."""
        from agents.http.client import PooledTransport  # noqa: PLC0415 - likewise

        return PooledTransport(self._opened, self._max_bytes)

    async def aclose(self) -> None:
        """Close every connection; what is under way fails. A request made later opens new ones."""
        session, self._session, self._exchanging = self._session, None, None
        if session is not None:
            await session.close()


class _Chunks:
    """A body in pieces as they arrive.

    Not an async generator: one that is left before its end is closed later, by the garbage collector,
    and would take the connection with it.
    """

    def __init__(self, dependency: str, reply: Reply, max_bytes: int) -> None:
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
    """A body to send, which holds no more memory than it has bytes.

    orjson returns its whole buffer, up to eight times as long, and a body lives as long as its request.

    Raises:
        TypeError: JSON has no such value.
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
            return PermanentError(dependency, "not an address that can be called")
        case RefusedAddressError():
            return PermanentError(dependency, str(error))
        case aiohttp.ClientConnectorCertificateError():
            return PermanentError(dependency, told)
        case aiohttp.ClientError() | OSError():
            return TransientError(dependency, told)
        case _:
            return PermanentError(dependency, f"cannot be sent: {error}")


def _is_small(reply: Reply, max_bytes: int) -> bool:
    """Whether its head says that the whole body may be read at once."""
    declared = reply.headers.get("Content-Length", "")
    return declared.isdecimal() and int(declared) <= max_bytes and "Content-Encoding" not in reply.headers


async def _drain(reply: Reply) -> None:
    """Read what is left of a stream, so that its connection can be used again, but not for long."""
    if reply.closed or reply.content.at_eof():
        return
    try:
        async with asyncio.timeout(DRAIN_S):
            await reply.content.readany()
    except (TimeoutError, aiohttp.ClientError, OSError):
        return
