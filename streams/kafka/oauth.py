"""Tokens for SASL/OAUTHBEARER, from an identity provider or from a file that another program keeps fresh.

Each connection to a broker asks for a token, so one is kept until shortly before it expires. Errors do not
repeat the text of an identity provider, which may hold the credentials.
"""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from agents.http.certificates import distrust

TIMEOUT_S = 10.0
RENEW_AT = 0.8
"""The share of a token's life after which the next one is fetched, as Kafka's own clients do."""
LIFETIME_S = 300.0
"""The life of a token whose server does not tell it."""
RESPONSE_MAX = 1_048_576
_ERRORS = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope"}
    | {"unsupported_grant_type"}
)
"""The error codes of RFC 6749, 5.2."""


class TokenError(KafkaError):  # type: ignore[misc]  # aiokafka has no type hints
    """No token can be had; aiokafka takes it for a connection that failed, and tries again."""

    def __str__(self) -> str:
        return str(self.args[0])


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float = LIFETIME_S


class _Refused(msgspec.Struct):
    error: str = ""


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no type hints
    """The client credentials grant of RFC 6749, with HTTP Basic like Kafka's Java client.

    Args:
        extensions: sent to the broker with the token (Confluent Cloud needs some).
        ssl_context: for the identity provider; None: the system's authorities.
        clock: seconds, on any scale.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str = "",
        extensions: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._login = f"Basic {b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._extensions = dict(extensions or {})
        self._ssl = ssl_context
        self._clock = clock
        self._asking = asyncio.Lock()
        self._token = ""
        self._renew_at = self._ends_at = 0.0

    async def token(self) -> str:
        """Return a valid token.

        Raises:
            TokenError: the provider is away or refuses, and the last token has expired.
        """
        async with self._asking:
            if not self._token or self._clock() >= self._renew_at:
                try:
                    granted = await self._fetch()
                except TokenError:
                    if self._clock() >= self._ends_at:
                        raise
                else:
                    now = self._clock()
                    self._token = granted.access_token
                    self._renew_at = now + granted.expires_in * RENEW_AT
                    self._ends_at = now + granted.expires_in
            return self._token

    def extensions(self) -> dict[str, str]:
        """Return the extensions that go to the broker with the token."""
        return self._extensions

    async def _fetch(self) -> _Granted:
        where = urlsplit(self._url).hostname
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=False, auto_decompress=False
                ) as session,
                session.post(
                    self._url,
                    data=self._form,
                    headers={"Accept": "application/json", "Authorization": self._login},
                    ssl=self._ssl or True,
                    allow_redirects=False,
                ) as response,
            ):
                body = await response.content.read(RESPONSE_MAX)
                while not response.content.at_eof() and len(body) < RESPONSE_MAX:
                    body += await response.content.read(RESPONSE_MAX)
                status = response.status
        except aiohttp.ClientConnectorCertificateError as error:
            why = distrust(error.certificate_error, "name its authority in KOTAE_KAFKA__SSL_CAFILE")
            raise TokenError(f"the certificate of the token server {where} is not trusted {why}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TokenError(f"the token server {where} does not answer ({type(error).__name__})") from error
        if status != 200:
            raise TokenError(f"the token server {where} refuses ({status}{_reason(body)})")
        try:
            return msgspec.json.decode(body, type=_Granted, strict=False)
        except msgspec.DecodeError:
            raise TokenError(f"the token server {where} did not answer with a token") from None


def _reason(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=_Refused).error
    except msgspec.DecodeError:
        return ""
    return f" {error}" if error in _ERRORS else ""


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no type hints
    """The token in a file at this moment, such as that of a Kubernetes service account."""

    def __init__(self, path: str, extensions: Mapping[str, str] | None = None) -> None:
        self._path = Path(path)
        self._extensions = dict(extensions or {})

    async def token(self) -> str:
        """Return the content of the file.

        Raises:
            TokenError: it cannot be read, or is empty.
        """
        try:
            token = (await asyncio.to_thread(self._path.read_text, "utf-8")).strip()
        except (OSError, ValueError) as error:
            raise TokenError(f"the token file {self._path} cannot be read") from error
        if not token:
            raise TokenError(f"the token file {self._path} is empty")
        return token

    def extensions(self) -> dict[str, str]:
        """Return the extensions that go to the broker with the token."""
        return self._extensions
