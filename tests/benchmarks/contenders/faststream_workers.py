"""FastStream on aiokafka, with a subscriber of many workers.

More than one worker needs `AckPolicy.ACK_FIRST`: a question that is acknowledged and not yet answered is lost
when the process ends.
"""

import asyncio
import logging

from faststream import FastStream
from faststream.kafka import KafkaBroker
from pydantic import BaseModel

from tests.benchmarks.contenders.work import ANSWERS, BOOTSTRAP, CONCURRENCY, QUESTIONS, Work


class Question(BaseModel):
    id: str
    conversation_id: str
    text: str


broker = KafkaBroker(BOOTSTRAP, acks="all", enable_idempotence=True, logger=None)
app = FastStream(broker, logger=logging.getLogger(__name__))
opened: list[Work] = []


@broker.subscriber(QUESTIONS, group_id="faststream", auto_offset_reset="earliest", max_workers=CONCURRENCY)
async def answer(question: Question) -> None:
    outcome = await opened[0].aanswer(question.id, question.text)
    await broker.publish(outcome, ANSWERS, key=question.conversation_id.encode())


@app.on_startup
async def open_work() -> None:
    opened.append(await Work.aopen())


@app.after_startup
async def tell() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(app.run())
