"""What it takes to know 100,000 results: the recovery that reads them back, and a takeover that does.

    python -m tests.benchmarks.repeats [--results N] [--rounds N]

A real broker, and real engines with an empty pipeline. All questions are answered first, so that `answers`
holds their results. Recovery is the time from the assignment of all partitions to an engine until the last of
them may run. For the takeover another engine in a process of its own has half of the partitions and is
killed (SIGKILL); it lasts until each of them has answered a question that was asked after the kill.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from schemas.answer import Answer
from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics
from streams.assembly.engine import EngineParts, build_engine, build_parts
from streams.cli.worker import spare_the_collector
from streams.local.broker import LocalBroker
from streams.settings.model import Kafka, Settings, Worker
from streams.telemetry.hook import Hook
from tests.benchmarks.engine import Empty, asked, clients
from tests.support.system import environment, eventually

LIMIT_S = 600.0
EVERY_S = 0.1
"""How often each partition is asked during a takeover, so a measured time is late by as much at most."""
RECOVERY_S, BEYOND_A_SESSION_S = 3.0, 5.0
"""The most that either may take."""


@dataclass
class Watch(Hook):
    """Notes when partitions come, when they are recovered (by wall and by CPU) and what was answered."""

    assigned_s: tuple[float, float] = 0.0, 0.0
    assigned: frozenset[int] = frozenset()
    recovered: dict[int, tuple[float, float]] = field(default_factory=dict)
    answered: dict[int, str] = field(default_factory=dict)

    def partitions_assigned(self, partitions: Sequence[int]) -> None:
        self.assigned_s = time.perf_counter(), time.process_time()
        self.assigned = frozenset(partitions)

    def partition_recovered(self, partition: int, scanned: int, completed: int, duration_s: float) -> None:
        self.recovered[partition] = time.perf_counter(), time.process_time()

    def question_finished(self, answer: Answer, duration_s: float) -> None:
        self.answered[answer.source.partition] = answer.question_id


@dataclass(frozen=True)
class Taken:
    """One round: seconds of the recovery and of the takeover, and the results known after each."""

    recovery_s: float
    recovery_cpu_s: float
    recovered: int
    takeover_s: float
    taken_over: int


def settings_of(kafka: Kafka, group: str) -> Settings:
    return Settings(kafka=kafka, worker=Worker(group_id=group, max_in_flight=1000, http_port=0))


@asynccontextmanager
async def member(kafka: Kafka, group: str) -> AsyncIterator[tuple[Watch, EngineParts]]:
    """Run an engine of the group."""
    watch = Watch()
    parts = build_parts(settings_of(kafka, group), watch)
    running = build_engine(parts, Empty())
    await running.start()
    try:
        yield watch, parts
    finally:
        await running.drain(5.0, asyncio.Event())


async def measure(kafka: Kafka, group: str, results: int) -> Taken:
    """Recover all results, then take half of the partitions over."""
    every = set(range(kafka.partitions))
    async with member(kafka, group) as (watch, parts):
        await eventually(lambda: set(watch.recovered) == every, LIMIT_S, "the recovery")
        recovered = len(parts.repeats)
        last = max(watch.recovered.values())
        wall_s, cpu_s = (end - begin for begin, end in zip(watch.assigned_s, last, strict=True))
        other = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __spec__.name, "--member", kafka.bootstrap_servers, kafka.topic_prefix),
            *(group, str(kafka.partitions)),
            env=environment(),
        )
        try:
            await eventually(
                lambda: 0 < len(watch.assigned) < len(every) and len(parts.repeats) < 0.75 * results,
                LIMIT_S,
                "the other engine's partitions",
            )
            await asyncio.sleep(2.0)  # the other one is ready, and has heard from its coordinator since
            takeover_s = await _kill_and_wait(kafka, watch, every - watch.assigned, other)
        finally:
            if other.returncode is None:
                other.kill()
            await other.wait()
        return Taken(wall_s, cpu_s, recovered, takeover_s, len(parts.repeats))


async def _kill_and_wait(
    kafka: Kafka, watch: Watch, lost: set[int], other: asyncio.subprocess.Process
) -> float:
    topic = Topics(kafka.topic_prefix).questions
    async with clients(kafka) as (_, producer):
        await producer.partitions_for(topic)
        other.kill()
        began = time.perf_counter()
        while not all(watch.answered.get(number, "").startswith("after-") for number in lost):
            if time.perf_counter() - began > LIMIT_S:
                raise TimeoutError(f"the partitions {sorted(lost)} were not taken over")
            for number in lost:
                name = f"after-{uuid.uuid4().hex}"
                value = encode(Question(id=name, text="Who answers now?"))
                await producer.send(topic, value, key=name.encode(), partition=number)
            await asyncio.sleep(EVERY_S)
        return time.perf_counter() - began


async def be_a_member(bootstrap_servers: str, prefix: str, group: str, partitions: str) -> None:
    """Answer until killed."""
    kafka = Kafka(bootstrap_servers=bootstrap_servers, topic_prefix=prefix, partitions=int(partitions))
    async with member(kafka, group):
        await asyncio.Event().wait()


async def compare(bootstrap_servers: str, *, results: int, rounds: int) -> list[Taken]:
    """Measure a number of rounds, each on topics of its own."""
    spare_the_collector()  # as `kotae worker` does
    taken = []
    for _ in range(rounds):
        async with asked(bootstrap_servers, results) as kafka:
            group = uuid.uuid4().hex
            async with member(kafka, group) as (_, parts):
                await eventually(lambda: len(parts.repeats) >= results, LIMIT_S, "all results")
            taken.append(await measure(kafka, group, results))
    return taken


def show(taken: Sequence[Taken], session_s: float) -> None:
    """Print the figures with their limits."""
    limits = {"recovery": RECOVERY_S, "takeover": session_s + BEYOND_A_SESSION_S}
    seconds = {
        "recovery": [each.recovery_s for each in taken],
        "takeover": [each.takeover_s for each in taken],
    }
    known = {"recovery": taken[-1].recovered, "takeover": taken[-1].taken_over}
    for name, each in seconds.items():
        rounds = ", ".join(f"{one:.2f}" for one in each)
        print(
            f"{name}: median {statistics.median(each):.2f} s ({rounds}), at most {limits[name]:g} s; "
            f"{known[name]:,} results known after it"
        )
    cpu_s = statistics.median(each.recovery_cpu_s for each in taken)
    print(f"recovery: median {cpu_s:.2f} s of CPU, which is what a machine without other work takes")


async def main(arguments: argparse.Namespace) -> None:
    async def run(bootstrap_servers: str) -> None:
        taken = await compare(bootstrap_servers, results=arguments.results, rounds=arguments.rounds)
        show(taken, Kafka().session_timeout_s)

    named = os.environ.get("KOTAE_TEST_KAFKA")
    if named:
        await run(named)
        return
    async with LocalBroker() as broker:
        await run(broker.bootstrap_servers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--member", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    asyncio.run(be_a_member(*options.member) if options.member else main(options))
