"""The keyword arguments that every aiokafka client takes, from settings."""

import logging
import os
from collections.abc import Mapping
from ssl import SSLContext, create_default_context
from types import MappingProxyType
from typing import Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.helpers import create_ssl_context

from streams.kafka.header_names import read_any_header_name
from streams.kafka.oauth import ClientCredentials, TokenFile
from streams.settings.errors import SettingsError
from streams.settings.model import Kafka

COMMITTED: Mapping[str, str] = MappingProxyType({"isolation_level": "read_committed"})
"""The options of each consumer of `questions` or `documents`, which other programs may write in transactions:
without them it would read what a transaction took back. The topics that only Kotae writes are read without
them: a transaction that somebody else left open there must not hold up a recovery."""


def client_options(kafka: Kafka) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes.

    Raises:
        SettingsError: a file cannot be used, or a setting of the log-in is missing.
    """
    # At DEBUG it writes whole requests, the bytes of a SASL log-in included.
    logging.getLogger("aiokafka.conn").setLevel(logging.INFO)
    # The readers of documents and answers must get past such a record as well.
    read_any_header_name()
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        if kafka.sasl_mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = _token_provider(kafka)
        elif not kafka.sasl_username:
            raise SettingsError(f"KOTAE_KAFKA__SASL_USERNAME is empty: {kafka.sasl_mechanism} needs a user")
        else:
            options["sasl_plain_username"] = kafka.sasl_username
            options["sasl_plain_password"] = kafka.sasl_password
    return options


def _ssl_context(kafka: Kafka) -> SSLContext:
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        path = getattr(kafka, name)
        if path and not os.access(path, os.R_OK):
            raise SettingsError(f"KOTAE_KAFKA__{name.upper()} names {path}, which cannot be read")
    try:
        context: SSLContext = create_ssl_context(
            cafile=kafka.ssl_cafile or None,
            certfile=kafka.ssl_certfile or None,
            keyfile=kafka.ssl_keyfile or None,
            # Even where there is none, because OpenSSL would ask the terminal for it.
            password=kafka.ssl_key_password,
        )
    except OSError as error:
        raise SettingsError(
            "the files of KOTAE_KAFKA__SSL_CAFILE, SSL_CERTFILE and SSL_KEYFILE must be PEM files, "
            f"the key that of the certificate, SSL_KEY_PASSWORD its password ({error.strerror or error})"
        ) from error
    return context


def _token_provider(kafka: Kafka) -> AbstractTokenProvider:
    extensions = dict(pair.split("=", 1) for pair in kafka.oauth_extensions)
    if bool(kafka.oauth_token_url) == bool(kafka.oauth_token_file):
        raise SettingsError(
            "OAUTHBEARER needs either KOTAE_KAFKA__OAUTH_TOKEN_URL, with OAUTH_CLIENT_ID and "
            "OAUTH_CLIENT_SECRET, or KOTAE_KAFKA__OAUTH_TOKEN_FILE"
        )
    if kafka.oauth_token_file:
        return TokenFile(kafka.oauth_token_file, extensions)
    if not kafka.oauth_client_id or not kafka.oauth_client_secret:
        raise SettingsError(
            "KOTAE_KAFKA__OAUTH_TOKEN_URL needs KOTAE_KAFKA__OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET"
        )
    context = create_default_context()
    if kafka.ssl_cafile:
        # The authority of the brokers often signs for a private identity provider, too.
        context.load_verify_locations(kafka.ssl_cafile)
    return ClientCredentials(
        kafka.oauth_token_url,
        kafka.oauth_client_id,
        kafka.oauth_client_secret,
        scope=kafka.oauth_scope,
        extensions=extensions,
        ssl_context=context,
    )
