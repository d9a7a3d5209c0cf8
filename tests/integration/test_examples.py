"""Every example in examples/ runs as it stands, against a broker and a worker's stand-in."""

from collections.abc import Sequence
from pathlib import Path

import aiohttp
import orjson
import pytest

from schemas.answer import Source
from schemas.question import Question
from streams.kafka.topics import acreate_topics
from streams.local.broker import LocalBroker
from streams.settings.model import Kafka
from tests.support.answerer import Reply, answer_to, answering, delta_of
from tests.support.kafka import QuickBroker
from tests.support.system import Program, environment, eventually, free_port

EXAMPLES = Path(__file__).parents[2] / "examples"


def spell(question: Question, source: Source) -> Sequence[Reply]:
    deltas = [delta_of(question, 1, number, letter) for number, letter in enumerate("Yes.")]
    answer = answer_to(
        question, source, text="Yes.", metadata={"asked": question.text, "in": question.conversation_id}
    )
    return [*(deltas if question.stream else []), answer]


@pytest.fixture
async def kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A broker of the test's own: examples name topics without a prefix."""
    monkeypatch.setattr("schemas.topics.REPLY_PARTITIONS", 4)
    broker: LocalBroker = QuickBroker(free_port())
    await broker.start()
    try:
        settings = Kafka(bootstrap_servers=broker.bootstrap_servers, partitions=2)
        await acreate_topics(settings)
        async with answering(settings, spell):
            yield settings
    finally:
        await broker.stop()


def program(module: list[str], kafka: Kafka, folder: Path, **settings: str) -> Program:
    env = environment(KAFKA=kafka.bootstrap_servers, **settings)
    return Program(module, env, folder / "example.log", directory=EXAMPLES)


def test_every_example_is_tried() -> None:
    tried = Path(__file__).read_text("utf-8")
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    assert len(names) == 3
    assert all(f'"{name}' in tried for name in names)
    assert "streams" not in (EXAMPLES / "confluent_client.py").read_text("utf-8"), "it is without our code"


async def test_fastapi_streams_events(kafka: Kafka, tmp_path: Path) -> None:
    port = free_port()
    server = program(["uvicorn", "fastapi_sse:app", "--port", str(port)], kafka, tmp_path)
    try:
        await server.answers_http(f"http://127.0.0.1:{port}/docs")
        async with aiohttp.ClientSession() as session:
            asked = {"text": "Is it?", "conversation": "user-7"}
            async with session.get(f"http://127.0.0.1:{port}/ask", params=asked) as response:
                assert response.content_type == "text/event-stream"
                events = [event.split("\n") for event in (await response.text()).strip().split("\n\n")]
    finally:
        assert await server.stop() in (0, -15), server.output
    parts = [(kind.removeprefix("event: "), orjson.loads(data[6:])) for kind, data in events]
    assert [kind for kind, _ in parts[-2:]] == ["delta", "answer"]
    assert "".join(part["text"] for kind, part in parts if kind == "delta") == "Yes."
    assert parts[-1][1]["metadata"] == {"asked": "Is it?", "in": "user-7"}


async def test_a_webhook_answers_tickets(kafka: Kafka, tmp_path: Path) -> None:
    port = free_port()
    server = program(["webhook"], kafka, tmp_path, PORT=str(port))
    try:
        await eventually(lambda: "Running on" in server.output, 30, "the server runs")
        async with aiohttp.ClientSession() as session:
            ticket = {"id": "ticket-17", "customer": "acme", "text": "Is it?"}
            url = f"http://127.0.0.1:{port}/tickets"
            responses = [await session.post(url, json=ticket) for _ in range(2)]
            answers = [await response.json() for response in responses]
    finally:
        assert await server.stop() in (0, -15), server.output
    assert [response.status for response in responses] == [200, 200]
    assert {answer["question_id"] for answer in answers} == {"ticket-17"}
    assert answers[0]["metadata"] == {"asked": "Is it?", "in": "acme"}


async def test_confluent_kafka_asks_without_our_code(kafka: Kafka, tmp_path: Path) -> None:
    asked = program(["confluent_client", "Is it?"], kafka, tmp_path)
    await eventually(lambda: asked.exit_code is not None, 60, "the example has ended")
    assert asked.exit_code == 0, asked.output
    assert "Yes.\n--- answered Yes." in asked.output
    await asked.stop()
