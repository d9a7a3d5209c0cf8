"""Each command works with exactly the rights that docs/security.md lists for it, and names missing ones."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

import msgspec
import orjson
import pytest

from schemas.topics import Topics
from streams.kafka.authorization import (
    Operation,
    Right,
    ask_rights,
    dead_letter_rights,
    document_rights,
    feedback_rights,
    ingest_rights,
    list_rights,
    offsets_rights,
    worker_rights,
)
from streams.kafka.topics import acheck_topics, acreate_topics, adelete_topics, alist_topics
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka, Settings, Worker
from tests.support.secured_kafka import Acls, SecuredBroker, until_missing
from tests.support.system import ROOT, Program, environment, free_port

pytestmark = pytest.mark.tls

GROUP = "acl-workers"


@pytest.fixture
async def prefix(secured_broker: SecuredBroker, topic_prefix: str) -> str:
    await acreate_topics(secured_broker.open_door(topic_prefix))
    return topic_prefix


@pytest.fixture
async def let(secured_broker: SecuredBroker) -> AsyncIterator[Callable[..., object]]:
    """Grants exactly these rights, and takes them away after the test."""
    granted: list[tuple[Acls, Collection[Right]]] = []

    async def let(kafka: Kafka, rights: Collection[Right]) -> None:
        acls = Acls(secured_broker, kafka.sasl_username)
        granted.append((acls, rights))
        await acls.grant(rights)
        await until_missing(kafka, rights, [])

    yield let
    for acls, rights in granted:
        await acls.take(rights)


def env_of(kafka: Kafka) -> dict[str, str]:
    given = {
        name: value for name, value in msgspec.to_builtins(kafka).items() if value != getattr(Kafka(), name)
    }
    return environment(
        KOTAE_WORKER__GROUP_ID=GROUP,
        **{f"KOTAE_KAFKA__{name.upper()}": str(value) for name, value in given.items() if value},
    )


def kotae(kafka: Kafka, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams", *arguments]
    return subprocess.run(command, env=env_of(kafka), capture_output=True, text=True, timeout=60, cwd=ROOT)


async def test_each_command_works_with_its_rights_and_no_more(
    secured_broker: SecuredBroker, prefix: str, let: Callable[..., object], tmp_path: Path
) -> None:
    import asyncio

    worker = secured_broker.sasl("SCRAM-SHA-512", topic_prefix=prefix)
    asker = secured_broker.sasl("SCRAM-SHA-256", "asker", topic_prefix=prefix)
    await let(worker, worker_rights(Settings(kafka=worker, worker=Worker(group_id=GROUP))))
    await let(
        asker,
        [
            *ask_rights(asker, reply_to=Topics(asker.topic_prefix).replies),
            *ingest_rights(asker),
            *document_rights(asker, write=True),
            *offsets_rights(asker, GROUP),
            *dead_letter_rights(asker, redrive=True),
        ],
    )
    (tmp_path / "warranty.md").write_text("# Warranty\n\nEvery product has a warranty of three years.\n")
    ingested = await asyncio.to_thread(kotae, asker, "ingest", str(tmp_path / "warranty.md"))
    assert ingested.returncode == 0, ingested.stderr
    port = free_port()
    env = env_of(worker) | {"KOTAE_WORKER__HTTP_PORT": str(port)}
    program = Program(["streams", "worker"], env, tmp_path / "worker.log")
    try:
        await program.answers_http(f"http://127.0.0.1:{port}/health/ready")
        asked = await asyncio.to_thread(
            kotae, asker, "ask", "--json", "--stream", "How long is the warranty?"
        )
        assert asked.returncode == 0, asked.stderr
        assert "three years" in asked.stdout
        shown = await asyncio.to_thread(kotae, asker, "offsets", "show", "--json")
        assert shown.returncode == 0, shown.stderr
        assert orjson.loads(shown.stdout)
        for arguments in (["list"], ["retry", "default/warranty"], ["delete", "default/warranty"]):
            done = await asyncio.to_thread(kotae, asker, "documents", *arguments)
            assert "uthoriz" not in done.stderr
            assert "allow" not in done.stderr, done.stderr
        listed = await asyncio.to_thread(kotae, asker, "dlq", "list", "--json")
        assert (listed.returncode, listed.stdout.strip()) == (0, "[]"), listed.stderr
        assert await program.stop() == 0, program.output
    finally:
        await program.kill()
    assert "uthoriz" not in program.output


async def test_a_missing_right_is_named_before_anything_begins(
    secured_broker: SecuredBroker, prefix: str, let: Callable[..., object]
) -> None:
    kafka = secured_broker.sasl("PLAIN", topic_prefix=prefix, reply_topics=(f"{prefix}replies",))
    await acreate_reply(secured_broker, prefix)
    needed = sorted(Topics(prefix).own - {Topics(prefix).feedback})  # which a worker has no right to see
    rights = worker_rights(Settings(kafka=kafka, worker=Worker(group_id=GROUP)))
    acls = Acls(secured_broker, "worker")
    await let(kafka, rights)
    for right in rights:
        await acls.take([right])
        await until_missing(kafka, rights, [right])
        with pytest.raises(OperatorError, match=re.escape(f"does not allow worker {right}:")) as caught:
            await acheck_topics(kafka, needed=needed, rights=rights)
        assert "\n" not in str(caught.value)
        await acls.grant([right])
    await until_missing(kafka, rights, [])
    await acheck_topics(kafka, needed=needed, rights=rights)


async def acreate_reply(broker: SecuredBroker, prefix: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(f"{prefix}replies", 1, 1)])
    await admin.close()


@pytest.mark.parametrize(
    "command", ["worker", "ask", "ingest", "documents", "offsets", "dlq", "create", "list"]
)
async def test_without_any_right_each_command_says_so_in_one_line(
    secured_broker: SecuredBroker, prefix: str, command: str, tmp_path: Path
) -> None:
    import asyncio

    (tmp_path / "a.md").write_text("# A\n\nText.\n")
    arguments = {
        "worker": ["worker"],
        "ask": ["ask", "What?"],
        "ingest": ["ingest", str(tmp_path / "a.md")],
        "documents": ["documents", "list"],
        "offsets": ["offsets", "show"],
        "dlq": ["dlq", "list"],
        "create": ["topics", "create"],
        "list": ["topics", "list"],
    }[command]
    kafka = secured_broker.sasl("PLAIN", topic_prefix=prefix)
    done = await asyncio.to_thread(kotae, kafka, *arguments)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert f"{prefix}" in done.stderr
    assert "allow" in done.stderr


async def test_a_check_needs_no_right_of_its_own_and_names_those_that_a_worker_lacks(
    secured_broker: SecuredBroker, prefix: str, let: Callable[..., object]
) -> None:
    import asyncio

    kafka = secured_broker.sasl("PLAIN", topic_prefix=prefix)
    without = await asyncio.to_thread(kotae, kafka, "check", "--json")
    rights = worker_rights(Settings(kafka=kafka, worker=Worker(group_id=GROUP)))
    await let(kafka, rights[1:])
    await until_missing(kafka, rights, rights[:1])
    lacking_one = await asyncio.to_thread(kotae, kafka, "check", "--json")
    await let(kafka, rights[:1])
    with_all = await asyncio.to_thread(kotae, kafka, "check", "--json")
    told = [{one["name"]: one for one in orjson.loads(each.stdout)} for each in (without, lacking_one)]
    assert (without.returncode, lacking_one.returncode, with_all.returncode) == (1, 1, 0), with_all.stdout
    assert [found["kafka"]["ok"] for found in told] == [True, True]
    assert not told[0]["kafka rights"]["ok"]
    assert all(str(right) in told[0]["kafka rights"]["told"] for right in rights)
    assert f"does not allow worker {rights[0]}:" in told[1]["kafka rights"]["told"]
    assert [name for name, one in told[1].items() if not one["ok"]] == ["kafka rights"]


async def test_topics_are_created_and_listed_with_their_rights_and_no_more(
    secured_broker: SecuredBroker, topic_prefix: str, let: Callable[..., object]
) -> None:
    kafka = secured_broker.sasl("PLAIN", topic_prefix=topic_prefix)
    acls = Acls(secured_broker, "worker")
    rights = [
        *(Right(Operation.CREATE, "topic", name) for name in sorted(Topics(topic_prefix).own)),
        *list_rights(kafka),
    ]
    await acls.grant(rights)
    try:
        await until_missing(kafka, rights, [])
        created = await acreate_topics(kafka)
        assert {topic.name for topic in created if topic.created} == Topics(topic_prefix).own
        await acls.take([right for right in rights if right not in list_rights(kafka)])
        assert all(topic.partitions for topic in await alist_topics(kafka))
    finally:
        await acls.take(rights)


async def test_partitions_are_added_with_the_right_to_alter_each_topic_that_gets_some(
    secured_broker: SecuredBroker, prefix: str, let: Callable[..., object]
) -> None:
    kafka = secured_broker.sasl("PLAIN", topic_prefix=prefix, partitions=20)
    topics = Topics(prefix)
    await let(kafka, list_rights(kafka))
    with pytest.raises(
        OperatorError, match=f"does not allow worker .*ALTER on the topic {topics.answers} and"
    ):
        await acreate_topics(kafka, alter=True)
    wider = sorted(topics.own - {topics.documents, topics.replies})
    await let(kafka, [Right(Operation.ALTER, "topic", name) for name in wider])
    widened = await acreate_topics(kafka, alter=True)
    assert sorted(topic.name for topic in widened if topic.added) == wider


async def test_topics_are_deleted_with_the_right_to_delete_each(
    secured_broker: SecuredBroker, prefix: str, let: Callable[..., object]
) -> None:
    kafka = secured_broker.sasl("PLAIN", topic_prefix=prefix)
    names = sorted(Topics(prefix).own)
    await let(kafka, list_rights(kafka))
    with pytest.raises(OperatorError, match=f"does not allow worker DELETE on the topic {prefix}"):
        await adelete_topics(kafka)
    await let(kafka, [Right(Operation.DELETE, "topic", name) for name in names])
    await adelete_topics(kafka)
    await adelete_topics(kafka)
    assert not any(topic.partitions for topic in await alist_topics(kafka))


def test_the_documents_list_the_rights() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    kafka = Kafka()
    settings = Settings()
    rows = {
        "kotae worker": worker_rights(settings),
        "kotae ask": ask_rights(kafka, reply_to=Topics().replies),
        "AskClient.feedback": feedback_rights(kafka),
        "kotae ingest": ingest_rights(kafka),
        "kotae dlq list": dead_letter_rights(kafka),
        "kotae dlq redrive": dead_letter_rights(kafka, redrive=True),
        "kotae offsets show": offsets_rights(kafka, settings.worker.group_id),
    }
    for command, rights in rows.items():
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{command}`")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        listed = set()
        for operation, cell in zip((Operation.READ, Operation.WRITE), cells[1:3], strict=True):
            listed |= {Right(operation, "topic", name) for name in re.findall(r"`([^`]+)`", cell)}
        for word, name in re.findall(r"(Read|Describe) `([^`]+)`", cells[3]):
            listed.add(Right(Operation[word.upper()], "group", name))
        assert listed == set(rights), command
