"""Vectors from an OpenAI-compatible server."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import orjson
import pytest
from aiohttp import web

from agents.embeddings.meaning import Meaning
from agents.embeddings.protocol import Prefixes
from agents.embeddings.server import BATCH, REQUEST_S, OpenAIEmbeddings
from agents.errors import BadOutputError, PermanentError, TransientError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from tests.support.knowledge import MeaningList


class Server:
    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, object]]] = []
        self.status = 200
        self.body: bytes | None = None

    async def answer(self, request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        self.requests.append((dict(request.headers), asked))
        data = [{"index": n, "embedding": [float(len(text)), 1]} for n, text in enumerate(asked["input"])]
        body = orjson.dumps({"data": data[::-1]}) if self.body is None else self.body
        return web.Response(body=body, status=self.status)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def embeddings(server: Server) -> AsyncIterator[OpenAIEmbeddings]:
    application = web.Application()
    application.router.add_post("/v1/embeddings", server.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/"
    pool = HttpPool("embeddings", allowed={endpoint(url)})
    yield OpenAIEmbeddings(pool, url, "small", "secret")
    await pool.aclose()
    await runner.cleanup()


async def test_texts_are_sent_in_batches_and_vectors_keep_their_order(
    server: Server, embeddings: OpenAIEmbeddings
) -> None:
    texts = ["x" * n for n in range(BATCH + 3)]
    assert await embeddings.aembed(texts) == [[float(n), 1.0] for n in range(BATCH + 3)]
    assert [len(asked["input"]) for _, asked in server.requests] == [BATCH, 3]  # type: ignore[arg-type]
    headers, asked = server.requests[0]
    assert headers["Authorization"] == "Bearer secret"
    assert asked["model"] == "small"
    assert await embeddings.aembed([]) == []


async def test_prefixes_are_put_before_questions_and_passages(
    server: Server, embeddings: OpenAIEmbeddings
) -> None:
    prefixed = OpenAIEmbeddings(
        embeddings._pool,
        embeddings._url.removesuffix("/embeddings"),
        "e5",
        "",
        Prefixes("query: ", "passage: "),
    )
    await prefixed.aembed(["one"])
    await prefixed.aembed_search("two")
    assert [asked["input"] for _, asked in server.requests] == [["passage: one"], ["query: two"]]
    assert {asked["model"] for _, asked in server.requests} == {"e5"}
    assert prefixed.model != "e5"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, b"", TransientError),
        (401, b"", PermanentError),
        (200, b"{", BadOutputError),
        (200, b'{"data": []}', BadOutputError),
        (200, b'{"data": [{"index": 0, "embedding": []}]}', BadOutputError),
        (200, b'{"data": [{"index": 1, "embedding": [1]}]}', BadOutputError),
        (200, b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}', BadOutputError),
    ],
)
async def test_a_wrong_response_raises_an_error(
    server: Server, embeddings: OpenAIEmbeddings, status: int, body: bytes, error: type[Exception]
) -> None:
    server.status, server.body = status, body
    with pytest.raises(error):
        await embeddings.aembed(["one"])


@pytest.mark.looptime
async def test_a_request_without_an_answer_times_out() -> None:
    pool = SimpleNamespace(dependency="embeddings", arequest=lambda *_, **__: asyncio.Event().wait())
    embeddings = OpenAIEmbeddings(cast(HttpPool, pool), "http://127.0.0.1:9/v1", "small")
    with pytest.raises(TransientError, match="no vectors of 2 texts"):
        await embeddings.aembed(["one", "two"])
    assert asyncio.get_running_loop().time() == REQUEST_S


async def test_a_failing_server_is_logged_once_and_searches_use_words_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    embeddings = MeaningList()
    meaning = Meaning(embeddings)
    assert await meaning.avector("a car")
    embeddings.away = True
    assert [await meaning.avector("a car") for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    embeddings.away = False
    assert await meaning.avector("a car")
    embeddings.away = True
    await meaning.avector("a car")
    assert len(caplog.records) == 2
    assert await Meaning(None).avector("a car") is None
