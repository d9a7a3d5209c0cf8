"""The rig of a benchmark: one broker, services with given latencies, and the programs under load."""

import asyncio
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from schemas.topics import Topics
from streams.kafka.topics import acreate_topics, admin_client
from streams.local.broker import LocalBroker
from streams.process.processes import free_port
from streams.settings.model import Kafka
from tests.benchmarks import corpus
from tests.benchmarks.contenders import Contender
from tests.benchmarks.load import Load, Measured
from tests.benchmarks.processes import resident_mb, tree
from tests.benchmarks.services import STAGES, Latencies
from tests.support.system import Program, environment, free_ports

_TOOL = """
[tools.tool{n}]
description = "What is known of a city, part {n}."
url = "{url}/tool{n}"
method = "POST"
idempotent = true
[tools.tool{n}.parameters]
type = "object"
properties = {{ city = {{ type = "string" }} }}
"""

READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Workload:
    """The work for a question: retrieval over the documents, the tools that are called, and the model.

    With tools, a plan call comes before them; without, none. `remote`: retrieval asks a server too.
    """

    name: str
    tools: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    chunks: int = corpus.CHUNKS
    remote: bool = False

    @property
    def critical_path_s(self) -> float:
        """The time of the services alone, with everything concurrent that can be."""
        latencies = self.latencies
        planned = latencies.plan_s + latencies.tool_s if self.tools else 0
        return latencies.generate_s + max(planned, latencies.retrieve_s if self.remote else 0)

    @property
    def sequential_s(self) -> float:
        """The time of the services one after another."""
        more = self.latencies.retrieve_s if self.remote else 0
        return self.critical_path_s + self.latencies.tool_s * max(0, self.tools - 1) + more


W1 = Workload("w1", tools=2)
W2 = Workload("w2")


class Rig:
    """The broker, the services, and the programs on them. Use it with `async with`."""

    def __init__(self, folder: Path, bootstrap: str = "") -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self._services: dict[Latencies, tuple[str, Program]] = {}
        self._broker_pid: int | None = None
        self._logs = 0
        self.bootstrap = bootstrap

    async def __aenter__(self) -> "Rig":
        if not self.bootstrap:
            broker = await self._stack.enter_async_context(LocalBroker(say=print))
            self.bootstrap, self._broker_pid = broker.bootstrap_servers, broker.pid
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def running(
        self, contender: Contender, workload: Workload, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator["Running"]:
        """Start a contender on topics of its own, which are deleted with it; yields it when it is ready."""
        prefix = f"bench-{uuid.uuid4().hex[:8]}."
        kafka = Kafka(bootstrap_servers=self.bootstrap, topic_prefix=prefix)
        url, services = await self._serving(workload.latencies)
        await acreate_topics(kafka)
        try:
            await corpus.publish(self.bootstrap, Topics(prefix), corpus.documents(workload.chunks))
            env = self._environment(prefix, url, workload) | contender.settings | dict(settings or {})
            began = time.perf_counter()
            program, status_port = await self._start(contender, env, workload, url)
            ready_s = time.perf_counter() - began
            try:
                yield Running(self, Topics(prefix), program, services, ready_s, status_port)
            finally:
                await program.stop()
        finally:
            async with admin_client(kafka) as admin:
                await admin.delete_topics(sorted(Topics(prefix).own))

    def helpers(self, services: Program) -> dict[str, list[int]]:
        """The processes besides the worker whose CPU is reported."""
        broker = {"broker": [self._broker_pid]} if self._broker_pid else {}
        return {"services": [services.pid], **broker}

    async def _serving(self, latencies: Latencies) -> tuple[str, Program]:
        if latencies not in self._services:
            url = f"http://127.0.0.1:{(port := free_port())}"
            arguments = ["tests.benchmarks.services", "--port", str(port)]
            for stage in STAGES:
                arguments += [f"--{stage}-s", str(getattr(latencies, f"{stage}_s"))]
            program = self._program(arguments, environment())
            self._stack.push_async_callback(program.stop)
            await program.printed("ready")
            self._services[latencies] = url, program
        return self._services[latencies]

    async def _start(
        self, contender: Contender, env: dict[str, str], workload: Workload, url: str
    ) -> tuple[Program, int]:
        if contender.module:
            program = self._program([contender.module], env)
            await self._ready(program, program.printed("ready", READY_S))
            return program, 0
        config = self._folder / "config.toml"
        config.write_text("".join(_TOOL.format(n=n, url=url) for n in range(1, workload.tools + 1)))
        processes = int(env.get("KOTAE_WORKER__PROCESSES", "1"))
        port = free_ports(processes)
        program = self._program(
            ["streams", "--config", str(config), "worker"], env | {"KOTAE_WORKER__HTTP_PORT": str(port)}
        )
        for number in range(processes):
            address = f"http://127.0.0.1:{port + number}/health/ready"
            await self._ready(program, program.answers_http(address, READY_S))
        return program, port

    @staticmethod
    async def _ready(program: Program, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except BaseException:
            await program.kill()
            raise

    def _environment(self, prefix: str, url: str, workload: Workload) -> dict[str, str]:
        remote = {
            "BENCH_REMOTE": "1",
            "KOTAE_COMPONENTS__RETRIEVER": "tests.benchmarks.contenders.remote_retriever:RemoteRetriever",
            "KOTAE_EGRESS__ALLOW": url.removeprefix("http://"),
        }
        return environment(
            **(remote if workload.remote else {}),
            KOTAE_KAFKA__BOOTSTRAP_SERVERS=self.bootstrap,
            KOTAE_KAFKA__TOPIC_PREFIX=prefix,
            KOTAE_CACHE__TTL_S="0",  # the users repeat themselves
            KOTAE_MODEL__BASE_URL=f"{url}/v1",
            BENCH_TOOLS_URL=url,
            BENCH_TOOLS=str(workload.tools),
        )

    def _program(self, arguments: list[str], env: Mapping[str, str]) -> Program:
        self._logs += 1
        return Program(arguments, env, self._folder / f"{self._logs}-{arguments[0].rpartition('.')[2]}.log")


@dataclass(frozen=True, slots=True)
class Running:
    """A ready contender, how long its start took, and the port of its `/state`, if it has one."""

    rig: Rig
    topics: Topics
    program: Program
    services: Program
    ready_s: float
    status_port: int

    @property
    def memory_mb(self) -> float:
        """Resident memory of its processes."""
        return resident_mb(*tree(self.program.pid))

    async def in_flight(self) -> int | None:
        """Questions begun and not ended; None if the contender does not report them."""
        if not self.status_port:
            return None
        return await asyncio.to_thread(_in_flight, f"http://127.0.0.1:{self.status_port}/state")

    def load(self, lost_s: float = 60.0) -> Load:
        """A load for its topics; use it with `async with`."""
        return Load(self.rig.bootstrap, self.topics, lost_s)

    async def measure(self, load: Load, users: int, seconds: float, **options: float) -> Measured:
        """`Load.run`, with the CPU of every process that has a part in it.

        Raises:
            RuntimeError: the program or one of its processes has ended, so the figures would be too low.
        """
        started = tree(self.program.pid)
        processes = {"worker": started, **self.rig.helpers(self.services)}
        found = await load.run(users, seconds, processes, **options)
        if self.program.exit_code is not None:
            raise RuntimeError(f"{self.program.output}\nended with {self.program.exit_code} under load")
        if not set(started) <= set(tree(self.program.pid)):
            raise RuntimeError("one of its processes ended under load")
        return found


def _in_flight(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as response:
        state = orjson.loads(response.read())
    return int(state["in_flight"])
