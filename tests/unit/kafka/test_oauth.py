"""Tokens are fetched, kept and renewed, and a missing one is reported; over real HTTP."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from streams.kafka.oauth import ClientCredentials, TokenError, TokenFile

SECRET = "client-secret-77"


class Provider:
    """Grants `t1`, `t2`, … or answers as told."""

    def __init__(self) -> None:
        self.granted = 0
        self.seen: list[tuple[str | None, dict[str, str]]] = []
        self.answer: Any = None
        self.status = 200
        self.url = ""
        self.now = 1000.0

    async def serve(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.seen.append((request.headers.get("Authorization"), form))
        if self.answer is not None or self.status != 200:
            return web.json_response(self.answer, status=self.status)
        self.granted += 1
        return web.json_response({"access_token": f"t{self.granted}", "expires_in": 100})

    def client(self, **more: Any) -> ClientCredentials:
        return ClientCredentials(self.url, "me", SECRET, clock=lambda: self.now, **more)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    application = web.Application()
    application.router.add_post("/token", provider.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    yield provider
    await runner.cleanup()


async def test_a_token_is_requested_with_the_client_and_its_secret(provider: Provider) -> None:
    assert await provider.client(scope="kafka").token() == "t1"
    login = f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}"
    assert provider.seen == [(login, {"grant_type": "client_credentials", "scope": "kafka"})]


async def test_a_token_is_kept_until_shortly_before_it_expires(provider: Provider) -> None:
    client = provider.client()
    assert await asyncio.gather(*[client.token() for _ in range(5)]) == ["t1"] * 5
    provider.now += 79
    assert await client.token() == "t1"
    provider.now += 2
    assert await client.token() == "t2"
    assert provider.granted == 2


async def test_a_provider_may_be_away_until_the_token_has_expired(provider: Provider) -> None:
    client = provider.client()
    await client.token()
    provider.status = 503
    provider.now += 90
    assert await client.token() == "t1"
    provider.now += 20
    with pytest.raises(TokenError, match=r"127\.0\.0\.1 refuses \(503\)"):
        await client.token()
    provider.status = 200
    assert await client.token() == "t2"


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (401, {"error": "invalid_client", "error_description": SECRET}, r"refuses \(401 invalid_client\)"),
        (400, {"error": SECRET}, r"refuses \(400\)"),
        (302, {}, r"refuses \(302\)"),
        (200, {"token": SECRET}, "did not answer with a token"),
        (200, [SECRET], "did not answer with a token"),
    ],
)
async def test_an_error_repeats_no_text_of_the_provider(
    provider: Provider, status: int, answer: Any, says: str
) -> None:
    provider.status, provider.answer = status, answer
    with pytest.raises(TokenError, match=says) as caught:
        await provider.client().token()
    assert SECRET not in str(caught.value)


async def test_extensions_are_kept_for_the_broker(provider: Provider) -> None:
    assert provider.client(extensions={"logicalCluster": "lkc-1"}).extensions() == {"logicalCluster": "lkc-1"}


async def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    tokens = TokenFile(str(path))
    with pytest.raises(TokenError, match="cannot be read"):
        await tokens.token()
    path.write_text(" \n")
    with pytest.raises(TokenError, match="is empty"):
        await tokens.token()
    for text in ("one", "two"):
        path.write_text(f"{text}\n")
        assert await tokens.token() == text
