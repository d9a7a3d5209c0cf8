"""A real Kafka that refuses strangers: TLS by a test authority, logins, client certificates, ACLs.

Clients of its loopback PLAINTEXT listener may do everything: there a test sets things up and reads the
topics.
"""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from streams.kafka.authorization import Right, amissing
from streams.kafka.topics import admin_client
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka
from tests.support.authority import Authority, Certificate
from tests.support.kafka import QuickBroker, run_apart
from tests.support.system import free_port

PASSWORDS = {"worker": "worker-pw-5d1c", "asker": "asker-pw-77aa"}
"""The users of PLAIN and SCRAM; neither has any right until one is granted."""

_PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://0.0.0.0:{sasl},SSL://0.0.0.0:{tls},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/,DEFAULT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_ssl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required {users};
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required {me};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


def unsigned_token(subject: str, lifetime_s: float, now: float) -> str:
    """An unsigned token, which Kafka's own validator for development accepts."""
    claims = {"sub": subject, "iat": now, "exp": now + lifetime_s, "scope": "kafka"}
    parts = [urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in ({"alg": "none"}, claims)]
    return f"{b'.'.join(parts).decode()}."


class SecuredBroker(QuickBroker):
    """The broker; its methods return the settings of clients that may connect."""

    def __init__(self, directory: Path) -> None:
        super().__init__(free_port())
        self.authority = Authority(directory)
        server = self.authority.sign("broker")
        self._keystore = directory / "keystore.pem"
        self._keystore.write_text(server.key.read_text() + server.path.read_text())
        self._tls, self._sasl = free_port(), free_port()

    def _configure(self, directory: Path) -> None:
        super()._configure(directory)
        path = directory / "server.properties"
        plain = path.read_text()
        lines = [line for line in plain.splitlines() if not line.startswith("listeners=")]
        text = _PROPERTIES.format(
            port=self.port,
            sasl=self._sasl,
            tls=self._tls,
            controller=plain.partition("CONTROLLER://127.0.0.1:")[2].partition("\n")[0],
            keystore=self._keystore,
            ca=self.authority.path,
            users=" ".join(f'user_{name}="{password}"' for name, password in PASSWORDS.items()),
            login="org.apache.kafka.common.security",
            me='unsecuredLoginStringClaim_sub="broker"',
        )
        path.write_text("\n".join([*lines, text]))

    def _command(self, directory: Path, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        scram: list[str] = []
        if main.endswith("StorageTool"):
            for name, password in PASSWORDS.items():
                for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                    scram += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
        return super()._command(directory, main, *arguments, *scram, options=options)

    def open_door(self, prefix: str) -> Kafka:
        """Settings of a client that may do everything."""
        return Kafka(bootstrap_servers=self.bootstrap_servers, topic_prefix=prefix, partitions=2)

    def sasl(self, mechanism: str, user: str = "worker", **more: Any) -> Kafka:
        """Settings of a user who logs in over TLS."""
        kafka = Kafka(
            bootstrap_servers=f"localhost:{self._sasl}",
            security_protocol="SASL_SSL",
            ssl_cafile=str(self.authority.path),
            sasl_mechanism=mechanism,  # type: ignore[arg-type] - each test names one
            sasl_username=user,
            sasl_password=PASSWORDS.get(user, ""),
        )
        return msgspec.structs.replace(kafka, **more)

    def mutual_tls(self, certificate: Certificate | None, **more: Any) -> Kafka:
        """Settings of a client that shows a certificate."""
        kafka = Kafka(
            bootstrap_servers=f"localhost:{self._tls}",
            security_protocol="SSL",
            ssl_cafile=str(self.authority.path),
            ssl_certfile=str(certificate.path) if certificate else "",
            ssl_keyfile=str(certificate.key) if certificate else "",
        )
        return msgspec.structs.replace(kafka, **more)

    @property
    def sasl_port(self) -> int:
        return self._sasl


# ACLs: aiokafka cannot write them.

_RESOURCES = {"topic": 2, "group": 3}
_LITERAL, _ALLOW = 3, 3


class _CreatedAcls(Response):
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("error_code", Int16), ("error_message", String("utf-8")))),
    )


class _CreateAclsV1(RequestStruct):
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = _CreatedAcls
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("resource_pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission_type", Int8),
            ),
        )
    )


class _CreateAcls(Request[_CreateAclsV1]):
    API_KEY = 30

    def __init__(self, creations: list[tuple[Any, ...]]) -> None:
        self._creations = creations

    def build(self, request_struct_class: type[_CreateAclsV1]) -> _CreateAclsV1:
        return request_struct_class(self._creations)


class _DeletedAcls(Response):
    API_KEY = 31
    API_VERSION = 1
    SCHEMA = Schema(("throttle_time_ms", Int32))


class _DeleteAclsV1(RequestStruct):
    API_KEY = 31
    API_VERSION = 1
    RESPONSE_TYPE = _DeletedAcls
    SCHEMA = _CreateAclsV1.SCHEMA


class _DeleteAcls(Request[_DeleteAclsV1]):
    API_KEY = 31

    def __init__(self, filters: list[tuple[Any, ...]]) -> None:
        self._filters = filters

    def build(self, request_struct_class: type[_DeleteAclsV1]) -> _DeleteAclsV1:
        return request_struct_class(self._filters)


class Acls:
    """Grants and revokes the rights of one user."""

    def __init__(self, broker: SecuredBroker, user: str) -> None:
        self._broker = broker
        self._principal = f"User:{user}"

    async def grant(self, rights: Collection[Right]) -> None:
        """Grant a right; the broker applies it after a moment."""
        await self._send(_CreateAcls([self._row(right) for right in rights]))

    async def take(self, rights: Collection[Right]) -> None:
        """Revoke a right; the broker applies it after a moment."""
        await self._send(_DeleteAcls([self._row(right) for right in rights]))

    def _row(self, right: Right) -> tuple[Any, ...]:
        kind = _RESOURCES[right.resource]
        return (kind, right.name, _LITERAL, self._principal, "*", right.operation.value, _ALLOW)

    async def _send(self, request: Any) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._broker.bootstrap_servers)
        await admin.start()
        try:
            response = await admin._send_request(request)
        finally:
            await admin.close()
        assert all(not result[0] for result in getattr(response, "results", ())), response


async def until_missing(kafka: Kafka, rights: Collection[Right], missing: Collection[Right]) -> None:
    """Wait until this user lacks exactly these of the rights."""
    async with asyncio.timeout(10), admin_client(kafka) as admin:
        while set(await amissing(admin, rights)) != set(missing):  # noqa: ASYNC110 - a broker sends no event
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def secured_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    started = SecuredBroker(tmp_path_factory.mktemp("certificates"))
    try:
        run_apart(started.start())
    except OperatorError as error:
        run_apart(started.stop())
        pytest.skip(f"no Kafka: {error}")
    yield started
    run_apart(started.stop())
