"""The load of Locust's users connects with the cluster's settings, and checks that a worker is running."""

import asyncio

import msgspec
import pytest

from schemas.topics import Topics
from streams.kafka.authorization import ask_rights
from streams.kafka.topics import acreate_topics
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka, Settings, Worker
from tests.benchmarks.librdkafka import acheck_service, options
from tests.support.engine import ScriptedPipeline, running_engine, settings_for
from tests.support.secured_kafka import Acls, SecuredBroker, until_missing

pytestmark = pytest.mark.tls


async def brokers_seen(kafka: Kafka) -> int:
    confluent_kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
    client = confluent_kafka.Producer(options(kafka) | {"log_level": "0"})
    return len((await asyncio.to_thread(client.list_topics, timeout=10)).brokers)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_the_load_logs_in_with_a_password(secured_broker: SecuredBroker, mechanism: str) -> None:
    assert await brokers_seen(secured_broker.sasl(mechanism)) == 1


async def test_the_load_logs_in_with_a_certificate(secured_broker: SecuredBroker) -> None:
    assert await brokers_seen(secured_broker.mutual_tls(secured_broker.authority.sign("locust"))) == 1


async def test_the_load_logs_in_with_a_certificate_and_key_in_one_file(secured_broker: SecuredBroker) -> None:
    certificate = secured_broker.authority.sign("one-file")
    certificate.path.write_text(certificate.path.read_text() + certificate.key.read_text())
    kafka = secured_broker.mutual_tls(certificate)
    assert await brokers_seen(msgspec.structs.replace(kafka, ssl_keyfile="")) == 1


async def test_without_a_worker_the_load_does_not_start(kafka_settings: Kafka, topics: Topics) -> None:
    settings = settings_for(kafka_settings)
    with pytest.raises(
        OperatorError, match=f"no worker of the group {settings.worker.group_id} .*kotae worker"
    ):
        await acheck_service(settings)
    async with running_engine(settings, ScriptedPipeline()):
        await acheck_service(settings)


async def test_a_user_without_rights_on_the_group_can_still_ask(
    secured_broker: SecuredBroker, topic_prefix: str
) -> None:
    await acreate_topics(secured_broker.open_door(topic_prefix))
    kafka = secured_broker.sasl("PLAIN", "asker", topic_prefix=topic_prefix)
    rights = ask_rights(kafka)
    await Acls(secured_broker, "asker").grant(rights)
    await until_missing(kafka, rights, [])
    await acheck_service(Settings(kafka=kafka, worker=Worker(group_id=f"{topic_prefix}workers")))
