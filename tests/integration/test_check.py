"""`kotae check` against real servers: each failure is a line with the setting to check."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from aiohttp import web

from schemas.document import Document
from schemas.topics import Topics
from streams.assembly.checks import Checks, Finding
from streams.settings.errors import SettingsError
from streams.settings.model import (
    Cache,
    Egress,
    Embeddings,
    Kafka,
    Knowledge,
    Model,
    Settings,
)
from tests.support.authority import Authority
from tests.support.model_server import ModelServer, Recorded, Reply, completion, text
from tests.support.qdrant_shim import running_shim
from tests.support.system import environment, free_port
from tests.support.tool_server import run_tool_server

NOWHERE = "127.0.0.1:1"
YES = text("yes")


async def findings(limit_s: float = 5.0, **sections: Any) -> dict[str, Finding]:
    """The findings by name; with no cluster, unless one is given."""
    settings = Settings(**{"kafka": Kafka(bootstrap_servers=NOWHERE), **sections})
    environ = {"WEATHER_KEY": "hidden-secret-key"}
    checks = await asyncio.to_thread(Checks, settings, environ, limit_s=limit_s)
    found = await checks.arun()
    assert all("\n" not in one.told for one in found)
    return {one.name: one for one in found}


def refusal(status: int, message: str) -> Reply:
    return Reply(status, [orjson.dumps({"error": {"message": message}})])


@asynccontextmanager
async def embedding(length: int, status: int = 200) -> AsyncIterator[str]:
    async def embed(request: web.Request) -> web.Response:
        if status != 200:
            return web.json_response({"error": {"message": "told to fail"}}, status=status)
        texts = (await request.json())["input"]
        data = [{"index": n, "embedding": [0.1] * length} for n in range(len(texts))]
        return web.json_response({"data": data})

    app = web.Application()
    app.router.add_post("/v1/embeddings", embed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_a_whole_cluster_passes(kafka_settings: Kafka, topics: Topics) -> None:
    found = await findings(kafka=kafka_settings)
    assert [name for name, one in found.items() if one.ok] == ["kafka", "kafka rights", "topics", "index"]
    assert kafka_settings.bootstrap_servers in found["kafka"].told


async def test_missing_topics_and_reply_topics_are_named(kafka_settings: Kafka) -> None:
    kafka = msgspec.structs.replace(kafka_settings, reply_topics=("replies-nobody-made",))
    found = await findings(kafka=kafka)
    assert found["kafka"].ok
    assert (found["topics"].ok, found["reply topics"].ok) == (False, False)
    assert "kotae topics create" in found["topics"].told
    assert "replies-nobody-made" in found["reply topics"].told
    assert "KOTAE_KAFKA__REPLY_TOPICS" in found["reply topics"].told


async def test_an_absent_cluster_is_one_line() -> None:
    found = await findings()
    assert not found["kafka"].ok
    assert "KOTAE_KAFKA__BOOTSTRAP_SERVERS" in found["kafka"].told
    assert {"kafka rights", "topics"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        (400, "KOTAE_MODEL__NAME and KOTAE_MODEL__PARAMETERS"),
        (401, "KOTAE_MODEL__API_KEY"),
        (403, "KOTAE_MODEL__API_KEY"),
        (404, "KOTAE_MODEL__BASE_URL and KOTAE_MODEL__NAME"),
        (500, "the log of the server that KOTAE_MODEL__BASE_URL names"),
        (503, "the log of the server that KOTAE_MODEL__BASE_URL names"),
    ],
)
async def test_a_model_that_refuses_names_its_setting(status: int, setting: str) -> None:
    async with ModelServer(refusal(status, "for a reason")) as server, ModelServer(YES) as second:
        model = Model(base_url=server.base_url, fallback_base_url=second.base_url)
        found = await findings(model=model)
    assert not found["model"].ok
    assert f"HTTP {status}: for a reason" in found["model"].told
    assert setting in found["model"].told
    assert (found["fallback model"].ok, found["fallback model tools"].ok) == (True, True)
    assert len(second.requests) == 2, "each once"


async def test_a_model_without_tools_fails_only_where_tools_are_declared() -> None:
    def script(request: Recorded) -> Reply:
        return refusal(400, '"auto" tool choice requires a parser') if "tools" in request.body else YES

    async with ModelServer(script) as server, run_tool_server() as tools:
        model = Model(base_url=server.base_url)
        unused = await findings(model=model)
        tool = {"weather": {"description": "The weather.", "url": f"{tools.url}/ok"}}
        used = await findings(model=model, tools=tool)
    assert (unused["model"].ok, unused["model tools"].ok) == (True, True)
    assert "not needed without a tool" in unused["model tools"].told
    assert (used["model"].ok, used["model tools"].ok) == (True, False)
    assert "requires a parser" in used["model tools"].told


async def test_a_model_that_thinks_beyond_the_few_tokens_answers_all_the_same() -> None:
    async with ModelServer(completion({"content": ""})) as server:
        assert (await findings(model=Model(base_url=server.base_url)))["model"].ok


async def test_a_server_that_hangs_ends_in_time() -> None:
    async with ModelServer(Reply(hangs=True)) as server, asyncio.timeout(5):
        found = await findings(0.3, model=Model(base_url=server.base_url))
    assert "no answer within 0.3 s" in found["model"].told
    assert not found["model"].ok


async def test_a_certificate_that_is_not_trusted_names_the_file(tmp_path: Path) -> None:
    authority = await asyncio.to_thread(Authority, tmp_path)
    certificate = await asyncio.to_thread(authority.sign, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        sections: dict[str, Any] = {
            "model": Model(base_url=f"{url}/v1"),
            "embeddings": Embeddings(base_url=f"{url}/v1"),
            "knowledge": Knowledge(qdrant_url=url),
            "cache": Cache(redis_url=url.replace("https", "rediss")),
            "tools": {"weather": {"description": "The weather.", "url": url}},
        }
        found = await findings(**sections)
        trusting = await findings(
            **{**sections, "model": Model(), "embeddings": Embeddings(), "knowledge": Knowledge()},
            egress=Egress(ca_file=str(authority.path)),
            limit_s=0.5,
        )
    for name in ("model", "embeddings", "index", "redis", "tools/weather"):
        assert not found[name].ok
        assert "certificate" in found[name].told
        assert "KOTAE_EGRESS__CA_FILE" in found[name].told
    assert trusting["tools/weather"].ok


@pytest.mark.parametrize(
    ("status", "setting"), [(401, "KOTAE_EMBEDDINGS__API_KEY"), (404, "KOTAE_EMBEDDINGS__BASE_URL")]
)
async def test_embeddings_that_refuse_name_their_setting(status: int, setting: str) -> None:
    async with embedding(8, status) as url:
        found = await findings(embeddings=Embeddings(base_url=url))
    assert not found["embeddings"].ok
    assert f"HTTP {status}: told to fail" in found["embeddings"].told
    assert setting in found["embeddings"].told


async def test_embeddings_of_another_length_than_the_index_are_told() -> None:
    with running_shim() as (url, shim):
        async with embedding(8) as right, embedding(12) as wrong:
            knowledge = Knowledge(qdrant_url=url)
            before = await findings(knowledge=knowledge, embeddings=Embeddings(base_url=right))
            assert shim.engine.get_collections().collections == [], "a check makes no collection"
            await fill(url, right)
            same = await findings(knowledge=knowledge, embeddings=Embeddings(base_url=right))
            other = await findings(knowledge=knowledge, embeddings=Embeddings(base_url=wrong))
    assert (before["index"].ok, before["embeddings"].ok) == (True, True)
    assert (same["index"].ok, other["embeddings"].ok, other["index"].ok) == (True, True, False)
    assert "vectors of 8 numbers, but the embeddings have 12" in other["index"].told
    assert "KOTAE_KNOWLEDGE__COLLECTION" in other["index"].told


async def fill(url: str, embeddings_url: str) -> None:
    from streams.assembly.answerer import build_answerer
    from tests.support.components import RecordingObserver

    settings = Settings(knowledge=Knowledge(qdrant_url=url), embeddings=Embeddings(base_url=embeddings_url))
    answerer = await asyncio.to_thread(build_answerer, settings, {}, RecordingObserver())
    await answerer.index.aupsert([Document(id="d", text="The warranty lasts three years.")])
    await answerer.aclose()


async def test_a_qdrant_server_that_refuses_names_its_setting() -> None:
    with running_shim() as (url, shim):
        shim.failing = 403
        found = await findings(knowledge=Knowledge(qdrant_url=url))
    assert not found["index"].ok
    assert "HTTP 403" in found["index"].told
    assert "told to fail" in found["index"].told
    assert "KOTAE_KNOWLEDGE__QDRANT_API_KEY" in found["index"].told


async def test_another_server_is_not_taken_for_qdrant() -> None:
    async with run_tool_server() as tools:
        found = await findings(knowledge=Knowledge(qdrant_url=f"{tools.url}/ok"))
    assert not found["index"].ok
    assert "KOTAE_KNOWLEDGE__QDRANT_URL" in found["index"].told


async def test_a_file_in_place_of_the_index_is_told(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("no directory")
    found = await findings(knowledge=Knowledge(path=str(tmp_path / "index")))
    assert not found["index"].ok
    assert "KOTAE_KNOWLEDGE__PATH" in found["index"].told
    assert (await findings(knowledge=Knowledge(path=str(tmp_path / "new"))))["index"].ok
    assert not (tmp_path / "new").exists(), "a check makes nothing"


async def test_redis_answers_or_is_named(redis_url: str) -> None:
    assert (await findings(cache=Cache(redis_url=redis_url)))["redis"].ok
    gone = await findings(cache=Cache(redis_url=f"redis://127.0.0.1:{free_port()}"))
    refused = await findings(cache=Cache(redis_url=redis_url.replace("//", "//user:wrong-password@")))
    for found in (gone, refused):
        assert not found["redis"].ok
        assert "KOTAE_CACHE__REDIS_URL" in found["redis"].told
        assert "wrong-password" not in found["redis"].told


async def test_tools_are_reached_and_never_called() -> None:
    async with run_tool_server() as server:
        tools: dict[str, Any] = {
            "order": {"description": "Orders.", "url": f"{server.url}/ok"},
            "repeatable": {"description": "Sets.", "url": f"{server.url}/ok", "idempotent": True},
            "ticket": {
                "description": "Opens a ticket.",
                "url": f"{server.url}/ok",
                "method": "GET",
                "idempotent": False,
                "reconcile_url": f"{server.url}/status/200",
            },
            "weather": {"description": "The weather.", "url": f"{server.url}/ok", "method": "GET"},
            "login": {
                "description": "Wants a key.",
                "url": f"{server.url}/status/401",
                "method": "GET",
                "headers": {"X-Key": {"env": "WEATHER_KEY"}},
            },
            "arguments": {"description": "d", "url": f"{server.url}/status/422", "method": "GET"},
            "gone": {"description": "Gone.", "url": f"http://{NOWHERE}/"},
        }
        found = await findings(tools=tools)
        requests: Sequence[tuple[str, str]] = [(one.method, one.path) for one in server.received]
    assert sorted(requests) == [("HEAD", "/ok"), ("HEAD", "/status/401"), ("HEAD", "/status/422")]
    failed = {name for name, one in found.items() if name.startswith("tools/") and not one.ok}
    assert failed == {"tools/login", "tools/gone"}
    assert "headers in [tools.login]" in found["tools/login"].told
    assert "url in [tools.gone]" in found["tools/gone"].told


async def test_secrets_are_masked() -> None:
    async with ModelServer(refusal(401, "wrong key sk-secret-of-ours")) as server:
        model = Model(base_url=server.base_url, api_key="sk-secret-of-ours")
        found = await findings(model=model)
    assert "HTTP 401: wrong key ***" in found["model"].told


async def test_a_wrong_tool_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"\[tools\.weather\]"):
        await findings(tools={"weather": {"url": "nowhere"}})


async def test_the_command_prints_a_line_each_and_ends_with_1(kafka_settings: Kafka, topics: Topics) -> None:
    env = {
        "KOTAE_KAFKA__BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "KOTAE_KAFKA__TOPIC_PREFIX": kafka_settings.topic_prefix,
    }
    good = await asyncio.to_thread(_run, env)
    bad = await asyncio.to_thread(_run, {**env, "KOTAE_MODEL__BASE_URL": f"http://{NOWHERE}/v1"}, "--json")
    assert good[0] == 0
    assert [line.split("  ")[0] for line in good[1].splitlines()] == [
        "kafka",
        "kafka rights",
        "topics",
        "index",
    ]
    assert bad[0] == 1
    failed = [one for one in orjson.loads(bad[1]) if not one["ok"]]
    assert [one["name"] for one in failed] == ["model"]
    assert "KOTAE_MODEL__BASE_URL" in failed[0]["told"]


def _run(env: dict[str, str], *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "streams", "check", *arguments]
    done = subprocess.run(command, env=environment(**env), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
