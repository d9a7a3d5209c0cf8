"""Topics on a real broker: created, widened, checked, and reported where they are missing."""

import asyncio

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import Topics
from streams.cli.main import run
from streams.kafka.options import client_options
from streams.kafka.topics import acheck_topics, acreate_topics, admin_client, alist_topics
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from tests.support.kafka import configure_topic
from tests.support.system import free_port


async def create_by_hand(kafka: Kafka, **partitions: int) -> None:
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(kafka.topic_prefix + n, p, 1) for n, p in partitions.items()])
    finally:
        await admin.close()
    async with asyncio.timeout(10):
        while len([topic for topic in await alist_topics(kafka) if topic.partitions]) < len(partitions):  # noqa: ASYNC110 - a broker sends no event
            await asyncio.sleep(0.02)


async def test_all_topics_are_created_and_a_second_time_changes_nothing(kafka_settings: Kafka) -> None:
    first = await acreate_topics(kafka_settings)
    second = await acreate_topics(msgspec.structs.replace(kafka_settings, partitions=9))
    topics = Topics(kafka_settings.topic_prefix)
    assert {topic.name for topic in first} == topics.own
    assert all(topic.created for topic in first)
    assert not any(topic.created for topic in second)
    assert [topic.partitions for topic in first] == [topic.partitions for topic in second]
    assert await alist_topics(kafka_settings) == second


async def test_the_settings_of_a_topic_reach_the_broker(kafka_settings: Kafka, topics: Topics) -> None:
    admin = AIOKafkaAdminClient(**client_options(kafka_settings))
    await admin.start()
    try:
        [response] = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topics.documents, {"cleanup.policy": ""})]
        )
    finally:
        await admin.close()
    [(_, _, _, _, [(name, value, *_)])] = response.resources
    assert (name, value) == ("cleanup.policy", "compact")


async def test_a_cluster_with_all_topics_passes_the_check(kafka_settings: Kafka, topics: Topics) -> None:
    await acheck_topics(kafka_settings, needed=topics.own)


async def test_a_missing_topic_is_named_with_the_command(kafka_settings: Kafka) -> None:
    await create_by_hand(kafka_settings, questions=1)
    topics = Topics(kafka_settings.topic_prefix)
    with pytest.raises(OperatorError, match=f"{topics.answers}.*kotae topics create") as caught:
        await acheck_topics(kafka_settings, needed=[topics.questions, topics.answers])
    assert topics.questions not in str(caught.value)


async def test_too_few_answer_partitions_are_named_and_mended(kafka_settings: Kafka) -> None:
    await create_by_hand(kafka_settings, questions=4, answers=2)
    topics = Topics(kafka_settings.topic_prefix)
    needed = [topics.questions, topics.answers]
    with pytest.raises(OperatorError, match=r"has 2 partitions.* has 4.*kotae topics create"):
        await acheck_topics(kafka_settings, needed=needed)
    states = {topic.name: topic for topic in await acreate_topics(kafka_settings)}
    assert states[topics.answers].partitions == states[topics.journal].partitions == 4
    assert states[topics.control].partitions == 4
    await acheck_topics(kafka_settings, needed=needed)


async def test_partitions_are_added_to_all_topics_that_share_the_number(
    kafka_settings: Kafka, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    widened: list[set[str]] = []
    add = AIOKafkaAdminClient.create_partitions

    async def create_partitions(admin: AIOKafkaAdminClient, partitions: dict[str, NewPartitions]) -> object:
        widened.append(set(partitions))
        return await add(admin, partitions)

    monkeypatch.setattr(AIOKafkaAdminClient, "create_partitions", create_partitions)
    more = msgspec.structs.replace(kafka_settings, partitions=5)
    states = {topic.name: topic for topic in await acreate_topics(more, alter=True)}
    assert states[topics.documents].partitions == 1
    apart = {topics.documents, topics.replies}
    assert {states[name].partitions for name in topics.own - apart} == {5}
    assert states[topics.questions].added == 5 - kafka_settings.partitions
    assert widened == [topics.own - {*apart, topics.questions}, {topics.questions}], "questions last"
    assert not any(topic.added for topic in await acreate_topics(more, alter=True))
    with pytest.raises(OperatorError, match="has 5 partitions: they can be added, never removed"):
        await acreate_topics(kafka_settings, alter=True)


async def test_the_commands_say_that_nothing_was_changed_or_that_keys_move(
    kafka_settings: Kafka,
    topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KOTAE_KAFKA__BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KOTAE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)

    async def call(*arguments: str) -> str:
        assert await asyncio.to_thread(run, ["topics", *arguments]) == 0
        return capsys.readouterr().out

    same = str(kafka_settings.partitions)
    out = await call("create", "--partitions", same)
    assert "nothing was changed" in out
    assert "keeps" not in out
    out = await call("create", "--partitions", "7")
    assert f"{topics.questions} keeps its {same} partitions, though" in out
    assert "says 7" in out
    out = await call("create", "--partitions", "4", "--alter")
    assert "Keys move to other partitions" in out
    assert "nothing was changed" not in out
    assert "Keys move" in await call("alter", "--partitions", "5")
    assert "nothing was changed" in await call("alter", "--partitions", "5")


async def test_an_older_topics_records_are_dated_by_the_broker_from_then_on(
    kafka_settings: Kafka, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await create_by_hand(kafka_settings, questions=2, answers=2)
    answers = Topics(kafka_settings.topic_prefix).answers
    await configure_topic(kafka_settings, answers, retention_ms="777000")
    monkeypatch.setenv("KOTAE_KAFKA__BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("KOTAE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)

    async def call(*arguments: str) -> str:
        assert await asyncio.to_thread(run, ["topics", *arguments]) == 0
        return capsys.readouterr().out

    assert f"{answers} is dated by other clocks than the broker's: 'kotae topics alter'" in await call(
        "create"
    )
    altered = await call("alter")
    assert "dated by the broker's clock" in altered
    assert "partitions: 2" in altered
    assert "keeps" not in altered
    async with admin_client(kafka_settings) as admin:
        [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, answers)])
    found = {entry[0]: entry[1] for entry in response.resources[0][4]}
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert found["retention.ms"] == "777000", "and nothing else is changed"
    assert "nothing was changed" in await call("alter")


async def test_more_copies_than_brokers_are_refused_in_one_line(kafka_settings: Kafka) -> None:
    with pytest.raises(OperatorError, match=r"was refused: .*replication factor"):
        await acreate_topics(kafka_settings, replication=99)


async def test_a_missing_broker_is_reported_within_seconds() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with asyncio.timeout(5):
        with pytest.raises(OperatorError, match=f"no Kafka broker answers at {address}.*kotae broker"):
            await acheck_topics(Kafka(bootstrap_servers=address), needed=["questions"])


async def test_a_listener_that_is_not_kafka_is_reported() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OperatorError, match="cannot be used"):
            await acheck_topics(Kafka(bootstrap_servers=f"127.0.0.1:{port}"), needed=["questions"])
