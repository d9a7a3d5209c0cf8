"""FastStream with faststream-concurrent-aiokafka: a task a question, commits in batches, in order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faststream import AckPolicy, ContextRepo, FastStream
from faststream.kafka import KafkaBroker
from faststream_concurrent_aiokafka import (
    KafkaConcurrentProcessingMiddleware,
    initialize_concurrent_processing,
    stop_concurrent_processing,
)
from pydantic import BaseModel

from tests.benchmarks.contenders.work import ANSWERS, BOOTSTRAP, CONCURRENCY, QUESTIONS, Work


class Question(BaseModel):
    id: str
    conversation_id: str
    text: str


broker = KafkaBroker(BOOTSTRAP, acks="all", enable_idempotence=True, logger=None)
broker.add_middleware(KafkaConcurrentProcessingMiddleware)
opened: list[Work] = []


@asynccontextmanager
async def lifespan(_: ContextRepo) -> AsyncIterator[None]:
    opened.append(await Work.aopen())
    await initialize_concurrent_processing(
        context=broker.context,
        concurrency_limit=CONCURRENCY,
        commit_batch_size=1000,
        commit_batch_timeout_sec=1.0,
    )
    try:
        yield
    finally:
        await stop_concurrent_processing(broker.context)


app = FastStream(broker, lifespan=lifespan, logger=logging.getLogger(__name__))


@broker.subscriber(
    QUESTIONS, group_id="concurrent", auto_offset_reset="earliest", ack_policy=AckPolicy.MANUAL
)
async def answer(question: Question) -> None:
    outcome = await opened[0].aanswer(question.id, question.text)
    await broker.publish(outcome, ANSWERS, key=question.conversation_id.encode())


@app.after_startup
async def tell() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(app.run())
