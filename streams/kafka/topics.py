"""Checks, lists, creates, widens and deletes the topics of a cluster.

aiokafka logs in a tight loop, for a minute, where a topic is missing. So each command that produces or
consumes calls `acheck_topics` first.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from schemas.topics import Topics, TopicSpec
from streams.kafka.authorization import Operation, Right, amissing, list_rights
from streams.kafka.login import arefuse_plaintext, arequire_connection
from streams.kafka.options import client_options
from streams.kafka.topic_settings import anot_stamped, astamp
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

REQUEST_TIMEOUT_S = 10.0
REPLICATION = 3
"""Copies of a new topic, if the cluster has as many brokers."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """One of our topics in the cluster; `partitions` is 0 where it is missing."""

    name: str
    partitions: int
    replication: int
    created: bool = False
    added: int = 0
    """Partitions that were added just now."""
    stamped: bool = False
    """The broker's clock dates its records from now on."""
    foreign_times: bool = False
    """Other clocks than the broker's date its records, though it is to be the broker's."""


async def acheck_topics(
    kafka: Kafka, *, needed: Collection[str], rights: Collection[Right] = ()
) -> Mapping[str, int]:
    """Check within seconds that the cluster answers, has the topics (with their prefix), and allows `rights`.

    Return the number of partitions of each topic that we may see.

    Raises:
        OperatorError: no broker, a right or a topic is missing, or `answers` or `journal` has fewer
            partitions than `questions`; the message says how to mend it.
    """
    async with admin_client(kafka) as admin:
        await arequire_rights(kafka, admin, rights)
        partitions = {name: len(found) for name, found in (await _describe(admin)).items()}
    if problem := topics_problem(kafka, partitions, needed):
        raise OperatorError(problem)
    return partitions


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as this client sees it: brokers, each topic's partitions, and the rights that we lack."""

    brokers: int
    partitions: Mapping[str, int]
    missing_rights: Sequence[Right]


async def alook_at_cluster(kafka: Kafka, rights: Collection[Right]) -> Cluster:
    """Look which of `rights` and which topics there are.

    Raises:
        OperatorError: no broker can be used.
    """
    async with admin_client(kafka) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
        missing = await amissing(admin, rights)
        partitions = {name: len(found) for name, found in (await _describe(admin)).items()}
    return Cluster(brokers, partitions, missing)


def topics_problem(kafka: Kafka, partitions: Mapping[str, int], needed: Collection[str]) -> str:
    """Return the first problem of the needed topics, with its remedy; empty: there is none."""
    topics = Topics(kafka.topic_prefix)
    missing = [name for name in needed if name not in partitions]
    if missing:
        return (
            f"the cluster at {kafka.bootstrap_servers} lacks the topics {', '.join(missing)}: "
            "create them with 'kotae topics create'"
        )
    asked = partitions[topics.questions] if topics.questions in needed else 0
    for name in (topics.answers, topics.journal):
        if name in needed and partitions[name] < asked:
            return (
                f"{name} has {partitions[name]} partitions and {topics.questions} has {asked}, but the "
                "records of a question need its partition number: 'kotae topics create' adds the missing ones"
            )
    return ""


async def arequire_rights(kafka: Kafka, admin: AIOKafkaAdminClient, rights: Collection[Right]) -> None:
    """Check that the cluster gives us all these rights.

    Raises:
        OperatorError: it does not; the message names the missing rights, and the user.
    """
    if missing := await amissing(admin, rights):
        raise OperatorError(not_allowed(kafka, missing))


def not_allowed(kafka: Kafka, missing: Collection[Right]) -> str:
    """Return the line that names the missing rights and the remedy."""
    user = kafka.sasl_username if kafka.security_protocol.startswith("SASL") else ""
    return (
        f"the cluster at {kafka.bootstrap_servers} does not allow {user or 'this client'} "
        f"{' and '.join(map(str, missing))}: grant it with kafka-acls.sh, as docs/security.md shows"
    )


async def alist_topics(kafka: Kafka) -> list[TopicState]:
    """List our topics, in the order of `Topics.specs`, including the missing ones."""
    async with admin_client(kafka) as admin:
        await arequire_rights(kafka, admin, list_rights(kafka))
        found = await _describe(admin)
    return [_state(spec.name, found) for spec in Topics(kafka.topic_prefix).specs(kafka.partitions)]


async def acreate_topics(
    kafka: Kafka, *, replication: int | None = None, alter: bool = False, widen: bool = True
) -> list[TopicState]:
    """Create the missing topics and wait until they can be used; existing ones stay as they are.

    With `alter`, the broker's clock dates the records of `answers` from now on: 0.1.0 left that to workers.

    `answers`, `journal` and `questions.control` are written by partition number, so they are widened to
    `questions` where they are narrower. Keyed topics are widened only with `alter`, because their keys move
    to other partitions: first all that share the number of `questions`, then `questions`, so that it is
    never the widest.

    Args:
        kafka: `partitions` is the number for `questions`, if it is missing or `alter` is set.
        replication: copies; None: `REPLICATION`, or the number of brokers if there are fewer.
        alter: add partitions until there are as many, and set the clock.
        widen: with `alter`, add partitions; else it sets the clock alone.

    Raises:
        OperatorError: no broker answers, or it refuses, or there are more partitions than `alter` asks for.
    """
    topics = Topics(kafka.topic_prefix)
    async with admin_client(kafka) as admin:
        await arequire_rights(kafka, admin, list_rights(kafka))
        before = await _describe(admin)
        wide = len(before.get(topics.questions, ()))
        if alter and widen and wide > kafka.partitions:
            raise OperatorError(
                f"{topics.questions} has {wide} partitions: they can be added, never removed, so ask for more"
            )
        if (alter and widen) or not wide:
            wide = kafka.partitions
        specs = topics.specs(wide)
        shared = [spec.name for spec in specs if spec.partitions == wide and spec.name != topics.questions]
        widened = shared if alter else [topics.answers, topics.journal, topics.control]
        narrow = [name for name in widened if 0 < len(before.get(name, ())) < wide]
        last = [topics.questions] if 0 < len(before.get(topics.questions, ())) < wide else []
        rights = [Right(Operation.ALTER, "topic", name) for name in (*narrow, *last)]
        await arequire_rights(kafka, admin, rights)
        new = [spec for spec in specs if spec.name not in before]
        if new:
            await _create(kafka, admin, new, replication)
        for names in filter(None, (narrow, last)):
            await admin.create_partitions({name: NewPartitions(wide) for name in names})
            await _until(admin, [spec.name for spec in specs], dict.fromkeys(names, wide))
        foreign = await anot_stamped(admin, [topics.answers])
        if alter and foreign:
            if await astamp(admin, foreign):
                raise OperatorError(
                    not_allowed(kafka, [Right(Operation.ALTER_CONFIGS, "topic", name) for name in foreign])
                )
            while await anot_stamped(admin, foreign):  # noqa: ASYNC110 - a broker sends no event
                await asyncio.sleep(0.05)
            stamped, foreign = foreign, []
        else:
            stamped = []
        found = await _until(admin, [spec.name for spec in specs], {})
    created = {spec.name for spec in new}
    return [
        replace(
            _state(spec.name, found, created, before),
            stamped=spec.name in stamped,
            foreign_times=spec.name in foreign,
        )
        for spec in specs
    ]


async def _create(
    kafka: Kafka, admin: AIOKafkaAdminClient, specs: Collection[TopicSpec], replication: int | None
) -> None:
    if replication is None:
        brokers = len((await admin.describe_cluster())["brokers"])
        replication = min(REPLICATION, brokers)
    new = [
        NewTopic(spec.name, spec.partitions, replication, topic_configs=dict(spec.configs)) for spec in specs
    ]
    response = await admin.create_topics(new, timeout_ms=int(REQUEST_TIMEOUT_S * 1000))
    for name, code, message in response.topic_errors:
        if code == TopicAuthorizationFailedError.errno:
            raise OperatorError(not_allowed(kafka, [Right(Operation.CREATE, "topic", name)]))
        if code not in (0, TopicAlreadyExistsError.errno):
            raise OperatorError(f"the topic {name} was refused: {message or for_code(code).__name__}")


async def _until(
    admin: AIOKafkaAdminClient, names: Collection[str], partitions: Mapping[str, int]
) -> dict[str, list[Any]]:
    """Wait until the topics can be used, with at least so many partitions; return them."""
    while True:
        found = await _describe(admin)
        if all(len(found.get(name, ())) >= partitions.get(name, 1) for name in names):
            return found
        await asyncio.sleep(0.05)


async def adelete_topics(kafka: Kafka) -> None:
    """Delete all topics with our names and prefix, with everything on them; missing ones are no error.

    Raises:
        OperatorError: no broker answers, or it refuses.
    """
    async with admin_client(kafka) as admin:
        response = await admin.delete_topics(sorted(Topics(kafka.topic_prefix).own))
    for name, code in response.topic_error_codes:
        if code == TopicAuthorizationFailedError.errno:
            raise OperatorError(not_allowed(kafka, [Right(Operation.DELETE, "topic", name)]))
        if code not in (0, UnknownTopicOrPartitionError.errno):
            raise OperatorError(f"the topic {name} was not deleted: {for_code(code).__name__}")


@asynccontextmanager
async def admin_client(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client for a few requests, all of them within `REQUEST_TIMEOUT_S`."""
    options = client_options(kafka)
    await arequire_connection(kafka, options)
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000 / 2))
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            await admin.start()
            brokers = (await admin.describe_cluster())["brokers"]
            await arefuse_plaintext(kafka, [broker["host"] for broker in brokers])
            yield admin
    except (KafkaError, TimeoutError, OSError) as error:
        raise OperatorError(
            f"a broker listens at {kafka.bootstrap_servers}, but it cannot be used "
            f"({type(error).__name__}: {error}): check KOTAE_KAFKA__SECURITY_PROTOCOL, the log-in, and that "
            "the addresses which the brokers advertise can be reached from here"
        ) from error
    finally:
        await admin.close()


async def _describe(admin: AIOKafkaAdminClient) -> dict[str, list[Any]]:
    """Return the partitions of each topic that can be used now; to ask for all of them creates none."""
    return {
        topic["topic"]: topic["partitions"]
        for topic in await admin.describe_topics()
        if topic["partitions"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
    }


def _state(
    name: str,
    found: Mapping[str, list[Any]],
    created: Collection[str] = (),
    before: Mapping[str, list[Any]] | None = None,
) -> TopicState:
    partitions = found.get(name, [])
    replication = min((len(partition["replicas"]) for partition in partitions), default=0)
    added = max(0, len(partitions) - len(before[name])) if before and name in before else 0
    return TopicState(name, len(partitions), replication, name in created, added)
