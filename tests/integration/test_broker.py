"""Kafka from Maven's jars: started, killed, started again, ended; `kotae broker` from outside."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.topics import Topics
from streams.kafka.topics import acreate_topics, alist_topics
from streams.local.broker import LocalBroker, serves
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from tests.support.system import Program, environment, eventually, free_port

pytestmark = pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("mvn")), reason="no local broker: Java or Maven is missing"
)


@pytest.fixture
async def broker() -> AsyncIterator[LocalBroker]:
    async with LocalBroker(free_port()) as running:
        yield running


async def ended(program: Program) -> None:
    await eventually(lambda: program.exit_code is not None, 20, "the command has ended")


async def test_the_broker_creates_no_topic_unasked_and_keeps_acknowledged_records_through_a_kill(
    broker: LocalBroker,
) -> None:
    address, data = broker.bootstrap_servers, broker.data
    with pytest.raises(OperatorError, match=f"port {broker.port} is taken"):
        await LocalBroker(broker.port).start()
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        producer.client.add_topic("questions")
        for _ in range(20):  # a broker that creates topics unasked needs a few requests
            await producer.client.force_metadata_update()
    states = await alist_topics(Kafka(bootstrap_servers=address))
    assert not any(topic.partitions for topic in states), "a topic was made by being used"
    await acreate_topics(Kafka(bootstrap_servers=address, partitions=1))
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        await producer.send_and_wait("questions", b"kept")
    await broker.kill()
    assert broker.pid is None
    assert not await serves(address)
    await broker.restart()
    assert (broker.bootstrap_servers, broker.data) == (address, data)
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    consumer.assign([TopicPartition("questions", 0)])
    async with consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert record.value == b"kept"
    await broker.stop()
    assert data is not None
    assert not data.exists()
    await broker.stop()


async def test_the_command_starts_a_broker_that_keeps_its_data_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "kept"
    for _ in range(2):
        program = Program(
            ["streams", "broker", "--port", str(port), "--data", str(data)],
            environment(),
            tmp_path / "broker.log",
        )
        try:
            await program.printed(f"Kafka listens on 127.0.0.1:{port} (its data is in {data})")
            kafka = Kafka(bootstrap_servers=f"127.0.0.1:{port}", partitions=1)
            states = await acreate_topics(kafka)
            os.kill(program.pid, signal.SIGINT)
            await ended(program)
        finally:
            code = await program.stop()
        assert code == 0, program.output
        assert not await serves(f"127.0.0.1:{port}")
    assert {topic.name for topic in states} == Topics().own
    assert not any(topic.created for topic in states)


async def test_a_taken_broker_port_is_reported_in_one_line(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        program = Program(["streams", "broker", "--port", str(port)], environment(), tmp_path / "log")
        await ended(program)
    assert await program.stop() == 1
    assert program.output.count("\n") == 1
    assert f"port {port} is taken" in program.output
    assert "--port" in program.output


async def test_no_jvm_outlives_a_command_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    # The test's own folder is removed with the files that a kill leaves on disk.
    settings = environment(TMPDIR=str(tmp_path))
    program = Program(["streams", "broker", "--port", str(port)], settings, tmp_path / "log")
    try:
        await program.printed("Kafka listens")
        os.kill(program.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while await serves(f"127.0.0.1:{port}"):  # noqa: ASYNC110 - nobody is left to tell
                await asyncio.sleep(0.05)
    finally:
        await program.stop()
