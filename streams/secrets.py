"""What may be shown of a value that may hold a secret."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_SECRET_NAME = re.compile(r"(api_?key|password|secret|token|authorization)$", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")


def is_secret(name: str) -> bool:
    """Whether a setting or header of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def masked(name: str, value: Any) -> Any:
    """`value` with its secrets replaced by `MASK`: passwords, keys, users in URLs, texts of HTTP headers.

    A reference to an environment variable, `{env = "NAME"}`, is no secret.
    """
    if isinstance(value, Mapping):
        if set(value) == {"env"}:
            return dict(value)
        literal = name.rpartition(".")[2] == "headers"
        return {
            key: MASK if literal and isinstance(inner, str) else masked(key, inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(name, inner) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    return MASK if is_secret(name) else _USERINFO.sub(f"{MASK}@", value)
