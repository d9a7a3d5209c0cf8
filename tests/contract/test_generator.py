"""The promises of every Generator. Add a factory to GENERATORS to test a custom one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from agents.components import Call, Generator, Grounding, Passage
from agents.errors import (
    BadOutputError,
    DependencyError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnfitOutputError,
)
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.models.extractive import ExtractiveGenerator, Extractor
from agents.models.openai import OpenAIModel
from schemas.answer import ToolCall
from schemas.question import Question
from streams.local.offline_model import serve_offline_model
from tests.support.model_server import (
    EVENTS,
    JSON,
    ModelServer,
    Recorded,
    Reply,
    chunk,
    completion,
    stream,
    text,
)
from tests.support.system import eventually, free_port

Factory = Callable[[], AbstractAsyncContextManager[Generator]]


@asynccontextmanager
async def extractive() -> AsyncIterator[Generator]:
    yield ExtractiveGenerator(Extractor())


@asynccontextmanager
async def model_at(base_url: str) -> AsyncIterator[OpenAIModel]:
    pool = HttpPool("model", allowed={endpoint(base_url)})
    try:
        yield OpenAIModel(pool, base_url, "default", "secret")
    finally:
        await pool.aclose()


@asynccontextmanager
async def offline_model() -> AsyncIterator[Generator]:
    async with serve_offline_model(port=0) as base_url, model_at(base_url) as model:
        yield model


@asynccontextmanager
async def scripted_model() -> AsyncIterator[Generator]:
    words = ["The ", "warranty ", "lasts ", "three ", "years ", "[1]."]

    def answer(request: Recorded) -> Reply:
        return stream(*words) if request.body.get("stream") else text("".join(words))

    async with ModelServer(answer) as server, model_at(server.base_url) as model:
        yield model


GENERATORS: list[Factory] = [extractive, offline_model, scripted_model]

PASSAGE = Passage(
    "c1", "d1", "Warranty", "w.md", "The warranty lasts three years. It starts on the day of delivery.", 1.0
)
QUESTION = Question(id="q/1", text="How long does the warranty last?")
GROUNDING = Grounding(QUESTION, [PASSAGE])


def call() -> Call:
    deadline = asyncio.get_running_loop().time() + 10
    return Call("q/1", "generate", deadline, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")


@pytest.fixture(params=GENERATORS, ids=lambda factory: factory.__name__)
async def generator(request: pytest.FixtureRequest) -> AsyncIterator[Generator]:
    async with request.param() as made:
        yield made


async def test_an_answer_is_text_that_cites_by_number(generator: Generator) -> None:
    generation = await generator.agenerate(GROUNDING, call())
    assert "three years" in generation.text
    assert "[1]" in generation.text
    assert generation.model


async def test_the_deltas_add_up_to_the_answer(generator: Generator) -> None:
    deltas: list[str] = []
    generation = await generator.agenerate(GROUNDING, call(), deltas.append)
    assert "".join(deltas) == generation.text
    assert all(deltas)


async def test_an_answer_needs_no_passages(generator: Generator) -> None:
    results = [ToolCall(id="1", name="clock", arguments={}, status="ok", result={"time": "12:00"})]
    grounding = Grounding(QUESTION, (), results, ["the knowledge base"])
    assert (await generator.agenerate(grounding, call())).text.strip()


@pytest.mark.parametrize("factory", [extractive, offline_model])
async def test_many_questions_at_once_get_their_own_answers(factory: Factory) -> None:
    def grounding(number: int) -> Grounding:
        passage = Passage("c", "d", "Parts", "", f"Part number {number} weighs {number + 100} grams.", 1.0)
        return Grounding(
            Question(id=str(number), text=f"How much does part number {number} weigh?"), [passage]
        )

    async with factory() as generator:
        made = await asyncio.gather(*(generator.agenerate(grounding(n), call()) for n in range(1000, 1040)))
    assert [generation.text for generation in made] == [
        f"Part number {n} weighs {n + 100} grams. [1]" for n in range(1000, 1040)
    ]


async def generate(reply: Reply, deltas: list[str] | None = None) -> ModelServer:
    async with ModelServer(reply) as server, model_at(server.base_url) as model:
        await model.agenerate(GROUNDING, call(), None if deltas is None else deltas.append)
    return server


FAILURES: list[tuple[Reply, type[DependencyError]]] = [
    (Reply(status=500), TransientError),
    (Reply(status=502, pieces=[b"<html>"]), TransientError),
    (Reply(status=429), ThrottledError),
    (Reply(status=503), ThrottledError),
    (Reply(status=400), PermanentError),
    (Reply(status=401), PermanentError),
    (Reply(status=404), PermanentError),
    (Reply(status=422), PermanentError),
    (Reply(status=307, headers={"Location": "http://127.0.0.1:1/"}), PermanentError),
    (Reply(pieces=[b"garbage"]), BadOutputError),
    (Reply(pieces=[b'{"choices": [']), BadOutputError),
    (completion({"content": None, "tool_calls": [{"function": {"name": "rm"}}]}), UnfitOutputError),
    (Reply(pieces=[b'{"choices'], cut=True), TransientError),
    (Reply(headers={**JSON, "Content-Encoding": "gzip"}, pieces=[b"not gzip"]), TransientError),
]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("reply", "kind"), FAILURES)
async def test_failures_become_the_errors_that_callers_act_on(
    reply: Reply, kind: type[DependencyError], streaming: bool
) -> None:
    with pytest.raises(DependencyError) as failure:
        await generate(reply, [] if streaming else None)
    assert type(failure.value) is kind
    assert failure.value.dependency == "model"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (stream("Half an", done=False), BadOutputError),
        (Reply(headers=EVENTS, pieces=[chunk({"content": "Half"})], cut=True), TransientError),
        (Reply(headers=EVENTS, pieces=[chunk({"content": "Half"}), b"data: {\n\n"]), BadOutputError),
        (Reply(headers=EVENTS, pieces=[b'data: {"error": {"message": "oom"}}\n\n']), TransientError),
        (Reply(headers=EVENTS, pieces=[]), BadOutputError),
    ],
)
async def test_a_broken_stream_raises_an_error(reply: Reply, kind: type[DependencyError]) -> None:
    with pytest.raises(kind):
        await generate(reply, [])


async def test_a_refused_connection_is_a_transient_error() -> None:
    async with model_at(f"http://127.0.0.1:{free_port()}/v1") as model:
        with pytest.raises(TransientError):
            await model.agenerate(GROUNDING, call())


async def test_a_server_that_does_not_stream_is_read_whole() -> None:
    deltas: list[str] = []
    await generate(text("Three years [1]."), deltas)
    assert deltas == ["Three years [1]."]


async def test_a_character_cut_between_packets_is_read() -> None:
    whole = b"".join(stream("质保期", "为三年", "。[1]").pieces)
    deltas: list[str] = []
    await generate(Reply(headers=EVENTS, pieces=[whole[i : i + 7] for i in range(0, len(whole), 7)]), deltas)
    assert "".join(deltas) == "质保期为三年。[1]"


async def test_requests_carry_the_ids_for_the_servers_log() -> None:
    server = await generate(text("Yes."))
    (request,) = server.requests
    assert request.headers["X-Request-Id"] == "q%2F1/generate/1"
    assert request.headers["traceparent"].startswith("00-aaaa")
    assert request.headers["Authorization"] == "Bearer secret"
    assert "stream" not in request.body


async def test_streamed_deltas_come_while_the_model_still_writes() -> None:
    first = asyncio.Event()
    begun = Reply(headers=EVENTS, pieces=[chunk({"content": "Three"})], hangs=True)
    # The whole answer shows that the model does not think first.
    async with (
        ModelServer(lambda request: begun if request.body.get("stream") else text("Yes.")) as server,
        model_at(server.base_url) as model,
    ):
        await model.agenerate(GROUNDING, call())
        task = asyncio.create_task(model.agenerate(GROUNDING, call(), lambda _: first.set()))
        async with asyncio.timeout(5):
            await first.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while not server.lost:  # noqa: ASYNC110 - the server's side has nothing to wait on
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("reply", [Reply(hangs=True), Reply(delay_s=1000), Reply(pieces=[b"{"], hangs=True)])
async def test_a_cancelled_call_closes_its_connection(reply: Reply) -> None:
    async with ModelServer(reply) as server, model_at(server.base_url) as model:
        task = asyncio.create_task(model.agenerate(GROUNDING, call()))
        # Not after a time: on a busy machine, nothing may have been sent by then.
        await eventually(lambda: server.requests, 20, "the request")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: server.lost, 20, "the end of the connection")


@pytest.mark.parametrize("deltas", [None, []])
async def test_connections_are_reused(deltas: list[str] | None) -> None:
    reply = text("Yes.") if deltas is None else stream("Yes.")
    async with ModelServer(reply) as server, model_at(server.base_url) as model:
        for _ in range(3):
            await model.agenerate(GROUNDING, call(), None if deltas is None else deltas.append)
        assert len({request.peer for request in server.requests}) == 1
