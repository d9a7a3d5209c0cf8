"""Speed and memory beside a hand-written loop: `make bench`, or `python -m tests.benchmarks`.

The worker and the floor (`floor.py`) are real processes on one real broker; each round puts the same
closed loop of users on one, then on the other, and the medians of the rounds are compared, because
only ratios within one run mean something on a busy machine. The engine alone (`engine.py`) and what it
keeps of open offsets (`tracking.py`) are measured in this process. `--json FILE` keeps the figures.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import orjson
from aiokafka import AIOKafkaProducer

from schemas.codec import encode
from schemas.document import Document, document_key
from schemas.topics import Topics
from streams.kafka import acreate_topics
from streams.local.broker import LocalBroker
from streams.processes import free_port
from streams.settings import Kafka
from tests.benchmarks import engine, tracking
from tests.benchmarks.load import Load, Measured, resident_mb
from tests.benchmarks.services import CRITICAL_PATH_S
from tests.support.system import Program, environment

CHUNKS = 2_000

TOOLS = """
[tools.tool1]
description = "The weather of a city."
url = "{url}/tool1"
method = "POST"
idempotent = true
[tools.tool1.parameters]
type = "object"
properties = {{ city = {{ type = "string" }} }}
[tools.tool2]
description = "The sky of a city."
url = "{url}/tool2"
method = "POST"
idempotent = true
[tools.tool2.parameters]
type = "object"
properties = {{ city = {{ type = "string" }} }}
"""


def documents(count: int) -> list[Document]:
    """Distinct short documents, one chunk each."""
    return [
        Document(
            id=f"product-{n}",
            title=f"Product {n}",
            text=f"The warranty of product {n} lasts {n % 9 + 1} years. It was made in series {n * 7 % 1000} "
            f"and weighs {n % 50 + 1} kilograms. Spare parts are kept for {n % 20 + 5} years.",
        )
        for n in range(count)
    ]


async def publish(bootstrap: str, topics: Topics, knowledge: list[Document]) -> None:
    """Put documents on the `documents` topic."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    await producer.start()
    try:
        for document in knowledge:
            key = document_key(document.tenant, document.id)
            await producer.send(topics.documents, encode(document), key=key)
    finally:
        await producer.stop()


class Bench:
    """The broker, the services, and the programs under test."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.bootstrap = ""
        self._services = f"http://127.0.0.1:{free_port()}"

    async def start(self) -> None:
        broker = await self._stack.enter_async_context(LocalBroker(say=print))
        self.bootstrap = broker.bootstrap_servers
        port = self._services.rpartition(":")[2]
        await self._program(["tests.benchmarks.services", "--port", port], environment()).printed("ready")

    async def prepare(self, prefix: str, chunks: int) -> Topics:
        topics = Topics(prefix)
        await acreate_topics(Kafka(bootstrap_servers=self.bootstrap, topic_prefix=prefix))
        await publish(self.bootstrap, topics, documents(chunks))
        return topics

    async def worker(self, prefix: str, *, tools: bool) -> Program:
        port = free_port()
        config = self._folder / f"{prefix}config.toml"
        config.write_text(TOOLS.format(url=self._services) if tools else "")
        program = self._program(
            ["streams", "--config", str(config), "worker"],
            self._environment(prefix) | {"KOTAE_WORKER__HTTP_PORT": str(port)},
        )
        await program.answers_http(f"http://127.0.0.1:{port}/health/ready", 120)
        return program

    async def floor(self, prefix: str, *, tools: bool) -> Program:
        settings = {"BENCH_TOOLS_URL": self._services, "BENCH_WITH_TOOLS": "1" if tools else "0"}
        program = self._program(["tests.benchmarks.floor"], self._environment(prefix) | settings)
        await program.printed("ready", 120)
        return program

    def _environment(self, prefix: str) -> dict[str, str]:
        return environment(
            KOTAE_KAFKA__BOOTSTRAP_SERVERS=self.bootstrap,
            KOTAE_KAFKA__TOPIC_PREFIX=prefix,
            KOTAE_CACHE__ANSWERS_TTL_S="0",  # the users repeat themselves
            KOTAE_MODEL__BASE_URL=f"{self._services}/v1",
        )

    def _program(self, arguments: list[str], env: dict[str, str]) -> Program:
        program = Program(arguments, env, self._folder / f"{len(list(self._folder.iterdir()))}.log")
        self._stack.push_async_callback(program.stop)
        return program


async def compare(bench: Bench, *, tools: bool, users: int, rounds: int, seconds: float) -> dict[str, object]:
    """CPU a question of worker and floor, interleaved."""
    prefixes = {name: f"{name}-{'w1' if tools else 'w2'}-" for name in ("worker", "floor")}
    topics = {name: await bench.prepare(prefix, CHUNKS) for name, prefix in prefixes.items()}
    programs = {
        "worker": await bench.worker(prefixes["worker"], tools=tools),
        "floor": await bench.floor(prefixes["floor"], tools=tools),
    }
    measured: dict[str, list[Measured]] = {name: [] for name in programs}
    idle: dict[str, list[Measured]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            async with Load(bench.bootstrap, topics[name]) as load:
                idle[name].append(await load.run(1, 4, program.pid))
                measured[name].append(await load.run(users, seconds, program.pid))
    for program in programs.values():
        await program.stop()
    return {
        name: {
            "idle_latency_ms": _median(round_.percentile_ms(0.5) for round_ in idle[name]),
            "questions_per_s": _median(round_.rate for round_ in measured[name]),
            "p95_ms": _median(round_.percentile_ms(0.95) for round_ in measured[name]),
            "cpu_ms": _median(round_.cpu_ms for round_ in measured[name]),
            "answered_share": sum(round_.answered for round_ in measured[name])
            / max(1, sum(round_.questions for round_ in measured[name])),
        }
        for name in programs
    }


async def memory(bench: Bench, prefix: str, chunks: int) -> dict[str, float]:
    """Resident memory and time to ready of an idle worker with so many chunks."""
    await bench.prepare(prefix, chunks)
    began = time.perf_counter()
    program = await bench.worker(prefix, tools=False)
    ready_s = time.perf_counter() - began
    await asyncio.sleep(3)
    found = {"resident_mb": resident_mb(program.pid), "ready_s": ready_s}
    await program.stop()
    return found


def _median(values: object) -> float:
    return statistics.median(values)  # type: ignore[call-overload,no-any-return] - any iterable of floats


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            bench = Bench(Path(folder), stack)
            await bench.start()
            found: dict[str, object] = {}
            found["engine_us"] = cost = await engine.compare(
                bench.bootstrap, questions=30_000, rounds=options.rounds, in_flight=(100, 10_000)
            )
            engine.show(cost)
            tracked = tracking.measure(offsets=100_000, partitions=64, rounds=10)
            found["open_offsets"] = msgspec.to_builtins(tracked)
            tracking.show(tracked)
            for name, tools in (("w1", True), ("w2", False)):
                figures = await compare(
                    bench, tools=tools, users=options.users, rounds=options.rounds, seconds=options.seconds
                )
                found[name] = figures
                _show(name, figures, CRITICAL_PATH_S if tools else 0.140)
            for chunks in (100, 50_000):
                found[f"memory_{chunks}"] = figures = await memory(bench, f"memory-{chunks}-", chunks)
                memory_mb, ready_s = figures["resident_mb"], figures["ready_s"]
                print(f"idle worker, {chunks:,} chunks: {memory_mb:.0f} MB, ready in {ready_s:.1f} s")
    if options.json:
        options.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def _show(name: str, figures: dict[str, object], critical_path_s: float) -> None:
    rows = msgspec.convert(figures, dict[str, dict[str, float]])
    print(f"{name}, medians: critical path {critical_path_s * 1000:.0f} ms")
    for program, row in rows.items():
        latency, cpu = row["idle_latency_ms"], row["cpu_ms"]
        print(
            f"  {program:7} one user {latency:6.1f} ms ({latency / critical_path_s / 1000:.3f}x)"
            f"  loaded {row['questions_per_s']:6.0f}/s  p95 {row['p95_ms']:6.0f} ms"
            f"  CPU {cpu:.3f} ms ({cpu / rows['floor']['cpu_ms']:.2f}x floor)"
            f"  answered {row['answered_share']:.1%}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    asyncio.run(main(parser.parse_args()))
