"""An `httpx.AsyncClient`, the client that most people know, over a pool's connections.

This module is imported only when a client or a tool that asks for one is made: httpx takes 9 MB and 0.2 s.
Redirects are followed only if a request asks for it; each one is a request of its own here, checked like
the first. A response is capped after decompression, in case its server ignores `Accept-Encoding`.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import aiohttp
import httpx

from agents.http.certificates import name_authority
from agents.http.connector import RefusedAddressError

TOTAL_S = 300.0
"""Seconds for one request with its whole response, unless something cancels it sooner."""


class RefusedError(httpx.TransportError):
    """The address may not be called, or the response is too long. The same request will fail again."""


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends the requests of an httpx client on the session of a pool, which the pool closes."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession], max_response_bytes: int) -> None:
        self._session = session
        self._max_bytes = max_response_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, and return the response while its body still comes."""
        times = request.extensions.get("timeout", {})
        try:
            data: bytes | httpx.AsyncByteStream | httpx.SyncByteStream | None = request.content or None
        except httpx.RequestNotRead:
            data = request.stream
        headers = [
            (name, value) for name, value in request.headers.multi_items() if name != "transfer-encoding"
        ]
        with _translated():
            response = await self._session().request(
                request.method,
                str(request.url),
                headers=headers,
                data=data,
                allow_redirects=False,
                server_hostname=request.extensions.get("sni_hostname"),
                timeout=aiohttp.ClientTimeout(
                    total=TOTAL_S,
                    connect=times.get("pool"),
                    sock_connect=times.get("connect"),
                    sock_read=times.get("read"),
                ),
            )
        told = response.raw_headers
        if "Content-Encoding" in response.headers:
            told = tuple(
                pair for pair in told if pair[0].lower() not in {b"content-encoding", b"content-length"}
            )
        return httpx.Response(
            response.status,
            headers=list(told),
            stream=_Body(response, self._max_bytes),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (response.reason or "").encode()},
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        with _translated():
            while chunk := await self._response.content.readany():
                size += len(chunk)
                if size > self._max_bytes:
                    raise RefusedError(f"the response is longer than {self._max_bytes:,} bytes")
                yield chunk

    async def aclose(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def make_client(transport: PooledTransport) -> httpx.AsyncClient:
    """Return a client over a pool's connections. Closing it leaves the pool open."""
    return httpx.AsyncClient(
        transport=transport,
        # Decompression costs more than the bytes that it saves. Compressed responses are read all the same.
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
        follow_redirects=False,
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RefusedAddressError as error:
        raise RefusedError(str(error)) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout("the response did not come in time") from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx.UnsupportedProtocol("not an address that can be called") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise httpx.ConnectError(f"{error.host} {name_authority(error.certificate_error)}") from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(str(error)) from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, OSError) as error:
        raise httpx.ReadError(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx.RemoteProtocolError("not an HTTP response") from error
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from error
