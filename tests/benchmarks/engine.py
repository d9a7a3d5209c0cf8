"""The engine's cost of a question with an empty pipeline, beside a raw consume -> produce loop.

    python -m tests.benchmarks.engine [--questions N] [--rounds N] [--in-flight N ...] [--profile]

All read the same number of questions from a real broker. The raw loop writes one record for each and copies
the bytes, with one coroutine that calls `producer.send`. The engine decodes, keeps order and offsets, writes
an answer and a trace with their headers, and commits; the loop written by hand (`by_hand`) does the same, in
the least code.

Rates are per second of CPU time of this process, which does nothing else, from the first record polled until
the broker has acknowledged the last one: connecting, joining the group and recovery cost a worker the same
for any number of questions. Each run has topics of its own, and deletes them: a second run on the same topics
would find every question answered.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agents.pipeline import Answered, Asked
from schemas.answer import Answer
from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.engine import BATCH_BYTES, build_engine, build_parts
from streams.cli.worker import spare_the_collector
from streams.kafka.topics import acreate_topics, admin_client
from streams.local.broker import LocalBroker
from streams.settings.model import Kafka, Settings, Worker
from streams.telemetry.hook import Hook
from tests.benchmarks.by_hand import ByHand

LIMIT_S = 120.0
"""A run that takes longer than this has failed."""


class Empty:
    """A pipeline that does nothing."""

    created = datetime.now(UTC)

    async def aanswer(self, asked: Asked) -> Answered:
        question = asked.question
        return Answered(
            Answer(
                id=question.id,
                question_id=question.id,
                conversation_id=question.conversation_id,
                tenant=question.tenant,
                status="answered",
                source=asked.source,
                created_at=self.created,
                text="An answer.",
            )
        )


class Meter(Hook):
    """Measures the CPU time from the first record polled until a number of records were sent."""

    def __init__(self, records: int, profile: cProfile.Profile | None = None) -> None:
        self.spent = 0.0
        self._left = records
        self._profile = profile
        self._began: float | None = None
        self._done = asyncio.Event()

    def records_fetched(self, count: int) -> None:
        if self._began is None:
            self._began = time.process_time()
            if self._profile:
                self._profile.enable()

    def records_sent(self, topic: str, count: int, size: int) -> None:
        self.sent(count)

    def sent(self, count: int) -> None:
        self._left -= count
        if not self._left:
            self.spent = time.process_time() - (self._began or 0.0)
            if self._profile:
                self._profile.disable()
            self._done.set()

    async def wait(self) -> float:
        async with asyncio.timeout(LIMIT_S):
            await self._done.wait()
        return self.spent


@asynccontextmanager
async def asked(bootstrap_servers: str, count: int) -> AsyncIterator[Kafka]:
    """`count` questions, in topics that are deleted again."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    kafka = Kafka(bootstrap_servers=bootstrap_servers, topic_prefix=prefix, partitions=6)
    await acreate_topics(kafka)
    try:
        await produce(kafka, count)
        yield kafka
    finally:
        async with admin_client(kafka) as admin:
            await admin.delete_topics(sorted(Topics(prefix).own))


async def produce(kafka: Kafka, count: int) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, max_batch_size=262_144, linger_ms=5
    )
    await producer.start()
    topic = Topics(kafka.topic_prefix).questions
    for number in range(count):
        identifier = f"question-{number}"
        value = encode(Question(id=identifier, text="How long does the warranty of the kettle last?"))
        await producer.send(topic, value, key=identifier.encode(), partition=number % kafka.partitions)
    await producer.stop()


@asynccontextmanager
async def clients(kafka: Kafka) -> AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaProducer]]:
    consumer = AIOKafkaConsumer(
        Topics(kafka.topic_prefix).questions,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=uuid.uuid4().hex,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
    )
    await consumer.start()
    await producer.start()
    yield consumer, producer
    await consumer.stop()
    await producer.stop()


async def raw(kafka: Kafka, count: int) -> float:
    topics, meter = Topics(kafka.topic_prefix), Meter(count)
    async with clients(kafka) as (consumer, producer):
        seen = 0
        while seen < count:
            batches = await consumer.getmany(timeout_ms=1000, max_records=256)
            meter.records_fetched(0)
            for partition, records in batches.items():
                for record in records:
                    await producer.send(
                        topics.answers, record.value, key=record.key, partition=partition.partition
                    )
                seen += len(records)
        await producer.flush()
        meter.sent(count)
    return meter.spent


async def by_hand(kafka: Kafka, count: int, in_flight: int) -> float:
    topics, meter = Topics(kafka.topic_prefix), Meter(2 * count)
    async with clients(kafka) as (consumer, producer):
        worker = ByHand(consumer, producer, topics, Empty(), in_flight, meter)
        for topic in (topics.answers, topics.events):
            await producer.partitions_for(topic)
        running = asyncio.create_task(worker.run())
        await asyncio.wait({running, asyncio.create_task(meter.wait())}, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    return meter.spent


async def engine(kafka: Kafka, count: int, in_flight: int, profile: cProfile.Profile | None = None) -> float:
    worker = Worker(group_id=uuid.uuid4().hex, max_in_flight=in_flight, http_port=0)
    meter = Meter(2 * count, profile)
    under_test = build_engine(build_parts(Settings(kafka=kafka, worker=worker), meter), Empty())
    await under_test.start()
    await meter.wait()
    await under_test.drain(5.0, asyncio.Event())
    return meter.spent


async def compare(
    bootstrap_servers: str, *, questions: int, rounds: int, in_flight: Sequence[int]
) -> dict[str, float]:
    """Microseconds of CPU a question: of the raw loop, and of both engines at each number in flight."""
    spare_the_collector()  # as `kotae worker` does; it helps all of them
    contenders: dict[str, Callable[[Kafka], Awaitable[float]]] = {"raw": lambda kafka: raw(kafka, questions)}
    for limit in in_flight:
        contenders[f"by hand, {limit} in flight"] = lambda kafka, limit=limit: by_hand(
            kafka, questions, limit
        )
        contenders[f"engine, {limit} in flight"] = lambda kafka, limit=limit: engine(kafka, questions, limit)
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            async with asked(bootstrap_servers, questions) as kafka:
                spent[name].append(await run(kafka))
    return {name: statistics.median(figures) / questions * 1e6 for name, figures in spent.items()}


def show(spent: dict[str, float]) -> None:
    """Print the results of `compare`."""
    for name, each in spent.items():
        print(f"{name:26} {1e6 / each:9,.0f}/s of CPU {each:7.1f} us {each / spent['raw']:6.2f}x")


async def measure(arguments: argparse.Namespace, bootstrap_servers: str) -> None:
    spent = await compare(
        bootstrap_servers,
        questions=arguments.questions,
        rounds=arguments.rounds,
        in_flight=arguments.in_flight,
    )
    show(spent)
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps(spent))
    if arguments.profile:
        profile = cProfile.Profile()
        async with asked(bootstrap_servers, arguments.questions) as kafka:
            await engine(kafka, arguments.questions, arguments.in_flight[0], profile)
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


async def main(arguments: argparse.Namespace) -> None:
    named: Any = os.environ.get("KOTAE_TEST_KAFKA")
    if named:
        await measure(arguments, named)
        return
    async with LocalBroker() as broker:
        await measure(arguments, broker.bootstrap_servers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--questions", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    parser.add_argument("--profile", action="store_true", help="Print where the engine's time goes.")
    asyncio.run(main(parser.parse_args()))
