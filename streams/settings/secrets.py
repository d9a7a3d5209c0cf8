"""Secret values: how they are recognised, and how they are masked in texts and messages."""

import re
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
import orjson

from agents.tools.table import SECRET_HEADER
from streams.settings.model import Settings

MASK = "***"

CONCEAL_MIN = 12
"""A shorter secret is masked in the log, but not in messages, where it could be a word of the answer."""
_SECRET_MIN = 4

_SECRET_NAME = re.compile(r"(api_?key|password|secret|token|authorization)$", re.IGNORECASE)
_QUERY_SECRET = re.compile(
    r"(?<=[?&])([^=&#\s]*(?:key|token|secret|password|signature)=)([^&#\s]+)", re.IGNORECASE
)
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")


def is_secret(name: str) -> bool:
    """Whether a setting or header with this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def masked(name: str, value: Any) -> Any:
    """`value` with its secrets replaced by `MASK`: passwords, keys, users in URLs, texts of HTTP headers.

    A reference to an environment variable, `{env = "NAME"}`, is no secret.
    """
    if isinstance(value, Mapping):
        if set(value) == {"env"}:
            return dict(value)
        literal = name.endswith("headers")
        return {
            key: MASK if literal and isinstance(inner, str) else masked(key, inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(name, inner) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    if is_secret(name):
        return MASK
    return _QUERY_SECRET.sub(rf"\g<1>{MASK}", _USERINFO.sub(f"{MASK}@", value))


def secrets_of(settings: Settings, environ: Mapping[str, str]) -> frozenset[str]:
    """Every secret value that the settings hold or refer to: passwords, keys, texts of secret HTTP headers.

    A header that names a type, a tenant or a program is no secret: such words are in answers, too.
    """
    return frozenset(_secrets(msgspec.to_builtins(settings), environ, hidden=False))


def _secrets(value: Any, environ: Mapping[str, str], *, hidden: bool, headers: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {"env"}:
            yield from _secrets(environ.get(value["env"], ""), environ, hidden=True)
            return
        for name, inner in value.items():
            named = is_secret(name) or (headers and SECRET_HEADER.search(name) is not None)
            yield from _secrets(inner, environ, hidden=hidden or named, headers=name.endswith("headers"))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner, environ, hidden=hidden)
    elif isinstance(value, str):
        # A key from a file often ends in a line break, which is missing where the key turns up in a message.
        secret = value.strip()
        # A shorter one would mask half the words of any line, and protects nothing.
        if hidden and len(secret) >= _SECRET_MIN:
            yield secret
        for found in _QUERY_SECRET.finditer(value) if "://" in value else ():
            yield from (found[2], unquote(found[2]))
        if userinfo := re.search(r"://([^/@\s]*):([^/@\s]+)@", value):
            user, password = userinfo.groups()
            yield password
            # The form in which it is sent to a server, which may repeat it.
            yield b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def masker(secrets: Collection[str]) -> Callable[[str], str]:
    """A function that masks every secret in a text."""
    if not secrets:
        return str
    # The longest first: if one secret begins with another, its rest would stay.
    pattern = re.compile("|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True)))
    return lambda text: pattern.sub(MASK, text)


def concealer(secrets: Collection[str]) -> Callable[[bytes], bytes]:
    """A function that masks every secret in a message that leaves the worker, as text or as JSON.

    It returns the very same bytes if they hold no secret, at the cost of one search for each secret.
    """
    mask = MASK.encode()
    long = [secret for secret in secrets if len(secret) >= CONCEAL_MIN]
    in_json = sorted({orjson.dumps(secret)[1:-1] for secret in long}, key=len, reverse=True)
    in_text = sorted({*in_json, *(secret.encode() for secret in long)}, key=len, reverse=True)

    def conceal(text: bytes) -> bytes:
        # In an object, a secret's own quotation marks could be mistaken for those around a JSON string.
        for form in in_json if text.startswith(b"{") else in_text:
            if form in text:
                text = text.replace(form, mask)
        return text

    return conceal
