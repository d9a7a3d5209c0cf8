"""Which addresses may be called."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.http.egress import Endpoint, endpoint, is_public, normalised, parse_allowed, refused

INTERNAL = [
    # Every block of IANA's special-purpose registry for IPv4, by its first and last address.
    *("0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255"),
    *("127.0.0.0", "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255"),
    *("172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.0.255", "192.0.2.1"),
    *("192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    # Clouds' metadata that hide elsewhere.
    *("168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"),
    # IPv6: its own, then those that embed IPv4.
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "100::1"),
    *("2001:db8::1", "3fff::1", "5f00::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "4000::1"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:8.8.8.8"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::127.0.0.1", "64:ff9b:1::1", "64:ff9b:1:a9fe:a9:fe00::"),
    *("2002:a9fe:a9fe::1", "2002:7f00:1::", "2001:0:a9fe:a9fe::", "2001::5601:5601"),
    *("fe80::5efe:10.0.0.1", "2a00::5efe:10.0.0.1", "2a00::200:5efe:127.0.0.1"),
    # Not addresses in their usual form, which is all that a resolver gives.
    *("127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "", "1.2.3.4.", "[::1]"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.0.1", "172.15.0.1", "172.32.0.0", "192.0.1.0", "192.167.0.1", "198.17.0.1"),
    *("198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888"),
    *("64:ff9b::8.8.8.8", "64:ff9b::101:101"),
]


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


internal_ipv4 = st.sampled_from(
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ]
).flatmap(lambda network: st.ip_addresses(v=4, network=network))


def embedded(address: IPv4Address) -> list[IPv6Address]:
    """The address in every form of IPv6 that is known to hold one."""
    number = int(address)
    tail = [
        *("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "64:ff9b:1:ffff::"),
        *("fe80::5efe:0:0", "fe80::200:5efe:0:0", "2a00:1450::5efe:0:0", "2a00:1450::200:5efe:0:0"),
        *("2001::", "2002::", "fc00::", "fe80::"),
    ]
    forms = [int(IPv6Address(prefix)) | number for prefix in tail]
    forms.append(int(IPv6Address("2002::1")) | number << 80)
    forms.append(int(IPv6Address("2001::1")) | number << 64)  # a Teredo server
    forms.append(int(IPv6Address("2001::")) | number ^ 0xFFFF_FFFF)  # a Teredo client
    high, low = number >> 16, number & 0xFFFF
    forms.append(int(IPv6Address("64:ff9b:1::")) | high << 64 | low << 40)  # RFC 6052, /48
    return [IPv6Address(form) for form in forms]


@given(internal_ipv4)
@example(IPv4Address("169.254.169.254"))
def test_an_internal_address_is_refused_in_every_form(address: IPv4Address) -> None:
    assert not is_public(str(address))
    for form in embedded(address):
        assert not is_public(str(form)), form
        assert not is_public(form.exploded), form


@given(st.ip_addresses())
def test_nothing_passes_that_the_standard_library_calls_internal(address: IPv4Address | IPv6Address) -> None:
    if is_public(str(address)):
        assert address in ipaddress.ip_network("64:ff9b::/96") or address.is_global
        assert not (address.is_multicast)
        assert not (address.is_loopback)
        assert not (address.is_link_local)


def test_one_internal_address_among_a_names_is_enough() -> None:
    asked: Endpoint = ("two.example", 80)
    assert not refused(asked, ["1.1.1.1", "2606:4700::1111"], ())
    assert refused(asked, ["1.1.1.1", "127.0.0.1"], ())
    assert refused(asked, [], ())


def test_an_allowed_endpoint_is_that_host_with_that_port_alone() -> None:
    allowed = parse_allowed(["ERP.internal.:443", "127.0.0.1:8000", "[::1]:8000", "bücher.example:80"])
    assert allowed == {
        *(("erp.internal", 443), ("127.0.0.1", 8000), ("::1", 8000), ("xn--bcher-kva.example", 80)),
    }
    assert not refused(("erp.internal", 443), ["10.0.0.1"], allowed)
    assert refused(("erp.internal", 80), ["10.0.0.1"], allowed)
    assert refused(("x.erp.internal", 443), ["10.0.0.1"], allowed)
    assert refused(("127.0.0.1", 8001), ["127.0.0.1"], allowed)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "erp",
        "erp:",
        ":80",
        "erp:0",
        "erp:65536",
        "http://erp:80",
        "erp:80/x",
        "me@erp:80",
        "*:80",
        "::1:80",
        "erp:80?x",
        "erp:80#x",
        "a b:80",
        "a\\b:80",
        "[::g]:80",
    ],
)
def test_an_entry_that_is_no_endpoint_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=r".*") as failure:
        parse_allowed(["fine:1", entry])
    assert str(failure.value) == entry


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://Example.COM/x?y", ("example.com", 80)),
        ("https://example.com.", ("example.com", 443)),
        ("http://user:word@[::1]:8/", ("::1", 8)),
        ("http://①②⑦.0.0.1/", ("127.0.0.1", 80)),
    ],
)
def test_the_endpoint_of_a_url(url: str, where: Endpoint) -> None:
    assert endpoint(url) == where


@pytest.mark.parametrize("url", ["", "/x", "http://", "nonsense", "http://a:0"])
def test_a_url_without_a_host_or_a_port_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"^not an address with a host and a port$"):
        endpoint(url)


@pytest.mark.parametrize("url", ["http://a:99999", "http://a\\@b"])
def test_an_address_that_is_no_url_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        endpoint(url)


def test_a_host_is_normalised_to_small_letters_without_its_last_dot() -> None:
    assert normalised("BOX.", 80) == ("box", 80)
