"""How long a deletion surely stays on a compacted topic, by the topic's own settings."""

import logging
import math
from collections.abc import Mapping

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from streams.kafka.topics import admin_client
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

_COMPACT = "compact"
_BROKERS_CLOCK = "LogAppendTime"


def kept_s(settings: Mapping[str, str]) -> float:
    """Return for how many seconds from its append a tombstone stays on a topic with these settings. Pure.

    A record is not compacted before `min.compaction.lag.ms`, and the first compaction leaves a tombstone for
    `delete.retention.ms`. The broker counts the lag from a record's time, which is only that of its append
    where the broker sets it.

    Raises:
        KeyError, ValueError: a setting is missing, or is no number.
    """
    if _COMPACT not in settings["cleanup.policy"]:
        return math.inf  # retention moves the log's beginning, which its readers see
    ms = int(settings["delete.retention.ms"])
    if settings["message.timestamp.type"] == _BROKERS_CLOCK:
        ms += int(settings["min.compaction.lag.ms"])
    return ms / 1000


async def atombstones_kept_s(kafka: Kafka, topic: str) -> float:
    """Return for how many seconds a tombstone surely stays on a topic; 0: the broker does not tell.

    Raises:
        OperatorError: no broker can be used.
    """
    async with admin_client(kafka) as admin:
        try:
            [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            [(code, message, _, _, entries)] = response.resources
            if code:
                raise for_code(code)(message)
            return kept_s({entry[0]: entry[1] for entry in entries})
        except (KafkaError, NotImplementedError, KeyError, ValueError) as error:
            log.info(
                "how long %s keeps deletions is not known (%r), so all of it is read again; "
                "the right DESCRIBE_CONFIGS on the topic spares that",
                topic,
                error,
            )
            return 0.0
