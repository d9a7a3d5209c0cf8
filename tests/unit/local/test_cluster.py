"""The in-process cluster is enough for the demo with one worker."""

import asyncio
import sys

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.topics import Topics
from streams.kafka.authorization import worker_rights
from streams.kafka.topics import acheck_topics
from streams.local.cluster import InProcessCluster
from streams.process.processes import require_free_port
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka, Settings
from tests.support.system import eventually

pytest.importorskip("confluent_kafka", reason="no in-process cluster: confluent-kafka is not installed")


async def test_an_idempotent_producer_and_a_group_member_work_with_it() -> None:
    topics = Topics()
    async with InProcessCluster(topics.own) as cluster:
        address = cluster.bootstrap_servers
        kafka = Kafka(bootstrap_servers=address)
        rights = worker_rights(Settings(kafka=kafka))
        await acheck_topics(kafka, needed=topics.own, rights=rights)
        async with AIOKafkaProducer(
            bootstrap_servers=address, acks="all", enable_idempotence=True
        ) as producer:
            sent = await producer.send_and_wait(
                topics.questions, b"value", key=b"key", headers=[("correlation_id", b"\xff\x00")]
            )
        async with AIOKafkaConsumer(
            topics.questions,
            bootstrap_servers=address,
            group_id="group",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        ) as consumer:
            record = await asyncio.wait_for(consumer.getone(), 20)
            partition = TopicPartition(record.topic, record.partition)
            await consumer.commit({partition: record.offset + 1})
            committed = await consumer.committed(partition)
    assert (record.partition, record.offset, record.value) == (sent.partition, sent.offset, b"value")
    assert record.headers == (("correlation_id", b"\xff\x00"),)
    assert committed == sent.offset + 1


async def test_a_stopped_cluster_is_gone() -> None:
    cluster = InProcessCluster([])
    await cluster.start()
    port = int(cluster.bootstrap_servers.rpartition(":")[2])
    with pytest.raises(OperatorError):
        require_free_port(port, "")
    await cluster.stop()
    await cluster.stop()

    def free() -> bool:
        try:
            require_free_port(port, "")
        except OperatorError:
            return False
        return True

    await eventually(free, 10, "its threads have ended")


async def test_without_the_wheel_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(OperatorError, match=r"Java 17 and Maven, or 'kotae\[demo\]'"):
        await InProcessCluster([]).start()
