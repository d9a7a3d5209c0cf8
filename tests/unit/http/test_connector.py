"""The connector's second fence: the socket itself."""

import aiohttp
import pytest

from agents.errors import DependencyError
from agents.http.connector import GuardedConnector
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from tests.support.forgery import run_canary


@pytest.fixture
def _unchecked_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aiohttp resolve names without our check, as a version would that calls another method for it."""
    monkeypatch.setattr(GuardedConnector, "_resolve_host", aiohttp.TCPConnector._resolve_host)


@pytest.mark.usefixtures("_unchecked_names")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
@pytest.mark.parametrize("client", ["pool", "httpx"])
async def test_no_socket_is_made_for_an_address_that_was_not_checked(host: str, client: str) -> None:
    async with run_canary() as canary:
        pool = HttpPool("tools/x")
        url = f"http://{host}:{canary.port}/"
        try:
            with pytest.raises(Exception, match="was not checked"):
                await (pool.arequest("GET", url) if client == "pool" else pool.client().get(url))
        finally:
            await pool.aclose()
        assert canary.heard == []


async def test_a_socket_is_made_for_an_address_of_an_allowed_name() -> None:
    async with run_canary() as canary:
        url = f"http://localhost:{canary.port}/"
        pool = HttpPool("tools/x", allowed={endpoint(url)})
        try:
            assert (await pool.arequest("GET", url)).status == 200
            with pytest.raises(DependencyError, match="may not be called"):
                await pool.arequest("GET", f"http://127.0.0.1:{canary.port}/")
        finally:
            await pool.aclose()
        assert len(canary.heard) == 1
