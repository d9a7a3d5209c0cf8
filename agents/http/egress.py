"""The rules for addresses that may be called. Pure.

An endpoint that the operator configured may be anywhere, loopback included. Every other endpoint (from a
redirect, an argument or a document) must have a public address: of IPv4 all but IANA's special-purpose
blocks, of IPv6 only global unicast that embeds no IPv4 address, and NAT64 of a public one.
`ipaddress.is_global` is not enough: it is true of forms that embed an internal IPv4 address.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry, RFC 4291, 5214 and 6052.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from yarl import URL

Endpoint = tuple[str, int]
"""A host as it stands in a URL (lower case, IDNA-encoded, without a dot at its end) and a port."""

_ENTRY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:,/\\@?#%*\[\]]+):\d{1,5}")

_SPECIAL_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network: Linux connects it to itself
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared behind carriers' NAT; a cloud's metadata, too
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # public by its number, but Azure's own host inside every machine there
        "169.254.0.0/16",  # link-local, and with it most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata, too
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4, given up
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is allocated so far. Mapped, compatible, unique local, link- and site-local lie outside."""
_SPECIAL_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, among them Teredo, which embeds IPv4
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which embeds IPv4
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Upper halves of an interface identifier whose lower half is an IPv4 address."""


def is_public(address: str) -> bool:
    """Whether the text is a public address in its usual form."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return _is_public_ipv4(parsed) if isinstance(parsed, IPv4Address) else _is_public_ipv6(parsed)


def endpoint(url: str) -> Endpoint:
    """Return the endpoint of a URL.

    Raises:
        ValueError: the URL lacks a host, or a port other than 0 (its own, or that of a known scheme).
    """
    parsed = URL(url)
    # The client uses the same parser: a URL cannot lead it to another host than the one checked here.
    if not parsed.raw_host or not parsed.port:
        raise ValueError("not an address with a host and a port")
    return normalised(parsed.raw_host, parsed.port)


def normalised(host: str, port: int) -> Endpoint:
    """Return host and port as an `Endpoint`."""
    return host.rstrip(".").lower(), port


def parse_allowed(entries: Iterable[str]) -> frozenset[Endpoint]:
    """Parse the operator's list: `host:port` each, a literal IPv6 address in brackets.

    Raises:
        ValueError: an entry is no `host:port`; the message is that entry.
    """
    found = set()
    for entry in entries:
        if not _ENTRY.fullmatch(entry):
            raise ValueError(entry)
        try:
            found.add(endpoint(f"http://{entry}"))
        except ValueError as error:
            raise ValueError(entry) from error
    return frozenset(found)


def refused(asked: Endpoint, addresses: Collection[str], allowed: Collection[Endpoint]) -> bool:
    """Whether an endpoint with these addresses must not be called.

    It must not if it has no address, or a single one that is not public: the name server chooses which of
    them a client tries first.
    """
    if asked in allowed:
        return False
    return not addresses or not all(map(is_public, addresses))


def _is_public_ipv4(address: IPv4Address) -> bool:
    return not any(address in network for network in _SPECIAL_IPV4)


def _is_public_ipv6(address: IPv6Address) -> bool:
    number = int(address)
    if address in _NAT64:
        return _is_public_ipv4(IPv4Address(number & 0xFFFF_FFFF))
    if address not in _GLOBAL_UNICAST or (number >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return not any(address in network for network in _SPECIAL_IPV6)
