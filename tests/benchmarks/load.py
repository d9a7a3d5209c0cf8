"""A closed loop of users over Kafka: each asks its next question when its last is answered."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics

_TICKS = os.sysconf("SC_CLK_TCK")


class Outcome(msgspec.Struct):
    """As much of an answer as the load reads."""

    question_id: str
    status: str


def cpu_s(pid: int) -> float:
    """User and system seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB (2**20 bytes)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Measured:
    """What one round showed. Latencies in milliseconds, as the asking side sees them."""

    users: int
    questions: int
    seconds: float
    cpu_ms: float
    """CPU of the worker process a question."""
    answered: int
    latencies_ms: list[float] = field(repr=False, default_factory=list)

    @property
    def rate(self) -> float:
        return self.questions / self.seconds

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Load:
    """Users that ask through one producer and read all of `answers` with one consumer."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        self._topics = topics
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

    async def ask(self, user: int) -> tuple[float, str]:
        """Ask once; milliseconds until the answer was read, and its status."""
        self._asked += 1
        question = Question(
            id=f"q{os.getpid()}-{self._asked}", conversation_id=f"user{user}", text=TEXTS[user % len(TEXTS)]
        )
        answer = self._waiting[question.id] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await self._producer.send(
            self._topics.questions, encode(question), key=question.conversation_id.encode()
        )
        status = await asyncio.wait_for(answer, 60)
        return (time.perf_counter() - began) * 1000, status

    async def run(self, users: int, seconds: float, pid: int, warm_up_s: float = 2.0) -> Measured:
        """Let `users` ask for `seconds` after a warm-up; the CPU is that of process `pid`."""
        latencies: list[float] = []
        statuses: list[str] = []
        measuring = False
        stopping = False

        async def user(number: int) -> None:
            while not stopping:
                latency, status = await self.ask(number)
                if measuring:
                    latencies.append(latency)
                    statuses.append(status)

        asking = [asyncio.create_task(user(number)) for number in range(users)]
        await asyncio.sleep(warm_up_s)
        measuring, began, cpu = True, time.perf_counter(), cpu_s(pid)
        await asyncio.sleep(seconds)
        measuring, took, used = False, time.perf_counter() - began, cpu_s(pid) - cpu
        stopping = True
        await asyncio.gather(*asking)
        count = len(latencies)
        answered = sum(status == "answered" for status in statuses)
        return Measured(users, count, took, used * 1000 / max(count, 1), answered, latencies)


TEXTS = [
    f"How long does the warranty of product {n} last, and how is the sky above Tokyo?" for n in range(200)
]
