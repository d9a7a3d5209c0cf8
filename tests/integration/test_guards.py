"""The guards as the settings make them, against real servers over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents.errors import TransientError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.pipeline import Answered, Asked
from schemas.question import Question
from streams.assembly.answerer import Answerer, build_answerer
from streams.assembly.remedies import remedy_for
from streams.settings.model import Limits, Model, Resilience, Settings
from streams.telemetry.hook import Hooks
from streams.telemetry.troubles import Troubles
from tests.support.components import SOURCE, RecordingObserver
from tests.support.model_server import ModelServer, Reply, text
from tests.support.system import free_port

ANSWER = text("The warranty lasts three years.")
BROKEN = Reply(status=500)


@asynccontextmanager
async def built(observer: RecordingObserver | None = None, **sections: Any) -> AsyncIterator[Answerer]:
    settings = Settings(**sections)
    answerer = await asyncio.to_thread(build_answerer, settings, {}, observer or RecordingObserver())
    try:
        yield answerer
    finally:
        await answerer.aclose()


async def ask(answerer: Answerer, number: int = 0, seconds: float = 10.0) -> Answered:
    # Every question is another one, so that none is answered from the cache.
    question = Question(id=f"q{number}", text=f"How long is the warranty of product {number}?")
    deadline = asyncio.get_running_loop().time() + seconds
    return await answerer.pipeline.aanswer(Asked(question, SOURCE, deadline))


def request_ids(server: ModelServer) -> list[str]:
    return [request.headers["X-Request-Id"] for request in server.requests]


async def test_a_failed_model_call_is_repeated_and_traced() -> None:
    replies = [BROKEN, ANSWER]
    async with (
        ModelServer(lambda _: replies.pop(0)) as server,
        built(model=Model(base_url=server.base_url)) as answerer,
    ):
        answered = await ask(answerer)
        assert answered.answer.status == "answered"
        assert request_ids(server) == ["q0/generate/1", "q0/generate/2"]
        traced = [(one.status, one.attempt) for one in answered.stages if one.stage == "generate"]
        assert traced == [("error", 1), ("ok", 2)]


async def test_a_model_that_always_fails_is_rarely_called_and_reported() -> None:
    observer = RecordingObserver()
    async with (
        ModelServer(BROKEN) as server,
        built(observer, model=Model(base_url=server.base_url)) as answerer,
    ):
        for number in range(60):
            answer = (await ask(answerer, number)).answer
            assert answer.degraded == ("model_unavailable",) or answer.error is not None
        assert len(server.requests) <= 1.1 * 60
        assert len(server.requests) < 20, "its breaker opened"
        assert answerer.guards.state()["model"]["breaker"] == "open"
        assert observer.of("breaker") == ["open"]


async def test_the_fallback_model_answers_when_the_first_is_unreachable() -> None:
    gone = f"http://127.0.0.1:{free_port()}/v1"
    async with ModelServer(ANSWER) as server:
        model = Model(base_url=gone, fallback_base_url=server.base_url, fallback_api_key="second")
        async with built(model=model, limits=Limits(plan_s=1.0)) as answerer:
            answer = (await ask(answerer)).answer
            assert (answer.status, answer.degraded) == ("degraded", ("model_fallback",))
            assert answer.text == "The warranty lasts three years."
            assert server.requests[-1].headers["Authorization"] == "Bearer second"
            assert set(answerer.guards.state()) >= {"model", "fallback_model"}


async def test_a_model_that_hangs_leaves_time_for_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.models.fallback.FIRST_SHARE", 0.1)
    async with ModelServer(Reply(hangs=True)) as hanging, ModelServer(ANSWER) as server:
        model = Model(base_url=hanging.base_url, fallback_base_url=server.base_url)
        async with built(model=model) as answerer:
            assert (await ask(answerer, seconds=20.0)).answer.degraded == ("model_fallback",)


async def test_each_guard_can_be_turned_off() -> None:
    off = Resilience(breakers=False, retries=False, hedging=False, adaptive_concurrency=False)
    async with (
        ModelServer(BROKEN) as server,
        built(model=Model(base_url=server.base_url), resilience=off) as answerer,
    ):
        for number in range(30):
            await ask(answerer, number)
        assert len(server.requests) == 30


class ClosingServer:
    """Answers the first request of a connection and closes it on the second, which it has read."""

    def __init__(self) -> None:
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for first in (True, False):
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            if first:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        writer.close()
        await writer.wait_closed()


async def test_a_get_on_a_closed_connection_is_not_repeated_below_the_guards() -> None:
    subject = ClosingServer()
    async with await asyncio.start_server(subject.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/tool"
        pool = HttpPool("tools/book", allowed={endpoint(url)})
        try:
            assert (await pool.arequest("GET", url)).body == b"ok"
            with pytest.raises(TransientError):
                await pool.arequest("GET", url)
        finally:
            await pool.aclose()
    assert subject.requests == 2


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "HTTP 401: wrong key; check KOTAE_MODEL__API_KEY and KOTAE_MODEL__HEADERS"),
        (404, "HTTP 404: wrong key; check KOTAE_MODEL__BASE_URL and KOTAE_MODEL__NAME"),
        (500, "HTTP 500: wrong key; look at the log of the server that KOTAE_MODEL__BASE_URL names"),
    ],
)
async def test_a_refusing_model_is_one_warning_with_the_setting_to_check(
    status: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    troubles = Troubles(remedy_for)
    refusal = Reply(status, [b'{"error": {"message": "wrong key"}}'])
    async with ModelServer(refusal) as server:
        answerer = await asyncio.to_thread(
            build_answerer, Settings(model=Model(base_url=server.base_url)), {}, Hooks([troubles])
        )
        for number in range(20):
            await ask(answerer, number)
        await answerer.aclose()
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert lines == [f"a call to model failed: {told}"]
    last = troubles.last_error("model")
    assert last is not None
    assert (last["status"], last["message"]) == (status, f"HTTP {status}: wrong key")
