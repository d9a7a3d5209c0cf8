"""Log-ins to a secured cluster, and the one line that says why it refuses."""

import asyncio
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from schemas.topics import Topics
from streams.kafka.authorization import Operation, Right
from streams.kafka.login import arequire_connection
from streams.kafka.options import client_options
from streams.kafka.topics import acheck_topics, acreate_topics
from streams.settings.errors import OperatorError, SettingsError
from streams.settings.model import Kafka
from tests.support.authority import Authority
from tests.support.engine import (
    ScriptedPipeline,
    producing,
    question,
    read_topic,
    running_engine,
    settings_for,
)
from tests.support.secured_kafka import Acls, SecuredBroker, unsigned_token, until_missing
from tests.support.system import free_port

pytestmark = pytest.mark.tls

MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@pytest.fixture
def broker(secured_broker: SecuredBroker) -> SecuredBroker:
    return secured_broker


@pytest.fixture
async def topics(broker: SecuredBroker, topic_prefix: str) -> Topics:
    await acreate_topics(broker.open_door(topic_prefix))
    return Topics(topic_prefix)


@pytest.fixture
async def allowed(broker: SecuredBroker, topics: Topics) -> AsyncIterator[list[Right]]:
    """Check that this user may do all that an engine does."""
    names = [*topics.own]
    rights = [
        Right(operation, "topic", name) for operation in (Operation.READ, Operation.WRITE) for name in names
    ]
    rights.append(Right(Operation.READ, "group", f"{topics.prefix}workers"))
    for user in ("worker", "client"):
        await Acls(broker, user).grant(rights)
    await until_missing(broker.sasl("PLAIN"), rights, [])
    yield rights
    for user in ("worker", "client"):
        await Acls(broker, user).take(rights)


async def answers_through(kafka: Kafka, broker: SecuredBroker) -> None:
    """A question asked by the open door is answered by an engine that comes in by `kafka`."""
    door = broker.open_door(kafka.topic_prefix)
    topics = Topics(kafka.topic_prefix)
    await acheck_topics(kafka, needed=topics.own)
    async with running_engine(settings_for(kafka), ScriptedPipeline()), producing(door) as producer:
        await producer.send_and_wait(topics.questions, question("q"), key=b"c")
        assert len(await read_topic(door, topics.answers, 1)) == 1


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_user_with_a_password_comes_in(
    broker: SecuredBroker, topics: Topics, allowed: list[Right], mechanism: str
) -> None:
    await answers_through(broker.sasl(mechanism, topic_prefix=topics.prefix), broker)


async def test_a_client_with_a_certificate_comes_in(
    broker: SecuredBroker, topics: Topics, allowed: list[Right]
) -> None:
    certificate = broker.authority.sign("client")
    await answers_through(broker.mutual_tls(certificate, topic_prefix=topics.prefix), broker)


class TokenServer:
    """An identity provider's token endpoint over TLS."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.status = 200
        self.lifetime_s = 300.0
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append(form | {"login": request.headers.get("Authorization", "")})
        if self.status != 200:
            # As real ones do, it tells more than it should.
            body = {"error": "invalid_client", "error_description": request.headers["Authorization"]}
            return web.json_response(body, status=self.status)
        token = unsigned_token("worker", self.lifetime_s, time.time())
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime_s}
        )


@pytest.fixture
async def token_server(broker: SecuredBroker) -> AsyncIterator[TokenServer]:
    server = TokenServer()
    certificate = await asyncio.to_thread(broker.authority.sign, "login")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    application = web.Application()
    application.router.add_post("/token", server.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server.url = f"https://localhost:{runner.addresses[0][1]}/token"
    yield server
    await runner.cleanup()


def with_tokens(broker: SecuredBroker, server: TokenServer, prefix: str) -> Kafka:
    return broker.sasl(
        "OAUTHBEARER",
        topic_prefix=prefix,
        oauth_token_url=server.url,
        oauth_client_id="kotae",
        oauth_client_secret="oauth-secret-90d1",
        oauth_scope="kafka",
    )


async def test_a_token_from_an_identity_provider_comes_in(
    broker: SecuredBroker, topics: Topics, allowed: list[Right], token_server: TokenServer
) -> None:
    await answers_through(with_tokens(broker, token_server, topics.prefix), broker)
    first = token_server.requests[0]
    assert (first["grant_type"], first["scope"]) == ("client_credentials", "kafka")
    assert first["login"].startswith("Basic ")


async def test_a_token_from_a_file_comes_in(
    broker: SecuredBroker, topics: Topics, allowed: list[Right], tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text(unsigned_token("worker", 300, time.time()) + "\n")
    kafka = broker.sasl("OAUTHBEARER", topic_prefix=topics.prefix, oauth_token_file=str(path))
    await answers_through(kafka, broker)


class TestWhatIsSaid:
    """One line, within seconds, without a secret in it."""

    async def refusal(self, kafka: Kafka) -> str:
        async with asyncio.timeout(20):
            with pytest.raises(OperatorError) as caught:
                await acheck_topics(kafka, needed=["questions"])
        message = str(caught.value)
        assert "\n" not in message
        for secret in (kafka.sasl_password, kafka.oauth_client_secret):
            assert not secret or secret not in message
        return message

    @pytest.mark.parametrize("mechanism", MECHANISMS)
    async def test_a_wrong_password_is_refused_in_one_line(
        self, broker: SecuredBroker, mechanism: str
    ) -> None:
        message = await self.refusal(broker.sasl(mechanism, sasl_password="wrong-pw-11"))
        assert f"refuses the log-in by {mechanism}" in message
        assert "SASL_PASSWORD" in message

    async def test_an_unknown_authority_is_refused_in_one_line(
        self, broker: SecuredBroker, tmp_path: Path
    ) -> None:
        other = Authority(tmp_path / "other")
        message = await self.refusal(broker.sasl("PLAIN", ssl_cafile=str(other.path)))
        assert "not trusted" in message
        assert "KOTAE_KAFKA__SSL_CAFILE" in message

    async def test_a_certificate_for_another_host_is_refused_in_one_line(self, broker: SecuredBroker) -> None:
        elsewhere = broker.sasl("PLAIN", bootstrap_servers=f"127.0.0.2:{broker.sasl_port}")
        assert "127.0.0.2" in (message := await self.refusal(elsewhere))
        assert "mismatch" in message

    async def test_an_expired_certificate_is_refused_in_one_line(self, broker: SecuredBroker) -> None:
        expired = await asyncio.to_thread(broker.authority.sign, "expired", days=-1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(expired.path, expired.key)

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            kafka = broker.sasl("PLAIN", bootstrap_servers=f"localhost:{port}")
            assert "certificate has expired" in await self.refusal(kafka)

    async def test_an_authority_incomplete_for_python_3_13_is_said_in_one_line(self, tmp_path: Path) -> None:
        authority = await asyncio.to_thread(Authority, tmp_path, bare=True)
        certificate = await asyncio.to_thread(authority.sign, "broker")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.path, certificate.key)

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            kafka = Kafka(
                bootstrap_servers=f"localhost:{port}",
                security_protocol="SSL",
                ssl_cafile=str(authority.path),
            )
            options = client_options(kafka)
            if sys.version_info < (3, 13):
                options["ssl_context"].verify_flags |= ssl.VERIFY_X509_STRICT
            with pytest.raises(OperatorError) as caught:
                await arequire_connection(kafka, options)
        message = str(caught.value)
        assert "\n" not in message
        assert "keyUsage, subjectKeyIdentifier and authorityKeyIdentifier: Python 3.13" in message
        assert "SSL_CAFILE" not in message

    async def test_a_missing_client_certificate_is_said_in_one_line(self, broker: SecuredBroker) -> None:
        assert "KOTAE_KAFKA__SSL_CERTFILE" in await self.refusal(broker.mutual_tls(None))

    async def test_a_client_certificate_of_another_authority_is_said_in_one_line(
        self, broker: SecuredBroker, tmp_path: Path
    ) -> None:
        stranger = await asyncio.to_thread(lambda: Authority(tmp_path / "other").sign("client"))
        message = await self.refusal(broker.mutual_tls(stranger))
        assert "KOTAE_KAFKA__SSL_CERTFILE" in message or "SSL_CERTFILE" in message

    async def test_plaintext_to_a_tls_listener_is_said_in_one_line(self, broker: SecuredBroker) -> None:
        kafka = msgspec.structs.replace(broker.sasl("PLAIN"), security_protocol="PLAINTEXT")
        assert "KOTAE_KAFKA__SECURITY_PROTOCOL" in await self.refusal(kafka)

    async def test_tls_to_a_plaintext_listener_is_said_in_one_line(self, broker: SecuredBroker) -> None:
        kafka = broker.sasl("PLAIN", bootstrap_servers=broker.bootstrap_servers)
        assert "KOTAE_KAFKA__SECURITY_PROTOCOL" in await self.refusal(kafka)

    async def test_a_token_that_the_broker_refuses_is_said_in_one_line(
        self, broker: SecuredBroker, tmp_path: Path
    ) -> None:
        path = tmp_path / "token"
        path.write_text(unsigned_token("worker", -300, time.time() - 600))
        message = await self.refusal(broker.sasl("OAUTHBEARER", oauth_token_file=str(path)))
        assert "refuses the token" in message

    async def test_a_token_server_that_refuses_is_said_in_one_line(
        self, broker: SecuredBroker, token_server: TokenServer
    ) -> None:
        token_server.status = 401
        message = await self.refusal(with_tokens(broker, token_server, ""))
        assert "the token server localhost refuses (401 invalid_client)" in message
        assert "Basic" not in message

    async def test_a_token_server_that_is_away_is_said_in_one_line(
        self, broker: SecuredBroker, token_server: TokenServer
    ) -> None:
        token_server.url = f"https://localhost:{free_port()}/token"
        assert "does not answer" in await self.refusal(with_tokens(broker, token_server, ""))

    async def test_a_missing_token_file_is_said_in_one_line(
        self, broker: SecuredBroker, tmp_path: Path
    ) -> None:
        kafka = broker.sasl("OAUTHBEARER", oauth_token_file=str(tmp_path / "none"))
        assert f"{tmp_path / 'none'} cannot be read" in await self.refusal(kafka)

    async def test_one_of_several_brokers_is_enough(self, broker: SecuredBroker, topics: Topics) -> None:
        kafka = broker.open_door(topics.prefix)
        away = f"127.0.0.1:{free_port()},{kafka.bootstrap_servers}"
        await acheck_topics(msgspec.structs.replace(kafka, bootstrap_servers=away), needed=topics.own)


class TestInTheClear:
    async def test_plaintext_to_another_machine_is_refused(self) -> None:
        kafka = Kafka(bootstrap_servers="127.0.0.1:9,192.0.2.7:9092")
        with pytest.raises(SettingsError, match=r"192\.0\.2\.7 .*KOTAE_KAFKA__ALLOW_PLAINTEXT=true"):
            await acheck_topics(kafka, needed=["questions"])

    async def test_a_password_without_tls_to_another_machine_is_refused(self) -> None:
        kafka = Kafka(
            bootstrap_servers="192.0.2.7:9092", security_protocol="SASL_PLAINTEXT", sasl_username="u"
        )
        with pytest.raises(SettingsError, match="SASL_PLAINTEXT"):
            await acheck_topics(kafka, needed=["questions"])

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"])
    async def test_plaintext_to_this_machine_is_allowed(self, host: str) -> None:
        kafka = Kafka(bootstrap_servers=f"{host}:{free_port()}")
        with pytest.raises(OperatorError, match="no Kafka broker answers"):
            await acheck_topics(kafka, needed=["questions"])

    async def test_brokers_that_send_us_elsewhere_are_refused(self, topic_prefix: str) -> None:
        from streams.kafka.login import arefuse_plaintext

        with pytest.raises(SettingsError, match=r"198\.51\.100\.4"):
            await arefuse_plaintext(Kafka(), ["127.0.0.1", "198.51.100.4"])
        await arefuse_plaintext(Kafka(allow_plaintext=True), ["198.51.100.4"])

    async def test_the_secret_of_a_client_stays_off_the_network(self) -> None:
        kafka = Kafka(
            bootstrap_servers="192.0.2.7:9092",
            security_protocol="SASL_SSL",
            sasl_mechanism="OAUTHBEARER",
            oauth_token_url="http://198.51.100.4/token",
            oauth_client_id="me",
            oauth_client_secret="x",
        )
        with pytest.raises(SettingsError, match="OAUTH_TOKEN_URL"):
            await acheck_topics(kafka, needed=["questions"])


class TestSettings:
    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"ssl_cafile": "/nowhere/ca.pem"}, "KOTAE_KAFKA__SSL_CAFILE names /nowhere/ca.pem"),
            ({"ssl_cafile": __file__}, "PEM"),
            ({"security_protocol": "SASL_SSL"}, "SASL_USERNAME is empty"),
            ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "OAUTH_TOKEN_FILE"),
            (
                {
                    "security_protocol": "SASL_SSL",
                    "sasl_mechanism": "OAUTHBEARER",
                    "oauth_token_url": "https://x",
                },
                "OAUTH_CLIENT_SECRET",
            ),
        ],
    )
    def test_a_missing_setting_is_named(self, fields: dict[str, str], says: str) -> None:
        kafka = Kafka(**({"security_protocol": "SSL"} | fields))  # type: ignore[arg-type] - as each case says
        with pytest.raises(SettingsError, match=says) as caught:
            client_options(kafka)
        assert "\n" not in str(caught.value)

    def test_an_encrypted_key_never_asks_the_terminal(self, broker: SecuredBroker, tmp_path: Path) -> None:
        import subprocess

        certificate = broker.authority.sign("sealed")
        sealed = tmp_path / "sealed.key"
        command = [
            "openssl",
            "pkcs8",
            "-topk8",
            "-in",
            certificate.key,
            "-out",
            sealed,
            "-passout",
            "pass:key-pw",
        ]
        subprocess.run(command, check=True, capture_output=True)
        kafka = msgspec.structs.replace(broker.mutual_tls(certificate), ssl_keyfile=str(sealed))
        with pytest.raises(SettingsError, match="SSL_KEY_PASSWORD"):
            client_options(kafka)
        client_options(msgspec.structs.replace(kafka, ssl_key_password="key-pw"))
