"""Servers with certificates of a private authority are trusted if `EGRESS.CA_FILE` names it."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from agents.cache.redis import RedisStore
from agents.errors import PermanentError
from agents.http.pool import HttpPool
from agents.pipeline import Asked
from agents.run import Observer
from schemas.document import Document
from schemas.question import Question
from streams.assembly.answerer import Answerer, build_answerer
from streams.assembly.remedies import remedy_for
from streams.assembly.trust import build_trust
from streams.settings.errors import SettingsError
from streams.settings.model import Egress, Embeddings, Knowledge, Model, Settings
from streams.telemetry.hook import Hooks
from streams.telemetry.troubles import Troubles
from tests.support.authority import Authority
from tests.support.components import SOURCE, RecordingObserver
from tests.support.model_server import calls, text
from tests.support.qdrant_shim import QdrantShim

pytestmark = pytest.mark.tls

ANSWER = "The warranty lasts three years [1]."


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.sign("server")
    context.load_cert_chain(certificate.path, certificate.key)
    return context


@asynccontextmanager
async def everything(tls: ssl.SSLContext) -> AsyncIterator[tuple[str, list[str]]]:
    """A model, embeddings, Qdrant and a tool at one address; yields the address and the requested paths."""
    asked: list[str] = []

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        asked.append(request.path)
        return await handler(request)

    async def complete(request: web.Request) -> web.Response:
        plans = "tools" in await request.json()
        reply = calls(("weather", "{}")) if plans else text(ANSWER)
        return web.Response(body=b"".join(reply.pieces), content_type="application/json")

    async def embed(request: web.Request) -> web.Response:
        texts = (await request.json())["input"]
        return web.json_response({"data": [{"index": n, "embedding": [0.6, 0.8]} for n in range(len(texts))]})

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="sunny")

    shim = QdrantShim()
    application = shim.application()
    application.middlewares.append(note)
    application.add_routes(
        [
            web.post("/v1/chat/completions", complete),
            web.post("/v1/embeddings", embed),
            web.get("/weather", answer),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()
        shim.engine.close()


@asynccontextmanager
async def built(url: str, ca_file: str, observer: Observer | None = None) -> AsyncIterator[Answerer]:
    settings = Settings(
        model=Model(base_url=f"{url}/v1"),
        embeddings=Embeddings(base_url=f"{url}/v1"),
        knowledge=Knowledge(qdrant_url=url),
        egress=Egress(ca_file=ca_file, allow=(url.removeprefix("https://"),)),
        tools={"weather": {"description": "The weather.", "url": f"{url}/weather", "method": "GET"}},
    )
    answerer = await asyncio.to_thread(build_answerer, settings, {}, observer or RecordingObserver())
    try:
        yield answerer
    finally:
        await answerer.aclose()


async def test_every_dependency_is_reached_over_https_with_the_configured_authority(
    authority: Authority, tls: ssl.SSLContext
) -> None:
    async with everything(tls) as (url, asked), built(url, str(authority.path)) as answerer:
        await answerer.index.aupsert([Document(id="d", text="The warranty lasts three years.")])
        question = Question(id="q", text="How long is the warranty?")
        deadline = asyncio.get_running_loop().time() + 30
        answer = (await answerer.pipeline.aanswer(Asked(question, SOURCE, deadline))).answer
    assert (answer.status, answer.degraded) == ("answered", ())
    assert [one.document_id for one in answer.citations] == ["d"]
    assert [(one.status, one.result) for one in answer.tool_calls] == [("ok", "sunny")]
    assert {"/v1/chat/completions", "/v1/embeddings", "/weather"} < set(asked)


async def test_without_the_configured_authority_no_dependency_is_reached(tls: ssl.SSLContext) -> None:
    troubles = Troubles(remedy_for)
    async with everything(tls) as (url, asked), built(url, "", Hooks([troubles])) as answerer:
        question = Question(id="q", text="How long is the warranty?")
        deadline = asyncio.get_running_loop().time() + 30
        answer = (await answerer.pipeline.aanswer(Asked(question, SOURCE, deadline))).answer
    assert answer.status == "failed"
    assert {"retrieval_unavailable", "plan_unavailable"} <= set(answer.degraded)
    assert asked == []
    # No server has rejected the model's request: it never got there.
    assert answer.error is not None
    assert answer.error.code == "model_unavailable"
    assert "not trusted" in answer.error.message
    assert "KOTAE_EGRESS__CA_FILE" in answer.error.message
    for dependency, setting in {
        "model": "MODEL__BASE",
        "embeddings": "EMBEDDINGS__BASE",
        "knowledge": "QDRANT",
    }.items():
        last = troubles.last_error(dependency)
        assert last is not None, dependency
        assert "certificate" in last["message"], dependency
        assert setting in last["remedy"]
        assert "KOTAE_EGRESS__CA_FILE" in last["remedy"]


async def test_redis_is_reached_over_tls_with_the_configured_authority(
    authority: Authority, tls: ssl.SSLContext
) -> None:
    heard = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        while await reader.read(4096):
            writer.write(b"$5\r\nvalue\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        url = f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        distrusting = RedisStore(url, read_s=10.0, background_s=10.0)
        assert await distrusting.aget(b"key") is None
        await distrusting.aclose()
        assert not heard.is_set()
        store = RedisStore(url, ca_file=str(authority.path), read_s=10.0, background_s=10.0)
        await store.aget(b"key")
        await store.aclose()
        assert heard.is_set()


@pytest.fixture
async def incomplete(tmp_path: Path) -> AsyncIterator[tuple[HttpPool, str]]:
    """A pool and a server whose authority Python 3.13 finds incomplete."""
    authority = await asyncio.to_thread(Authority, tmp_path, bare=True)
    certificate = await asyncio.to_thread(authority.sign, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    trust = build_trust(str(authority.path))
    assert trust is not None
    if sys.version_info < (3, 13):
        trust.verify_flags |= ssl.VERIFY_X509_STRICT

    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("no request may come")

    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context) as server:
        where = server.sockets[0].getsockname()
        pool = HttpPool("model", allowed={where}, tls=trust)
        yield pool, f"https://127.0.0.1:{where[1]}/"
        await pool.aclose()


async def test_an_incomplete_authority_is_said_with_what_it_lacks(incomplete: tuple[HttpPool, str]) -> None:
    pool, url = incomplete
    with pytest.raises(PermanentError) as caught:
        await pool.arequest("GET", url)
    async with pool.client() as client:
        with pytest.raises(httpx.ConnectError) as caught_too:
            await client.get(url)
    for message in (str(caught.value), str(caught_too.value)):
        assert "127.0.0.1 shows a certificate that is not trusted" in message
        assert "keyUsage, subjectKeyIdentifier and authorityKeyIdentifier: Python 3.13" in message
        assert "\n" not in message


async def test_the_log_says_why_redis_is_not_trusted(
    tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("no command may come")

    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=tls) as server:
        url = f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        store = RedisStore(url, read_s=10.0, background_s=10.0)
        while "is not asked for a while" not in caplog.text:
            assert await store.aget(b"key") is None
        await store.aclose()
    assert "it shows a certificate that is not trusted (" in caplog.text
    assert "KOTAE_EGRESS__CA_FILE" in caplog.text


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_authority_file_is_reported_at_the_start(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=r"KOTAE_EGRESS__CA_FILE names .*ca\.pem"):
        build_trust(str(file))
