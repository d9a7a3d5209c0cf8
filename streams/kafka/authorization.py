"""The rights that each command needs on a cluster that has ACLs, and the ones that a user is missing.

The broker tells our rights before anything is read or written (KIP-430). A broker that does not tell is
believed to allow everything.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from schemas.topics import Topics
from streams.settings.model import Kafka, Settings

_NOT_TOLD = -(2**31)


class Operation(Enum):
    """The operations of Kafka's ACLs, by their number in its protocol."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    ALTER_CONFIGS = 11


@dataclass(frozen=True, slots=True)
class Right:
    """An ACL that allows one operation; READ and WRITE include DESCRIBE."""

    operation: Operation
    resource: Literal["topic", "group"]
    name: str

    def __str__(self) -> str:
        return f"{self.operation.name} on the {self.resource} {self.name}"


def _on_topics(operation: Operation, names: Iterable[str]) -> list[Right]:
    return [Right(operation, "topic", name) for name in names]


def worker_rights(settings: Settings, knowledge_group: str | None = None) -> list[Right]:
    """Return the rights that `kotae worker` needs.

    `knowledge_group` fills an index that workers share; None where each has its own.
    """
    topics = Topics(settings.kafka.topic_prefix)
    reads = (topics.questions, topics.control, topics.documents, topics.answers, topics.journal)
    writes = (
        topics.answers,
        topics.journal,
        topics.dead_letters,
        topics.events,
        topics.deltas,
        topics.replies,
    )
    groups = [settings.worker.group_id, *([knowledge_group] if knowledge_group else [])]
    return [
        *_on_topics(Operation.READ, reads),
        *_on_topics(Operation.WRITE, (*writes, *settings.kafka.reply_topics)),
        *(Right(Operation.READ, "group", group) for group in groups),
    ]


def ask_rights(kafka: Kafka, *, reply_to: str | None = None, streaming: bool = False) -> list[Right]:
    """Return the rights that `kotae ask` and `streams.client` need.

    Args:
        reply_to: the topic that replies come to, if the cluster has it.
        streaming: `answers.deltas` is read, too, because it has not.
    """
    topics = Topics(kafka.topic_prefix)
    reads = [topics.answers, *([reply_to] if reply_to else []), *([topics.deltas] if streaming else [])]
    writes = [topics.questions, topics.control]
    return [*_on_topics(Operation.WRITE, writes), *_on_topics(Operation.READ, reads)]


def feedback_rights(kafka: Kafka) -> list[Right]:
    """Return the rights that `AskClient.feedback` needs beside those to ask."""
    return _on_topics(Operation.WRITE, [Topics(kafka.topic_prefix).feedback])


def ingest_rights(kafka: Kafka) -> list[Right]:
    """Return the rights that `kotae ingest` needs."""
    return _on_topics(Operation.WRITE, [Topics(kafka.topic_prefix).documents])


def document_rights(kafka: Kafka, *, write: bool = False) -> list[Right]:
    """Return the rights that `kotae documents list` and `show` need; `write`: to delete or retry, too."""
    documents = [Topics(kafka.topic_prefix).documents]
    return [*_on_topics(Operation.READ, documents), *_on_topics(Operation.WRITE, documents if write else [])]


def offsets_rights(kafka: Kafka, group_id: str) -> list[Right]:
    """Return the rights that `kotae offsets show` needs."""
    questions = Topics(kafka.topic_prefix).questions
    return [*_on_topics(Operation.READ, [questions]), Right(Operation.DESCRIBE, "group", group_id)]


def dead_letter_rights(kafka: Kafka, *, redrive: bool = False) -> list[Right]:
    """Return the rights that `kotae dlq list` and `show` need, or `kotae dlq redrive`."""
    topics = Topics(kafka.topic_prefix)
    return [
        *_on_topics(Operation.READ, (topics.dead_letters, topics.answers, topics.questions)),
        *_on_topics(Operation.WRITE, [topics.questions] if redrive else []),
    ]


def list_rights(kafka: Kafka) -> list[Right]:
    """Return the rights that `kotae topics list` needs."""
    return _on_topics(Operation.DESCRIBE, sorted(Topics(kafka.topic_prefix).own))


async def amissing(admin: AIOKafkaAdminClient, rights: Collection[Right]) -> list[Right]:
    """Return the rights that we lack, in their order; a right on a topic that is not there counts as given.

    Raises:
        KafkaError: the cluster cannot be asked.
    """
    topics = list(dict.fromkeys(right.name for right in rights if right.resource == "topic"))
    groups = {right.name for right in rights if right.resource == "group"}
    allowed = {("topic", name): bits for name, bits in (await _topic_operations(admin, topics)).items()}
    for group in groups:
        allowed["group", group] = await _group_operations(admin, group)
    return [right for right in rights if not allowed[right.resource, right.name] >> right.operation.value & 1]


_EVERYTHING = -1


async def _topic_operations(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    found = dict.fromkeys(names, _EVERYTHING)
    if not names:
        return found
    try:
        response = await admin._send_request(_TopicRights(names))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return found
    for code, name, _, _, operations in response.topics:
        if code == TopicAuthorizationFailedError.errno:
            found[name] = 0
        elif code == 0 and operations != _NOT_TOLD:
            found[name] = operations
    return found


async def _group_operations(admin: AIOKafkaAdminClient, group: str) -> int:
    try:
        coordinator = await _coordinator(admin, group)
        response = await admin._send_request(_GroupRights(group), coordinator)
    except GroupAuthorizationFailedError:
        return 0
    except (IncompatibleBrokerVersion, NotImplementedError):
        return _EVERYTHING
    [(code, *_, operations)] = response.groups
    if code == GroupAuthorizationFailedError.errno:
        return 0
    return _EVERYTHING if code or operations == _NOT_TOLD else int(operations)


async def _coordinator(admin: AIOKafkaAdminClient, group: str) -> int:
    """Return the broker that leads the group; a new cluster creates its topic of groups when first asked."""
    for pause_s in (0.1, 0.2, 0.4, 0.8, 1.6):
        with contextlib.suppress(GroupCoordinatorNotAvailableError):
            return int(await admin.find_coordinator(group))
        await asyncio.sleep(pause_s)
    return int(await admin.find_coordinator(group))


# aiokafka's own requests stop at versions without rights, or read the answer as an older version.


class _TopicRightsResponse(Response):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _TopicRightsV8(RequestStruct):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _TopicRightsResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _TopicRights(Request[_TopicRightsV8]):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, True)


class _GroupRightsV3(RequestStruct):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class _GroupRights(Request[_GroupRightsV3]):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([self._group], True)
