"""The address of an API's resource, and the headers that an operator sets for its server. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from msgspec import Meta, Struct

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OURS = frozenset({"idempotency-key", "x-request-id", "traceparent", "content-type", "content-length", "host"})
"""Headers that Kotae itself sets for every call."""


class Env(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that stands in an environment variable: `{env = "NAME"}`."""

    env: Annotated[str, Meta(min_length=1)]


class HeaderError(ValueError):
    """A header in the settings will not do."""


def resource_url(base_url: str, resource: str) -> str:
    """Return the address of a resource below `base_url`, whose query stays at the end."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not path.endswith(f"/{resource}"):
        path = f"{path}/{resource}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def resolved_headers(
    where: str,
    headers: Mapping[str, str | Env],
    environ: Mapping[str, str],
    ours: Collection[str] = OURS,
) -> dict[str, str]:
    """Return the headers with the values from the environment put in.

    Raises:
        HeaderError: one will not do; the message begins with its place, which `where` leads to.
    """
    resolved: dict[str, str] = {}
    for header, value in headers.items():
        place = f"{where}.{header}"
        if not _HEADER_NAME.fullmatch(header):
            raise HeaderError(f"{place}: not a header's name")
        if header.lower() in ours:
            raise HeaderError(f"{place}: set for every call by Kotae itself")
        text = environ.get(value.env, "") if isinstance(value, Env) else value
        if isinstance(value, Env) and not text:
            raise HeaderError(f"{place}: the environment variable {value.env} is not set, or empty")
        if not text.isprintable() or not text.isascii():
            raise HeaderError(f"{place}: its value must be one line of ASCII text")
        resolved[header] = text
    return resolved
