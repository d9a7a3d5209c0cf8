"""A closed loop of users over Kafka: each asks its next question when its last is answered."""

import asyncio
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics
from tests.benchmarks.processes import cpu_s, machine_cpu_s, resident_mb

LOST_S = 60.0
"""A question without an answer for this long is counted as lost."""

TEXTS = [
    f"How long does the warranty of product {n} last, and how is the sky above Tokyo?" for n in range(200)
]


class Outcome(msgspec.Struct):
    """The fields of an answer that the load reads."""

    question_id: str
    status: str


@dataclass
class Measured:
    """The measurements of one stretch of load. Latencies in milliseconds, as the asking side sees them."""

    users: int
    seconds: float
    latencies_ms: list[float] = field(repr=False)
    answered: int
    """Answers with status `answered`, without degraded and failed ones."""
    lost: int
    """Questions that waited for an answer when the stretch began or later, and never had one."""
    cpu_s: dict[str, float]
    """The use of each process meanwhile, among them `load` (this one) and `others`, which have no part."""
    memory_mb: float
    """Memory of the worker at the end."""

    @property
    def questions(self) -> int:
        return len(self.latencies_ms)


class Load:
    """Users that ask through one producer and read all of `answers` with one consumer."""

    def __init__(self, bootstrap: str, topics: Topics, lost_s: float = LOST_S) -> None:
        self._topics = topics
        self._lost_s = lost_s
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._asked = 0

    async def __aenter__(self) -> "Load":
        await self._producer.start()
        await self._consumer.start()
        await self._consumer._client.set_topics([self._topics.answers])
        numbers = self._consumer.partitions_for_topic(self._topics.answers) or set()
        partitions = [TopicPartition(self._topics.answers, number) for number in numbers]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_end(*partitions)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await self._consumer.stop()
        await self._producer.stop()

    async def _read(self) -> None:
        decoder = msgspec.json.Decoder(Outcome)
        while True:
            for records in (await self._consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    outcome = decoder.decode(record.value)
                    waiting = self._waiting.pop(outcome.question_id, None)
                    if waiting and not waiting.done():
                        waiting.set_result(outcome.status)

    async def ask(self, user: int, text: str = "") -> tuple[float, str]:
        """Ask once; milliseconds until the answer was read, and its status (`lost` if none came)."""
        self._asked += 1
        question = Question(
            id=f"q{os.getpid()}-{self._asked}",
            conversation_id=f"user{user}",
            text=text or TEXTS[user % len(TEXTS)],
        )
        loop = asyncio.get_running_loop()
        answer = self._waiting[question.id] = loop.create_future()
        began = time.perf_counter()
        await self._producer.send(
            self._topics.questions, encode(question), key=question.conversation_id.encode()
        )
        # A timer rather than wait_for: it costs less.
        timer = loop.call_later(self._lost_s, _lose, answer)
        status = await answer
        timer.cancel()
        return (time.perf_counter() - began) * 1000, status

    async def run(
        self,
        users: int,
        seconds: float,
        processes: Mapping[str, Sequence[int]],
        *,
        warm_up_s: float = 2.0,
        ramp_s: float = 0.0,
    ) -> Measured:
        """Let `users` ask for `seconds` after a warm-up, in which they begin evenly over `ramp_s`.

        `processes` are the ones whose CPU is measured; of `worker` the memory, too.
        """
        latencies: list[float] = []
        statuses: list[str] = []
        lost = 0
        began = math.inf
        measuring = False
        stopping = False

        async def user(number: int) -> None:
            nonlocal lost
            await asyncio.sleep(ramp_s * number / users)
            while not stopping:
                latency, status = await self.ask(number)
                if status == "lost":
                    # It is known only long after the stretch, and still belongs to it.
                    lost += time.perf_counter() > began
                elif measuring:
                    latencies.append(latency)
                    statuses.append(status)

        def used() -> dict[str, float]:
            ours = {"load": time.process_time()}
            ours |= {name: cpu_s(*pids) for name, pids in processes.items()}
            return ours | {"others": machine_cpu_s() - sum(ours.values())}

        asking = [asyncio.create_task(user(number)) for number in range(users)]
        try:
            await asyncio.sleep(ramp_s + warm_up_s)
            before, began, measuring = used(), time.perf_counter(), True
            await asyncio.sleep(seconds)
            measuring, took, after = False, time.perf_counter() - began, used()
            memory = resident_mb(*processes["worker"])
            stopping = True
            await asyncio.gather(*asking)
        finally:
            for each in asking:
                each.cancel()
        return Measured(
            users=users,
            seconds=took,
            latencies_ms=latencies,
            answered=statuses.count("answered"),
            lost=lost,
            cpu_s={name: after[name] - spent for name, spent in before.items()},
            memory_mb=memory,
        )


def _lose(answer: asyncio.Future[str]) -> None:
    if not answer.done():
        answer.set_result("lost")
