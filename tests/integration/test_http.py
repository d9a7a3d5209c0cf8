"""The pooled transport against a real server."""

import asyncio
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from agents.components import Call, DeltaSink, Grounding
from agents.errors import BadOutputError, PermanentError, ThrottledError, TransientError
from agents.http.client import RefusedError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool, HttpResponse
from agents.http.status import raise_for_status, retry_after_s
from agents.models.openai import OpenAIModel
from schemas.question import Question
from tests.support.authority import Authority
from tests.support.listening import Serve, listening
from tests.support.system import eventually

pytestmark = pytest.mark.tls

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def echo(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "method": request.method,
            "query": dict(request.query),
            "headers": {name.title(): value for name, value in request.headers.items()},
            "body": (await request.read()).decode(),
        }
    )


async def redirect(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/echo", "Set-Cookie": "a=b"})


async def large(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * 5000)


async def bomb(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"x" * 5000), headers={"Content-Encoding": "gzip"})


async def small(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"x" * 3000), headers={"Content-Encoding": "gzip"})


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 500)
        await asyncio.sleep(0)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application()
    for handler in (echo, redirect, large, bomb, small, endless):
        app.router.add_route("*", f"/{handler.__name__}", handler)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def pool(url: str) -> AsyncIterator[HttpPool]:
    allowed = {endpoint(url), ("127.0.0.1", 1)}
    made = HttpPool("tools/x", headers={"X-Own": "1"}, max_response_bytes=4000, allowed=allowed)
    yield made
    await made.aclose()


def content(response: HttpResponse) -> Any:
    import orjson

    return orjson.loads(response.body)


async def test_a_request_carries_its_headers_body_and_query(pool: HttpPool, url: str) -> None:
    response = await pool.arequest(
        "POST", f"{url}/echo", body=b"body", headers={"X-Request-Id": "a/b/1"}, params={"q": "水 &=/"}
    )
    seen = content(response)
    assert (response.status, seen["method"], seen["body"], seen["query"]) == (
        200,
        "POST",
        "body",
        {"q": "水 &=/"},
    )
    assert (seen["headers"]["X-Own"], seen["headers"]["X-Request-Id"]) == ("1", "a/b/1")
    assert response.headers["content-type"].startswith("application/json")


async def test_redirects_are_not_followed_and_cookies_not_kept(pool: HttpPool, url: str) -> None:
    response = await pool.arequest("GET", f"{url}/redirect")
    assert response.status == 302
    with pytest.raises(PermanentError):
        raise_for_status("tools/x", response)
    assert "Cookie" not in content(await pool.arequest("GET", f"{url}/echo"))["headers"]


async def test_no_proxy_is_taken_from_the_environment(
    pool: HttpPool, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await pool.arequest("GET", f"{url}/echo")).status == 200
    async with pool.client() as client:
        assert (await client.get(f"{url}/echo")).status_code == 200


@pytest.mark.parametrize("path", ["large", "bomb", "endless"])
async def test_a_body_that_is_too_long_is_refused(pool: HttpPool, url: str, path: str) -> None:
    with pytest.raises(PermanentError, match="4,000"):
        await pool.arequest("GET", f"{url}/{path}")
    async with pool.stream("GET", f"{url}/{path}") as stream:
        with pytest.raises(PermanentError, match="4,000"):
            assert [chunk async for chunk in stream.chunks]
    async with pool.client() as client:
        with pytest.raises(RefusedError, match="4,000"):
            await client.get(f"{url}/{path}")


async def test_a_compressed_body_reaches_the_client_as_it_was(pool: HttpPool, url: str) -> None:
    async with pool.client() as client:
        response = await client.get(f"{url}/small")
    assert (response.text, response.headers.get("Content-Encoding")) == ("x" * 3000, None)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("http://127.0.0.1:1/", TransientError),
        ("http://no-such-host.invalid/", TransientError),
        ("nonsense", PermanentError),
        ("ftp://127.0.0.1/", PermanentError),
    ],
)
async def test_transport_failures_become_dependency_errors(
    pool: HttpPool, target: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await pool.arequest("GET", target)
    with pytest.raises(kind):
        async with pool.stream("GET", target):
            pass


async def test_a_header_that_would_split_the_request_is_refused(pool: HttpPool, url: str) -> None:
    with pytest.raises(PermanentError):
        await pool.arequest("GET", f"{url}/echo", headers={"traceparent": "a\r\nX-Evil: 1"})


async def test_a_response_that_is_not_http_is_bad_output() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        where = server.sockets[0].getsockname()
        pool = HttpPool("tools/x", allowed={where})
        with pytest.raises(BadOutputError):
            await pool.arequest("GET", f"http://127.0.0.1:{where[1]}/")
        async with pool.client() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{where[1]}/")
        await pool.aclose()


async def test_more_than_a_hundred_requests_run_at_once() -> None:
    arrived = 0
    released = asyncio.Event()

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 150:
            released.set()
        await released.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0, backlog=200) as server, asyncio.timeout(10):
        where = server.sockets[0].getsockname()
        target = f"http://127.0.0.1:{where[1]}/"
        pool = HttpPool("tools/x", allowed={where})
        async with pool.client() as client:
            half = asyncio.gather(*(client.get(target) for _ in range(75)))
            await asyncio.gather(*(pool.arequest("GET", target) for _ in range(75)))
            await half
        await pool.aclose()


class Scripted:
    """A server that answers each request with the next of the given texts, and counts connections."""

    def __init__(self, *responses: bytes) -> None:
        self.connections = self.ended = 0
        self._responses = list(responses)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(self._responses.pop(0))
        self.ended += 1
        writer.close()


@asynccontextmanager
async def scripted(*responses: bytes) -> AsyncIterator[tuple[Scripted, HttpPool, str]]:
    script = Scripted(*responses)
    async with await asyncio.start_server(script.answer, "127.0.0.1", 0) as server, asyncio.timeout(10):
        where = server.sockets[0].getsockname()
        pool = HttpPool("tools/x", allowed={where})
        yield script, pool, f"http://127.0.0.1:{where[1]}/"
        await pool.aclose()


async def test_a_connection_is_reused_unless_its_body_was_left_or_its_server_closes_it() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    last = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"
    async with scripted(whole, whole, last, whole, begun, whole) as (script, pool, target):
        for connections in (1, 1, 1, 2):
            assert (await pool.arequest("GET", target)).body == b"ok"
            assert script.connections == connections
        async with pool.stream("GET", target) as stream:
            assert await anext(stream.chunks) == b"ok"
        assert (await pool.arequest("GET", target)).body == b"ok"
        assert script.connections == 3


async def test_informational_responses_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with scripted(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as (_, pool, target):
        response = await pool.arequest("GET", target)
    assert (response.status, response.body) == (200, b"ok")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"])
async def test_a_cancelled_request_closes_its_connection(sent: bytes) -> None:
    async with scripted(sent) as (script, pool, target):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pool.arequest("GET", target)
        await eventually(lambda: script.ended == 1, 5, "its end")


@asynccontextmanager
async def served(
    answer: Serve,
    authority: Authority | None = None,
) -> AsyncIterator[tuple[HttpPool, str]]:
    own = trust = None
    if authority is not None:
        certificate = authority.sign("server")
        own, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own.load_cert_chain(certificate.path, certificate.key)
        trust.load_verify_locations(authority.path)
    async with listening(answer, own) as where, asyncio.timeout(10):
        pool = HttpPool("tools/x", allowed={where}, tls=trust)
        try:
            yield pool, f"{'https' if own else 'http'}://127.0.0.1:{where[1]}/"
        finally:
            await pool.aclose()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_closing_the_pool_ends_reads_of_bodies(tls: bool, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await reader.read()

    async with served(answer, Authority(tmp_path) if tls else None) as (pool, target):

        async def read() -> None:
            async with pool.stream("GET", target) as reply:
                async for _ in reply.chunks:
                    begun.set()

        reading = asyncio.create_task(read())
        await begun.wait()
        await pool.aclose()
        with pytest.raises(TransientError):
            await asyncio.wait_for(reading, 5)


async def test_a_response_that_nobody_asked_for_is_no_answer_to_the_next_request() -> None:
    closed = asyncio.Event()
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await late.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        await reader.read()
        closed.set()

    for ask in ("pool", "client"):
        late, closed = asyncio.Event(), asyncio.Event()
        async with served(answer) as (pool, url), pool.client() as client:
            assert (await pool.arequest("GET", url)).body == b"ok"
            late.set()
            (idle,) = [one for ones in _connector(pool)._conns.values() for one, _ in ones]
            await eventually(lambda one=idle: len(one) == 1, 5, "the late response")
            late.clear()
            got = (await pool.arequest("GET", url)).body if ask == "pool" else (await client.get(url)).content
            assert got == b"ok"
            await closed.wait()
    assert connections == 4


def _connector(pool: HttpPool) -> Any:
    return pool._opened().connector


async def test_a_connection_whose_server_answers_before_it_has_read_all_is_not_used_again() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await over.wait()

    over = asyncio.Event()
    async with served(answer) as (pool, url):
        assert (await pool.arequest("POST", url, body=bytes(20_000_000))).status == 413
        assert (await pool.arequest("GET", url)).status == 413
        over.set()


@pytest.mark.parametrize("on_delta", [None, lambda text: None], ids=["whole", "streamed"])
async def test_a_request_body_is_freed_when_it_has_been_sent(on_delta: DeltaSink | None) -> None:
    size = 4_000_000
    arrived = asyncio.Event()

    async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        left = size
        while left > 0:
            left -= len(await reader.read(65_536))
        arrived.set()
        await reader.read()

    question = Question(id="q", text="x" * size)
    async with served(read) as (pool, url):
        model = OpenAIModel(pool, url, "m")
        call = Call("q", "generate", deadline=asyncio.get_running_loop().time() + 10)
        tracemalloc.start()
        try:
            asking = asyncio.create_task(model.agenerate(Grounding(question), call, on_delta))
            await arrived.wait()
            await eventually(lambda: tracemalloc.get_traced_memory()[0] < size / 4, 5, "less memory")
        finally:
            tracemalloc.stop()
        asking.cancel()
        await asyncio.wait([asking])


async def test_a_cancelled_request_stops_sending_its_body() -> None:
    taken = 0
    given_up, over = asyncio.Event(), asyncio.Event()

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal taken
        await given_up.wait()
        try:
            while piece := await reader.read(1_000_000):
                taken += len(piece)
        finally:
            over.set()

    async with served(take) as (pool, url):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pool.arequest("POST", url, body=bytes(20_000_000))
        given_up.set()
        await over.wait()
    assert taken < 20_000_000


async def test_a_body_that_breaks_off_is_a_connection_error() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, asyncio.timeout(10):
        where = server.sockets[0].getsockname()
        pool = HttpPool("tools/x", allowed={where})
        with pytest.raises(TransientError):
            await pool.arequest("GET", f"http://127.0.0.1:{where[1]}/")
        await pool.aclose()


async def test_closing_the_client_leaves_the_pool_open(pool: HttpPool, url: str) -> None:
    async with pool.client() as client:
        assert (await client.get(f"{url}/redirect")).status_code == 302
    assert (await pool.arequest("GET", f"{url}/echo")).status == 200


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, ThrottledError), (503, ThrottledError), (500, TransientError), (408, TransientError)]
    + [(status, PermanentError) for status in (301, 400, 401, 403, 404, 422)],
)
def test_each_status_becomes_its_kind_of_error(status: int, kind: type[Exception]) -> None:
    body = b'{"error": {"message": "told"}, "detail": "the whole request"}'
    with pytest.raises(kind, match="told") as failure:
        raise_for_status("model", HttpResponse(status, {}, body))
    assert "whole request" not in str(failure.value)


def test_a_successful_status_raises_no_error() -> None:
    raise_for_status("model", HttpResponse(204, {}, b""))
