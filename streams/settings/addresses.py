"""The texts that are addresses of brokers, servers and a Redis. Pure."""

import re
from urllib.parse import urlsplit

from agents.http.egress import endpoint

_BROKERS = re.compile(
    r"(\[[0-9a-fA-F:.]+\]|[^\s:,\[\]]+):\d{1,5}(,(\[[0-9a-fA-F:.]+\]|[^\s:,\[\]]+):\d{1,5})*"
)


def is_brokers(value: str) -> bool:
    """Whether the text is `host:port` of one or several brokers, comma-separated."""
    return _BROKERS.fullmatch(value) is not None


def is_url_or_empty(value: str) -> bool:
    """Whether the text is an http or https address that can be called, or empty."""
    try:
        return not value or (
            urlsplit(value).scheme in {"http", "https"} and bool(endpoint(value)) and " " not in value
        )
    except ValueError:  # a port out of range, or half an IPv6 address
        return False


def is_redis_or_empty(value: str) -> bool:
    """Whether the text is the address of a Redis, or empty."""
    try:
        parts = urlsplit(value)
        return not value or (
            parts.scheme in {"redis", "rediss"}
            and bool(parts.hostname)
            and parts.port != 0
            and " " not in value
        )
    except ValueError:  # as above
        return False
