"""A system under test: real worker processes on real topics, and all ledgers about them."""

import asyncio
import contextlib
import os
import random
import signal
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import encode
from schemas.question import Question
from schemas.topics import Topics
from streams.kafka.topics import acreate_topics
from streams.settings.model import Kafka
from tests.acceptance.oracle.ledgers import SENT_S, Bounds, Cancel, Ledgers, Place, Produced
from tests.acceptance.oracle.observer import Observer
from tests.acceptance.oracle.services import TOOL, Services
from tests.support.engine import end_offsets, read_topic
from tests.support.system import ROOT, Program, environment, eventually, free_port

STOP_S = 45.0


@dataclass(frozen=True)
class Size:
    """How large a run is; times in seconds.

    Attributes:
        faults: how often a scenario does its harm.
        interval_s: time between two faults.
        outage_s: how long a server is away.
        session_s: the group's session timeout.
        latency_s: the model's least and most latency.
        drain_s: the most time for the backlog once everything is healed.
        mutant: one of `tests.acceptance.oracle.mutants` to run instead of the worker; "": none.
    """

    questions: int
    workers: int = 3
    partitions: int = 6
    keys: int = 40
    faults: int = 3
    interval_s: float = 8.0
    outage_s: float = 9.0
    session_s: float = 6.0
    latency_s: tuple[float, float] = (0.1, 0.6)
    drain_s: float = 60.0
    mutant: str = ""


class World:
    """One group of workers and its ledgers; `open_world` makes it."""

    def __init__(
        self,
        kafka: Kafka,
        folder: Path,
        size: Size,
        rng: random.Random,
        services: Services,
        observer: Observer,
    ) -> None:
        self.kafka = kafka
        self.topics = Topics(kafka.topic_prefix)
        self.size = size
        self.rng = rng
        self.services = services
        self.observer = observer
        self.workers: list[Program] = []
        self.exits: list[tuple[Program, int]] = []
        self.faults: list[tuple[str, float]] = []
        self.sent_at: dict[str, float] = {}
        self._sent: list[Produced] = []
        self._cancels: list[Cancel] = []
        self._sequences: dict[bytes | None, int] = {}
        self._health: dict[int, str] = {}
        self._folder = folder
        self._producer: Any = None

    async def open(self) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            max_request_size=4_000_000,
            request_timeout_ms=90_000,
        )
        await self._producer.start()

    async def aclose(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGCONT)
            await worker.kill()
        if self._producer is not None:
            await self._producer.stop()

    # Workers

    def start_worker(self, *, directory: Path = ROOT, **settings: str) -> Program:
        """Start a worker of the code in `directory`, without waiting until it is ready."""
        port = free_port()
        env = environment(
            KOTAE_KAFKA__BOOTSTRAP_SERVERS=self.kafka.bootstrap_servers,
            KOTAE_KAFKA__TOPIC_PREFIX=self.kafka.topic_prefix,
            KOTAE_KAFKA__SESSION_TIMEOUT_S=str(self.size.session_s),
            KOTAE_KAFKA__REPLY_TOPICS=",".join(self.kafka.reply_topics),
            KOTAE_WORKER__GROUP_ID=group_of(self.kafka),
            KOTAE_WORKER__HTTP_PORT=str(port),
            KOTAE_MODEL__BASE_URL=self.services.model.base_url,
            **settings,
        )
        name = ["tests.acceptance.oracle.mutants", self.size.mutant] if self.size.mutant else ["streams"]
        config = self._folder / "tools.toml"
        options = ["--config", str(config)] if config.exists() else []
        log = self._folder / f"worker-{uuid.uuid4().hex[:6]}.log"
        worker = Program([*name, *options, "worker"], env, log, directory)
        self.workers.append(worker)
        self._health[worker.pid] = f"http://127.0.0.1:{port}/health/ready"
        return worker

    def offer_tool(self) -> None:
        """Give the workers that start from now on a tool that is not idempotent."""
        self.offer_tools(
            f'[tools.{TOOL}]\ndescription = "Pays."\nurl = "{self.services.tool_url}"\nmethod = "POST"\n'
            f'idempotent = false\n[tools.{TOOL}.parameters]\ntype = "object"\n'
        )

    def offer_tools(self, tables: str) -> None:
        """Give the workers that start from now on these tools, written as TOML."""
        (self._folder / "tools.toml").write_text(tables)

    async def fetch(self, worker: Program, path: str) -> bytes:
        """A worker's response over HTTP, for instance from `/state`."""
        url = self._health[worker.pid].replace("/health/ready", path)
        return await asyncio.to_thread(_get, url)

    async def ready(self, workers: Iterable[Program] | None = None) -> None:
        for worker in list(self.workers if workers is None else workers):
            await worker.answers_http(self._health[worker.pid])

    async def kill(self, worker: Program) -> None:
        """SIGKILL."""
        self.record("kill")
        self.workers.remove(worker)
        await worker.kill()

    async def stop(self, worker: Program, limit_s: float = STOP_S) -> int:
        """SIGTERM; its exit code."""
        self.workers.remove(worker)
        code = await worker.stop(limit_s)
        self.exits.append((worker, code))
        return code

    def signal(self, worker: Program, number: signal.Signals) -> None:
        self.record(number.name)
        os.kill(worker.pid, number)

    # Ledgers

    def record(self, kind: str) -> None:
        """Note a fault that happens to the system now."""
        self.faults.append((kind, time.time()))

    async def produce(
        self,
        count: int,
        over_s: float = 0.0,
        *,
        prefix: str = "q",
        headers: Sequence[tuple[str, bytes]] = (),
        **fields: Any,
    ) -> None:
        """Send questions of random conversations evenly over a time."""
        start = time.monotonic()
        sending = []
        for number in range(count):
            key = f"c{min(self.rng.randrange(self.size.keys), self.rng.randrange(self.size.keys))}"
            identifier = f"{prefix}{number}"
            value = encode(
                Question(id=identifier, text=f"What of {identifier}?", conversation_id=key, **fields)
            )
            sending.append(asyncio.ensure_future(self.send(identifier, key.encode(), value, headers)))
            await asyncio.sleep(max(0.0, start + over_s * (number + 1) / count - time.monotonic()))
        await asyncio.gather(*sending)

    async def send(
        self,
        identifier: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int | None = None,
    ) -> Place | None:
        """Send one record with any bytes; its place, if the broker acknowledged it."""
        sequence = self._sequences[key] = self._sequences.get(key, -1) + 1
        self.sent_at[identifier] = time.time()
        try:
            done = await self._producer.send(
                self.topics.questions, value, key=key, headers=list(headers), timestamp_ms=timestamp_ms
            )
            found = await done
        except KafkaError:
            self._sent.append(Produced(identifier, key, sequence, "unknown"))
            return None
        place = (found.partition, found.offset)
        self._sent.append(Produced(identifier, key, sequence, "ok", place))
        return place

    async def cancel(self, identifier: str) -> None:
        """Call an acknowledged question back."""
        place = self.places[identifier]
        [key] = {one.key for one in self._sent if one.id == identifier}
        await self._write_cancel(place, key)
        self._cancels.append(Cancel(place, identifier, time.time()))

    async def cancel_unknown(self, count: int) -> None:
        """Write cancels of questions that nobody has asked, and another tenant's of those that were."""
        highest = max((offset for _, offset in self.places.values()), default=0)
        for number in range(count):
            partition = self.rng.randrange(self.size.partitions)
            foreign = number % 2 == 0
            offset = self.rng.randrange(highest + 1) + (0 if foreign else 1_000_000)
            await self._write_cancel((partition, offset), None, tenant="other" if foreign else "default")

    async def _write_cancel(self, place: Place, key: bytes | None, *, tenant: str = "default") -> None:
        source = {"topic": self.topics.questions, "partition": place[0], "offset": place[1]}
        value = orjson.dumps({"type": "cancel", "source": source, "tenant": tenant, "reason": "request"})
        await self._producer.send_and_wait(self.topics.control, value, key=key, partition=place[0])

    @property
    def places(self) -> dict[str, Place]:
        return {question.id: question.place for question in self._sent if question.place is not None}

    def drained(self) -> bool:
        """Whether every accepted question has its outcome and is committed."""
        self.observer.check_alive()
        answered, committed = self.observer.answered, self.observer.committed
        return all(
            place in answered and place[1] < committed.get(place[0], 0) for place in self.places.values()
        )

    def goes_on(self, since: float) -> bool:
        """Whether every partition with questions has an outcome later than a kill at that moment."""
        asked = {partition for partition, _ in self.places.values()}
        return asked <= {one.source[0] for one in self.observer.outcomes if one.at > since + SENT_S}

    @property
    def uncommitted(self) -> int:
        """Questions with an outcome and not below a commit, as far as the observer has read."""
        committed = self.observer.committed
        return sum(place[1] >= committed.get(place[0], 0) for place in self.observer.answered)

    @property
    def paid_and_unanswered(self) -> int:
        """Questions whose tool was called and that have no outcome, as far as the observer has read."""
        answered, places = self.observer.answered, self.places
        return sum(places.get(call.question_id) not in answered for call in self.services.tool_calls)

    async def finish(self, *, duplicates: int | None = 0) -> Ledgers:
        """Wait for the backlog, end the workers, and return the ledgers.

        Args:
            duplicates: the most second outcomes allowed; None: as many as the faults explain.
        """
        healed_at = time.time()
        drained_at = None
        with contextlib.suppress(TimeoutError):
            await eventually(self.drained, self.size.drain_s, "the backlog is gone")
            drained_at = time.time()
        with contextlib.suppress(TimeoutError, RuntimeError):  # how they end is judged by their exit codes
            await self.ready()  # a program that has just started does not know SIGTERM yet
        await asyncio.gather(*(self.stop(worker) for worker in list(self.workers)))
        answers = await end_offsets(self.kafka, self.topics.answers)
        letters = await end_offsets(self.kafka, self.topics.dead_letters)
        observer = self.observer
        await eventually(
            lambda: (
                len(observer.outcomes) >= sum(answers.values())
                and len(observer.dead_letters) >= sum(letters.values())
            ),
            30,
            "all that was written is read",
        )
        services = self.services
        ledgers = Ledgers(
            produced=await self._produced(),
            model_calls=services.model_calls,
            tool_calls=services.tool_calls,
            outcomes=observer.outcomes,
            dead_letters=observer.dead_letters,
            cancels=self._cancels,
            commits=observer.commits,
            healed_at=healed_at,
            drained_at=drained_at,
        )
        rebalances = [("rebalance", at) for at in observer.rebalances]
        ledgers.faults = [ledgers.fault(kind, at) for kind, at in [*self.faults, *rebalances]]
        allowed = ledgers.explained_duplicates if duplicates is None else duplicates
        ledgers.bounds = Bounds(duplicates=allowed, drain_s=self.size.drain_s)
        return ledgers

    async def _produced(self) -> list[Produced]:
        """Every question sent; the topic decides on the ones with an unknown result."""
        count = sum((await end_offsets(self.kafka, self.topics.questions)).values())
        known = set(self.places.values())
        produced = [question for question in self._sent if question.place is not None]
        unknown = {question.id: question for question in self._sent if question.place is None}
        if not unknown and count == len(produced):
            return produced
        for record in await read_topic(self.kafka, self.topics.questions, count):
            place = (record.partition, record.offset)
            if place not in known:
                identifier = next(
                    (one for one in unknown if f'"{one}"'.encode() in (record.value or b"")), str(place)
                )
                unknown.pop(identifier, None)
                produced.append(Produced(identifier, record.key, -1, "unknown", place))
        return produced + list(unknown.values())


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as response:
        return bytes(response.read())


def group_of(kafka: Kafka) -> str:
    """The workers' group."""
    return f"{kafka.topic_prefix}group"


@asynccontextmanager
async def open_world(bootstrap: str, folder: Path, size: Size, seed: int) -> AsyncIterator[World]:
    """Topics, services and an observer; no worker yet. All chance comes from the seed."""
    rng = random.Random(seed)
    prefix = f"oracle-{uuid.uuid4().hex[:8]}."
    kafka = Kafka(
        bootstrap_servers=bootstrap,
        topic_prefix=prefix,
        partitions=size.partitions,
        reply_topics=(f"{prefix}replies",),
    )
    await acreate_topics(kafka)
    async with (
        Services(random.Random(rng.random()), size.latency_s) as services,
        Observer(kafka, group_of(kafka)) as observer,
    ):
        world = World(kafka, folder, size, rng, services, observer)
        try:
            await world.open()
            yield world
        finally:
            await world.aclose()
