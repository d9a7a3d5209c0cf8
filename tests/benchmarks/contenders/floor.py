"""The floor: the least cost of a worker, written by hand on aiokafka.

Consumes, runs a task a question, publishes, and nothing else: no deadline, no order, no commit. With
`BENCH_TUNED=1` its garbage collector is tuned as that of `kotae worker`: a quarter less CPU, or more.
"""

import asyncio
import os

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.question import Question
from tests.benchmarks.contenders.work import ANSWERS, BOOTSTRAP, QUESTIONS, Work


async def main() -> None:
    work = await Work.aopen()
    if os.environ.get("BENCH_TUNED") == "1":
        from streams.cli.worker import spare_the_collector  # the untuned loop does not need it

        spare_the_collector()
    decoder = msgspec.json.Decoder(Question)
    consumer = AIOKafkaConsumer(
        QUESTIONS,
        bootstrap_servers=BOOTSTRAP,
        group_id="floor",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", enable_idempotence=True)
    outcomes: asyncio.Queue[tuple[int, bytes, bytes]] = asyncio.Queue()

    async def answer(partition: int, value: bytes) -> None:
        question = decoder.decode(value)
        outcome = await work.aanswer(question.id, question.text)
        outcomes.put_nowait((partition, question.conversation_id.encode(), outcome))

    async def publish() -> None:
        while True:
            partition, key, value = await outcomes.get()
            await producer.send(ANSWERS, value, key=key, partition=partition)

    await producer.start()
    await consumer.start()
    publishing = asyncio.create_task(publish())
    running: set[asyncio.Task[None]] = set()
    print("ready", flush=True)
    try:
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    task = asyncio.create_task(answer(tp.partition, record.value))
                    running.add(task)
                    task.add_done_callback(running.discard)
    finally:
        publishing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
