"""Nothing in a worker under load holds its event loop.

Calls that wait are caught by `tests/support/loop_guard.py` in every test; here it is what computes. It is
judged by processor time, because a busy machine holds up any loop.
"""

import asyncio
import gc
import time
from asyncio.events import Handle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from schemas.codec import decode_answer, encode
from schemas.document import Document
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.worker import build_worker
from streams.settings.model import Kafka, Model, Settings, Worker
from streams.telemetry.loop_monitor import HELD_S
from streams.worker.life import Worker as WorkerProcess
from tests.support.engine import producing, read_topic
from tests.support.system import Program, environment, eventually, free_port

QUESTIONS = 600
DOCUMENTS = 300


@pytest.fixture
async def model_url(tmp_path: Path) -> AsyncIterator[str]:
    """The offline model as a process of its own: its computations are not on our loop."""
    port = free_port()
    program = Program(
        ["streams", "offline-model", "--port", str(port)], environment(), tmp_path / "model.log"
    )
    await program.answers_http(f"http://127.0.0.1:{port}/health")
    yield f"http://127.0.0.1:{port}/v1"
    await program.kill()


@pytest.fixture
def heavy_callbacks() -> Iterator[list[tuple[float, str]]]:
    """Collect the calls that used the processor for more than `HELD_S` without letting go of the loop."""
    heavy: list[tuple[float, str]] = []
    run = Handle._run

    def timed(self: Handle) -> None:
        before = time.thread_time()
        run(self)
        if (used := time.thread_time() - before) > HELD_S:
            heavy.append((used, repr(self)))

    # The garbage of all tests before this one is not this worker's.
    gc.collect()
    gc.freeze()
    Handle._run = timed  # type: ignore[method-assign] - every callback of every loop goes through it
    try:
        yield heavy
    finally:
        Handle._run = run  # type: ignore[method-assign] - as above
        gc.unfreeze()


async def fill(kafka: Kafka, topics: Topics) -> None:
    async with producing(kafka) as producer:
        for number in range(DOCUMENTS):
            text = " ".join(
                f"Article {number} part {part} costs {number * part} euros." for part in range(60)
            )
            document = Document(id=f"d{number}", title=f"Article {number}", text=text)
            await producer.send(topics.documents, encode(document), key=f"default/d{number}".encode())
        for number in range(QUESTIONS):
            question = Question(
                id=f"q{number}",
                text=f"What does article {number % DOCUMENTS} part 7 cost?",
                stream=number % 2 == 0,
            )
            await producer.send(topics.questions, encode(question), key=b"%d" % number)


@pytest.mark.alone
async def test_a_worker_under_load_never_holds_its_loop(
    kafka_settings: Kafka, topics: Topics, model_url: str, heavy_callbacks: list[tuple[float, str]]
) -> None:
    await fill(kafka_settings, topics)
    port = free_port()
    settings = Settings(
        kafka=kafka_settings,
        worker=Worker(group_id=f"{topics.answers}.workers", http_port=port),
        model=Model(base_url=model_url),
    )
    # As at a start: what is built reads files, before anything is answered.
    worker: WorkerProcess = await asyncio.to_thread(build_worker, settings, {}, lines_dropped=lambda: 0.0)
    heavy_callbacks.clear()
    running = asyncio.create_task(worker.run())
    try:
        await eventually(lambda: worker.ready().ok or running.done(), 60, "the worker is ready")
        answers = await read_topic(kafka_settings, topics.answers, QUESTIONS, limit_s=90)
    finally:
        worker.stop()
        code = await running
    assert code == 0
    assert {decode_answer(record.value).status for record in answers} == {"answered"}
    assert heavy_callbacks == []
    stalls = worker.state()["loop"]["stalls"]
    blamed = [stall for stall in stalls if stall["alone"] and stall["cpu_s"] > HELD_S]
    assert blamed == []
