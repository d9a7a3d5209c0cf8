"""Set-up of a client on librdkafka: our settings in its names, and a check that a worker is running."""

from typing import Any

from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError

from schemas.answer import Answer
from schemas.topics import Topics
from streams.kafka.authorization import ask_rights
from streams.kafka.topics import acheck_topics, admin_client
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka, Settings


def options(kafka: Kafka) -> dict[str, str]:
    """The settings of the cluster under librdkafka's names.

    Raises:
        OperatorError: the settings ask for OAUTHBEARER, which is not supported here.
    """
    found = {"bootstrap.servers": kafka.bootstrap_servers, "security.protocol": kafka.security_protocol}
    if kafka.security_protocol.endswith("SSL"):
        files = {
            "ssl.ca.location": kafka.ssl_cafile,
            "ssl.certificate.location": kafka.ssl_certfile,
            "ssl.key.location": kafka.ssl_keyfile or kafka.ssl_certfile,
            "ssl.key.password": kafka.ssl_key_password,
        }
        found |= {name: value for name, value in files.items() if value}
    if kafka.security_protocol.startswith("SASL"):
        if kafka.sasl_mechanism == "OAUTHBEARER":
            raise OperatorError("the load logs in by password or certificate, not by OAUTHBEARER")
        found |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username,
            "sasl.password": kafka.sasl_password,
        }
    return found


async def acheck_service(settings: Settings) -> None:
    """Check that a worker is running that will answer.

    Raises:
        OperatorError: no broker, topic or worker; the message names the remedy.
    """
    kafka, group = settings.kafka, settings.worker.group_id
    topics = Topics(kafka.topic_prefix)
    rights = ask_rights(kafka)
    await acheck_topics(kafka, needed=[topics.questions, topics.answers], rights=rights)
    async with admin_client(kafka) as admin:
        try:
            (description,) = await admin.describe_consumer_groups([group])
        except GroupAuthorizationFailedError:
            return  # a user with the right to ask may lack the right to see the workers
        except GroupCoordinatorNotAvailableError:
            members: tuple[Any, ...] = ()  # a cluster that never had a group
        else:
            _, _, _, _, _, members, *_ = description.groups[0]
    if not members:
        raise OperatorError(
            f"no worker of the group {group} is at {kafka.bootstrap_servers}: start one with 'kotae worker', "
            "or name its group in KOTAE_WORKER__GROUP_ID"
        )


def failure(answer: Answer) -> str:
    """The failure of an answer for a user: its status with the code or reasons; empty: it is no failure."""
    if answer.status == "answered":
        return ""
    return f"{answer.status}: {answer.error.code if answer.error else ', '.join(answer.degraded)}"
