"""The first connection to the cluster: says why it fails, and sends nothing in the clear unasked.

aiokafka logs each failure and tries again; an operator is better served by one line.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from agents.http.certificates import distrust
from streams.kafka.oauth import TokenError
from streams.settings.errors import OperatorError, SettingsError
from streams.settings.model import Kafka

CONNECT_TIMEOUT_S = 3.0
LOG_IN_TIMEOUT_S = 5.0
CLOSE_S = 0.5


async def arequire_connection(kafka: Kafka, options: Mapping[str, Any]) -> None:
    """Connect to one of the brokers, log in, and ask it something.

    Raises:
        SettingsError: others could read the traffic on its way, and `kafka.allow_plaintext` is not set.
        OperatorError: no broker answers, or none lets us in; the message says why, and how to mend it.
    """
    hosts = collect_hosts(kafka.bootstrap_servers)
    await arefuse_plaintext(kafka, [host for host, _, _ in hosts])
    absent, refusal = "no address is given", ""
    for host, port, _ in hosts:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                # Asked without the protocol first: aiokafka would log errors of its own.
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            absent = getattr(error, "strerror", None) or "no answer"
            continue
        writer.close()
        try:
            async with asyncio.timeout(LOG_IN_TIMEOUT_S):
                await _log_in(host, port, options)
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            refusal = refusal or f"{host}:{port} {_why(error, kafka)}"
        else:
            return
    if refusal:
        raise OperatorError(f"a broker listens, but it cannot be used: {refusal}")
    raise OperatorError(
        f"no Kafka broker answers at {kafka.bootstrap_servers} ({absent}): start one with 'kotae broker', or "
        "name yours in KOTAE_KAFKA__BOOTSTRAP_SERVERS"
    )


async def arefuse_plaintext(kafka: Kafka, hosts: Collection[str]) -> None:
    """Refuse to send anything in the clear to another machine than this one.

    Raises:
        SettingsError: one of the hosts is another machine, and `kafka.allow_plaintext` is not set.
    """
    if kafka.allow_plaintext:
        return
    if not kafka.security_protocol.endswith("SSL"):
        for host in hosts:
            if not await _is_this_machine(host):
                raise SettingsError(
                    f"Kafka at {host} would be reached with {kafka.security_protocol}, which others can read "
                    "and change on the way: set KOTAE_KAFKA__SECURITY_PROTOCOL to SASL_SSL or SSL, or "
                    "allow it on a network of your own with KOTAE_KAFKA__ALLOW_PLAINTEXT=true"
                )
    parts = urlsplit(kafka.oauth_token_url)
    if parts.scheme == "http" and not await _is_this_machine(parts.hostname or ""):
        raise SettingsError(
            "KOTAE_KAFKA__OAUTH_TOKEN_URL would send the client's secret in the clear: use https://, or "
            "allow it on a network of your own with KOTAE_KAFKA__ALLOW_PLAINTEXT=true"
        )


async def _is_this_machine(host: str) -> bool:
    """Return whether all addresses of the host are our own; an unknown host leads nowhere."""
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback or _is_own(host)
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return True
    return all(_is_own(str(address[0])) for *_, address in found)


def _is_own(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))  # only an address of this machine can be bound
        return True
    return False


async def _log_in(host: str, port: int, options: Mapping[str, Any]) -> None:
    wanted = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    timeout_ms = int(LOG_IN_TIMEOUT_S * 1000)
    connection = AIOKafkaConnection(host, port, request_timeout_ms=timeout_ms, **wanted)
    try:
        await connection.connect()
        # aiokafka takes a refused token, and a missing certificate, for a success until it asks for more.
        # The refusal of the broker is then read as an empty answer.
        if not (await connection.send(MetadataRequest([]))).brokers:
            raise KafkaConnectionError("the broker names no broker")
    finally:
        # TLS ends with a message from the other side; a connection that was not opened has none.
        if (closed := connection.close()) is not None:
            await asyncio.wait([closed], timeout=CLOSE_S)


_AUTHORITY = (
    "name the authority that signed it in KOTAE_KAFKA__SSL_CAFILE, and in KOTAE_KAFKA__BOOTSTRAP_SERVERS "
    "a host that it is for"
)
_WHYS: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLCertVerificationError, "shows a certificate that is not trusted {reason}"),
    (ssl.SSLError, "does not agree on TLS ({reason}): check KOTAE_KAFKA__SECURITY_PROTOCOL and SSL_CERTFILE"),
    (TokenError, "wants a token, and {reason}: check KOTAE_KAFKA__OAUTH_*"),
    (
        SaslAuthenticationFailed,
        "refuses the log-in by {mechanism}: check KOTAE_KAFKA__SASL_USERNAME and SASL_PASSWORD",
    ),
    (
        UnsupportedSaslMechanismError,
        "knows no log-in by {mechanism}: choose another KOTAE_KAFKA__SASL_MECHANISM",
    ),
    (IllegalSaslStateError, "wants no log-in there: check KOTAE_KAFKA__SECURITY_PROTOCOL"),
)
_CLOSED = "does not answer to {protocol} ({reason}): check KOTAE_KAFKA__SECURITY_PROTOCOL"
_CLOSED_WITH = {
    "SSL": (
        "closes the connection: check the client's certificate in KOTAE_KAFKA__SSL_CERTFILE and SSL_KEYFILE, "
        "and KOTAE_KAFKA__SECURITY_PROTOCOL"
    ),
    "OAUTHBEARER": "refuses the token: check KOTAE_KAFKA__OAUTH_*, and KOTAE_KAFKA__SECURITY_PROTOCOL",
}


def _why(error: Exception, kafka: Kafka) -> str:
    """Return why the connection failed, as a line that goes on after the broker's address."""
    protocol, mechanism = kafka.security_protocol, kafka.sasl_mechanism
    proof = mechanism if protocol.startswith("SASL") else protocol
    text = next((text for kind, text in _WHYS if isinstance(error, kind)), _CLOSED_WITH.get(proof, _CLOSED))
    reason = type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = distrust(error, _AUTHORITY)
    elif isinstance(error, ssl.SSLError):
        reason = error.reason or reason
    elif isinstance(error, TokenError):
        reason = str(error)
    return text.format(protocol=protocol, mechanism=mechanism, reason=reason)
