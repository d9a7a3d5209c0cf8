"""The settings of topics that exist: which clock dates their records, and how to change that.

Kafka's older request (`AlterConfigs`) takes every setting that it does not name back to the broker's, and
aiokafka has no other. So this one is written out (`IncrementalAlterConfigs`, KIP-339).
"""

from collections.abc import Collection
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

STAMP = "message.timestamp.type"
BROKERS_CLOCK = "LogAppendTime"
_TOPIC = 2
_SET = 0


async def anot_stamped(admin: AIOKafkaAdminClient, topics: Collection[str]) -> list[str]:
    """Return those of the topics whose records the broker's clock does not date.

    A topic whose settings we may not read, or that is not there, counts as dated.

    Raises:
        KafkaError: the cluster cannot be asked.
    """
    if not topics:
        return []
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name, {STAMP: ""}) for name in topics]
    found = [one for response in await admin.describe_configs(wanted) for one in response.resources]
    return [
        name
        for code, _, _, name, entries in found
        if not code and any(entry[0] == STAMP and entry[1] != BROKERS_CLOCK for entry in entries)
    ]


async def astamp(admin: AIOKafkaAdminClient, topics: Collection[str]) -> list[str]:
    """Let the broker's clock date the topics' new records. Return those that we may not alter.

    Raises:
        KafkaError: the cluster refuses, or cannot be asked.
    """
    if not topics:
        return []
    response = await admin._send_request(_Alter(list(topics)))
    refused = []
    for code, message, _, name in response.responses:
        if code == TopicAuthorizationFailedError.errno:
            refused.append(name)
        elif code:
            raise for_code(code)(message)
    return refused


class _AlterResponse(Response):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _AlterV0(RequestStruct):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Alter(Request[_AlterV0]):  # type: ignore[misc]  # aiokafka has no type hints
    API_KEY = 44

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        changes = [(_TOPIC, name, [(STAMP, _SET, BROKERS_CLOCK)]) for name in self._topics]
        return request_struct_class(changes, False)
