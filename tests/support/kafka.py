"""A real broker for tests, and topics of a test's own on it.

The broker is the one that `KOTAE_TEST_KAFKA` names, else a container if a Docker engine answers, else
Kafka from Maven. Without any of them, the tests that need a broker are skipped, with the reason.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import Topics
from streams.kafka.topics import acreate_topics
from streams.local.broker import LocalBroker, serves
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from tests.support.system import free_port

IMAGE = "apache/kafka:4.3.0"


class QuickBroker(LocalBroker):
    """A broker that starts with two thirds of the CPU time: it ends before optimised code would pay."""

    def _command(self, directory: Path, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        return super()._command(directory, main, *arguments, options=[*options, *quick])

    def _controller_port(self) -> int:
        return free_port()


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of a broker that lives as long as the test run."""
    named = os.environ.get("KOTAE_TEST_KAFKA")
    if named:
        yield named
    elif docker_answers():
        yield from _container()
    else:
        broker = QuickBroker(free_port())
        try:
            run_apart(broker.start())
        except OperatorError as error:
            run_apart(broker.stop())
            pytest.skip(f"no Kafka: KOTAE_TEST_KAFKA is not set, no Docker engine answers, and {error}")
        try:
            yield broker.bootstrap_servers
        finally:
            run_apart(broker.stop())


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that separates the topics (and groups) of one test from all others."""
    return f"test-{uuid.uuid4().hex[:10]}."


@pytest.fixture
def partitions() -> int:
    """Partitions of the keyed topics; a module or class that wants another number overrides this."""
    return 3


@pytest.fixture
def kafka_settings(kafka_bootstrap: str, topic_prefix: str, partitions: int) -> Kafka:
    """The broker and this test's prefix, as settings; no topic is made yet."""
    return Kafka(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix, partitions=partitions)


@pytest.fixture
async def topics(kafka_settings: Kafka, monkeypatch: pytest.MonkeyPatch) -> Topics:
    """All topics of this test's prefix, ready for use. Few partitions: a broker serves hundreds of tests."""
    monkeypatch.setattr("schemas.topics.REPLY_PARTITIONS", 4)
    await acreate_topics(kafka_settings)
    return Topics(kafka_settings.topic_prefix)


async def configure_topic(kafka: Kafka, topic: str, **config: str) -> None:
    """Set the given fields of a topic's configuration (`_` for `.`); all others return to the broker's."""
    wanted = {name.replace("_", "."): value for name, value in config.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()

    async def known() -> bool:
        [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        found = {entry[0]: entry[1] for entry in response.resources[0][4]}
        return all(found.get(name) == value for name, value in wanted.items())

    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, wanted)])
        async with asyncio.timeout(20):
            while not await known():  # noqa: ASYNC110 - a broker sends no event
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


def docker_answers() -> bool:
    """Whether there is a Docker engine, and not only its client or its socket."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True  # a named engine is meant to be used
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(3)
        try:
            engine.connect(host.removeprefix("unix://"))
            engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in engine.recv(64)
        except OSError:
            return False


def _container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    # The port is chosen first: a broker tells its clients where it is.
    port = free_port()
    settings = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "MESSAGE_MAX_BYTES": "8388608",
    }
    container = DockerContainer(IMAGE).with_bind_ports(9092, port)
    for name, value in settings.items():
        container = container.with_env(f"KAFKA_{name}", value)
    with container:
        address = f"127.0.0.1:{port}"
        run_apart(_until_it_serves(address))
        yield address


def run_apart(work: Coroutine[Any, Any, None]) -> None:
    # Not asyncio.run: it would take away the loop that the plugin has set for the test.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _until_it_serves(address: str) -> None:

    async with asyncio.timeout(90):
        while not await serves(address):  # noqa: ASYNC110 - a container sends no event
            await asyncio.sleep(0.1)
