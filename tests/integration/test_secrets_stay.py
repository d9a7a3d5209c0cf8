"""Every secret setting holds a canary, servers repeat all that they are sent, and no canary may turn up in
topics, log, metrics or state."""

import asyncio
import urllib.request
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiokafka import ConsumerRecord
from redis.asyncio import Redis

from schemas.codec import decode_answer, encode
from schemas.document import Document
from schemas.question import Question
from schemas.topics import Topics
from streams.kafka.authorization import Right, worker_rights
from streams.kafka.topics import acreate_topics
from streams.settings.model import Kafka, Settings, Worker
from tests.integration.test_kafka_acls import GROUP, env_of
from tests.support.engine import end_offsets, producing, read_topic
from tests.support.redis import RedisServer
from tests.support.secured_kafka import PASSWORDS, Acls, SecuredBroker, until_missing
from tests.support.system import Program, eventually, free_port

pytestmark = pytest.mark.tls

CANARIES = {
    "KOTAE_KAFKA__OAUTH_CLIENT_SECRET": "canary-oauth-1f0a",
    "KOTAE_KAFKA__SSL_KEY_PASSWORD": "canary-sslkey-2b7c",
    "KOTAE_MODEL__API_KEY": 'canary-model-"3c9d"',
    "KOTAE_EMBEDDINGS__API_KEY": "canary-embeddings-4e1f",
    "TOOL_KEY": "canary-tool-5a2b",
}
QUESTIONS = 40
STATUSES = (200, 200, 401, 200, 200, 500, 200, 200, 503, 200, 200, 404)


class Parrot:
    """A model, an embeddings server and a tool that repeat every request, in successes and in errors."""

    def __init__(self) -> None:
        self.calls = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.calls += 1
        said = f"{dict(request.headers)} {request.url} {body}"
        # More successes than failures: an open breaker would stop the calls.
        status = STATUSES[self.calls % len(STATUSES)]
        if status != 200:
            error = {"error": {"message": f"Wrong key: {said}"}, "message": said}
            return web.json_response(error, status=status, reason=request.headers.get("Authorization", "No"))
        if request.path.startswith("/tool"):
            return web.json_response({"headers": dict(request.headers), "order": 4711})
        if "embeddings" in request.path:
            inputs = orjson.loads(body)["input"]
            data = [{"index": n, "embedding": [1.0, 0.5]} for n in range(len(inputs))]
            return web.json_response({"data": data})
        return web.json_response(self._completion(orjson.loads(body)))

    def _completion(self, asked: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "It is order 4711."}
        if asked.get("tools"):
            call = {"name": "orders", "arguments": '{"number": "4711"}'}
            message |= {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": call}]}
        return {"model": "parrot", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


@pytest.fixture
async def parrot() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", Parrot().serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def forms(secret: str) -> set[bytes]:
    """Return the forms of a secret: plain, in JSON, in a URL, in a log-in."""
    plain = secret.encode()
    return {plain, orjson.dumps(secret)[1:-1], b64encode(plain), secret.replace('"', "%22").encode()}


async def ask(kafka: Kafka, topics: Topics, first: int) -> None:
    """Send `QUESTIONS` questions, with tools and without, streamed and whole."""
    async with producing(kafka) as producer:
        for number in range(first, first + QUESTIONS):
            asked = Question(
                id=f"q{number}",
                text=f"What now, after {first}?",
                stream=number % 2 == 0,
                tools=None if number % 4 else [],
            )
            await producer.send(topics.questions, encode(asked), key=b"%d" % number)


async def test_no_secret_is_in_topics_log_metrics_or_state(
    secured_broker: SecuredBroker,
    topic_prefix: str,
    parrot: str,
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    door = secured_broker.open_door(topic_prefix)
    topics = Topics(topic_prefix)
    await acreate_topics(door)
    kafka = secured_broker.sasl("PLAIN", topic_prefix=topic_prefix)
    rights: list[Right] = worker_rights(Settings(kafka=kafka, worker=Worker(group_id=GROUP)))
    acls = Acls(secured_broker, "worker")
    await acls.grant(rights)
    await until_missing(kafka, rights, [])
    userinfo = "canary-userinfo-6d3e"
    config = tmp_path / "kotae.toml"
    tool = (
        '[tools.orders{n}]\ndescription = "Looks up an order."\nurl = "{url}/tool{n}"\nmethod = "{method}"\n'
    )
    head = 'headers = {{ Authorization = {{ env = "TOOL_KEY" }} }}\n'
    types = (
        '[tools.orders{n}.parameters]\ntype = "object"\nproperties = {{ number = {{ type = "string" }} }}\n'
    )
    config.write_text(
        "".join(
            (tool + head + types).format(n=n, url=parrot, method=method)
            for n, method in (("", "GET"), ("2", "POST"))
        )
    )
    port = free_port()
    redis_password = "canary-redis-8f5a"
    redis = Redis(port=redis_server.port)
    await redis.execute_command("ACL", "SETUSER", "kotae", "on", f">{redis_password}", "~*", "&*", "+@all")
    secrets = {**CANARIES, "redis": redis_password, "password": PASSWORDS["worker"], "userinfo": userinfo}
    env = (
        env_of(kafka)
        | CANARIES
        | {
            "KOTAE_CONFIG": str(config),
            "KOTAE_WORKER__HTTP_PORT": str(port),
            "KOTAE_MODEL__BASE_URL": f"{parrot}/v1",
            "KOTAE_MODEL__FALLBACK_BASE_URL": f"{parrot.replace('//', f'//me:{userinfo}@')}/v1",
            "KOTAE_CACHE__REDIS_URL": f"redis://kotae:{redis_password}@127.0.0.1:{redis_server.port}/0",
            "KOTAE_EMBEDDINGS__BASE_URL": f"{parrot}/v1",
        }
    )
    async with producing(door) as producer:
        for number in range(4):
            document = Document(id=f"d{number}", title="Orders", text=f"Order {number} was sent.")
            await producer.send(topics.documents, encode(document), key=f"default/d{number}".encode())
        await producer.send(topics.questions, b"{broken", key=b"broken")
    log = tmp_path / "worker.log"
    program = Program(["tests.support.debugged", "worker"], env, log)
    written: dict[str, bytes] = {}
    try:
        await program.answers_http(f"http://127.0.0.1:{port}/health/live")
        answers: list[ConsumerRecord] = []
        # Chance decides which calls fail: ask until a tool was called and an answer was cached.
        async with asyncio.timeout(90):
            while not (any(decode_answer(a.value).tool_calls for a in answers) and await redis.keys("*")):
                await ask(door, topics, first=len(answers))
                answers = await read_topic(door, topics.answers, len(answers) + QUESTIONS, limit_s=90)
        for path in ("/metrics", "/state"):
            written[path] = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}{path}")
        assert await program.stop() == 0, program.output[-2000:]
    finally:
        await program.kill()
        await acls.take(rights)
    statuses = {decode_answer(record.value).status for record in answers}
    assert {"failed", "answered"} & statuses
    written["log"] = log.read_bytes()
    for name in sorted(topics.own):
        count = sum((await end_offsets(door, name)).values())
        records = await read_topic(door, name, count)
        written[name] = b"\n".join(
            b"%r %r %r" % (record.key, record.value, record.headers)
            + (record.value or b"")
            + b" ".join(value or b"" for _, value in record.headers)
            for record in records
        )
    keys = await redis.keys("*")
    written["redis"] = b"\n".join([*keys, *[await redis.get(key) or b"" for key in keys]])
    await redis.aclose()
    assert b"DEBUG" in written["log"]
    found = {
        (where, name)
        for where, content in written.items()
        for name, secret in secrets.items()
        for form in forms(secret)
        if form in content
    }
    assert found == set()


async def test_the_error_of_an_index_server_that_repeats_its_key_is_printed_without_it(
    kafka_settings: Kafka, topics: Topics, parrot: str, tmp_path: Path
) -> None:
    env = env_of(kafka_settings) | {
        "KOTAE_WORKER__HTTP_PORT": "0",
        "KOTAE_KNOWLEDGE__QDRANT_URL": parrot,
        "KOTAE_KNOWLEDGE__QDRANT_API_KEY": "canary-qdrant-7e4f",
    }
    program = Program(["tests.support.debugged", "worker"], env, tmp_path / "worker.log")
    try:
        await eventually(
            lambda: b"qdrant" in (tmp_path / "worker.log").read_bytes().lower(), 60, "it is called"
        )
        await program.stop()
    finally:
        await program.kill()
    assert not [
        form for form in forms("canary-qdrant-7e4f") if form in (tmp_path / "worker.log").read_bytes()
    ]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        return bytes(response.read())
