"""Server-side request forgery: no URL, redirect or changing name makes a request reach the canary."""

import asyncio
import functools
import itertools
import socket
import ssl
import subprocess
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web

from agents.errors import DependencyError, PermanentError, TransientError
from agents.http.client import RefusedError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.tools.python_tool import PythonTool
from tests.support.forgery import HOSTS, PUBLIC, PUBLIC_TOO, Canary, Network, run_canary

pytestmark = pytest.mark.tls


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    watched = Network()
    monkeypatch.setattr(socket, "getaddrinfo", watched.resolve)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, BaseSelectorEventLoop)
    monkeypatch.setattr(loop, "sock_connect", functools.partial(watched.connect, loop))
    return watched


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async with run_canary() as bird:
        yield bird


@dataclass
class Redirector:
    """An allowed server that redirects to forbidden addresses."""

    url: str = ""
    location: str = ""

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": self.location})


@pytest.fixture
async def redirector() -> AsyncIterator[Redirector]:
    made = Redirector()
    app = web.Application()
    app.router.add_route("*", "/", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()


Pools = Callable[..., HttpPool]


@pytest.fixture
async def pool_for(redirector: Redirector) -> AsyncIterator[Pools]:
    made: list[HttpPool] = []

    def make(*urls: str) -> HttpPool:
        made.append(HttpPool("tools/x", allowed={endpoint(url) for url in (redirector.url, *urls)}))
        return made[-1]

    yield make
    for pool in made:
        await pool.aclose()


async def failure(sending: Awaitable[Any]) -> BaseException:
    with pytest.raises((DependencyError, httpx.HTTPError, httpx.InvalidURL)) as raised:
        await sending
    return raised.value


async def test_an_unguarded_client_reaches_the_canary(network: Network, canary: Canary) -> None:
    async with aiohttp.ClientSession() as session:
        for host in ("loopback.example", "mapped.example", "[::ffff:127.0.0.1]", "0x7f000001"):
            async with session.get(f"http://{host}:{canary.port}/") as response:
                assert await response.text() == "secret"
    assert len(canary.heard) == 4


@pytest.mark.parametrize("host", HOSTS)
async def test_no_url_reaches_the_canary(
    network: Network, canary: Canary, pool_for: Pools, host: str
) -> None:
    url = f"http://{host}:{canary.port}/"
    pool = pool_for()
    told = await failure(pool.arequest("GET", url))
    assert isinstance(told, PermanentError), repr(told)
    async with pool.client() as client:
        await failure(client.get(url))
        await failure(client.get(url, follow_redirects=True))
    with pytest.raises(PermanentError):
        async with pool.stream("POST", url, body=b"{}"):
            pass
    assert (network.connected, canary.heard) == ([], [])


@pytest.mark.parametrize("host", HOSTS)
async def test_no_redirect_reaches_the_canary(
    network: Network, canary: Canary, redirector: Redirector, pool_for: Pools, host: str
) -> None:
    redirector.location = f"http://{host}:{canary.port}/"
    pool = pool_for()
    assert (await pool.arequest("GET", redirector.url)).status == 307
    async with pool.client() as client:
        told = await failure(client.get(redirector.url, follow_redirects=True))
    kinds = RefusedError | httpx.UnsupportedProtocol | httpx.RemoteProtocolError | httpx.InvalidURL
    assert isinstance(told, kinds), repr(told)
    assert canary.heard == []
    assert set(network.connected) == {endpoint(redirector.url)}


async def test_a_redirect_to_the_allowed_host_on_another_port_is_refused(
    network: Network, canary: Canary, redirector: Redirector, pool_for: Pools
) -> None:
    redirector.location = f"//127.0.0.1:{canary.port}/"
    async with pool_for().client() as client:
        assert isinstance(await failure(client.get(redirector.url, follow_redirects=True)), RefusedError)
    assert canary.heard == []


async def test_a_name_that_changes_is_connected_to_at_the_checked_address(
    network: Network, canary: Canary, pool_for: Pools
) -> None:
    network.answers["rebinding.example"] = itertools.chain([[PUBLIC]], itertools.repeat(["127.0.0.1"]))
    url = f"http://rebinding.example:{canary.port}/"
    pool = pool_for()
    assert isinstance(await failure(pool.arequest("GET", url)), TransientError)
    assert network.connected == [(PUBLIC, canary.port)]
    assert network.asked == ["rebinding.example"]
    await pool.aclose()  # and with it the names that it has resolved
    assert isinstance(await failure(pool.arequest("GET", url)), PermanentError)
    assert len(network.asked) == 2
    assert network.connected == [(PUBLIC, canary.port)]
    assert canary.heard == []


async def test_many_requests_at_once_to_a_flipping_name_never_reach_the_canary(
    network: Network, canary: Canary, pool_for: Pools
) -> None:
    network.answers["flipping.example"] = itertools.cycle([[PUBLIC], ["127.0.0.1"], [PUBLIC_TOO, "::1"]])
    url = f"http://flipping.example:{canary.port}/"
    for _ in range(6):
        pool = pool_for()
        async with pool.client() as client:
            await asyncio.gather(*(failure(client.get(url)) for _ in range(5)))
    assert set(network.connected) <= {(PUBLIC, canary.port), (PUBLIC_TOO, canary.port)}
    assert canary.heard == []


@pytest.mark.parametrize(
    "variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
)
async def test_a_proxy_in_the_environment_is_not_used(
    network: Network, canary: Canary, pool_for: Pools, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("NETRC", "/dev/null")
    pool = pool_for()
    async with pool.client() as client:
        for url in ("http://public.example/", "https://public.example/"):
            assert isinstance(await failure(pool.arequest("GET", url)), TransientError)
            assert isinstance(await failure(client.get(url)), httpx.ConnectError)
    assert {address for address, _ in network.connected} == {PUBLIC, PUBLIC_TOO}
    assert canary.heard == []


async def test_an_allowed_host_is_reached_though_it_is_internal(
    network: Network, canary: Canary, pool_for: Pools
) -> None:
    for host in ("127.0.0.1", "[::1]", "loopback.example", "LOOPBACK.example."):
        url = f"http://{host}:{canary.port}/"
        pool = pool_for(url)
        assert (await pool.arequest("GET", url)).body == b"secret"
        async with pool.client() as client:
            assert (await client.get(url)).text == "secret"
            others = {"127.0.0.1", "[::1]", "six.example"} - {host}
            for other in others:
                assert isinstance(await failure(client.get(f"http://{other}:{canary.port}/")), RefusedError)


async def test_a_tools_error_says_that_an_address_is_refused_without_naming_it(
    network: Network, canary: Canary, pool_for: Pools
) -> None:
    async def fetch(url: str, http: httpx.AsyncClient) -> str:
        """Fetches a page."""
        return (await http.get(url, follow_redirects=True)).text

    tool = PythonTool(fetch, http=pool_for().client)
    url = f"http://metadata.example:{canary.port}/latest?key=hidden"
    with pytest.raises(PermanentError, match=r"metadata\.example:\d+ may not be called") as told:
        await tool.arun({"url": url}, {})
    assert "169.254" not in str(told.value)
    assert "hidden" not in str(told.value)


async def test_tls_checks_the_name_of_a_pinned_address(
    network: Network, pool_for: Pools, tmp_path: Path
) -> None:
    request = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=loopback.example"
    )
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    await asyncio.to_thread(
        subprocess.run, ["openssl", *request.split(), *files], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, tmp_path / "certificate", tmp_path / "key")
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)

    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("no request may come")

    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://loopback.example:{server.sockets[0].getsockname()[1]}/"
        assert "certificate" in str(await failure(pool_for(url).arequest("GET", url))).lower()
    assert names == ["loopback.example"]
