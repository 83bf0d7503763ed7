"""Addresses that webhooks may be sent to, and those that are refused."""

import pytest

from services.webhooks.address import (
    PUBLIC_PORTS,
    RefusedAddressError,
    check_address,
    check_url,
    parse_networks,
)

LOOPBACK = parse_networks("127.0.0.0/8, ::1/128")

NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", ".".join("0000"), "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1", "169.254.1.1", "169.254.169.254", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "168.63.129.16", "192.0.0.192",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "2001:db8::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "2001:20::1",
    "3fff::1", "5f00::1",
]  # fmt: skip
NO_ADDRESS = ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "", "1.2.3"]
PUBLIC = ["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "2606:4700::1111"]


@pytest.mark.parametrize("host", NOT_PUBLIC)
@pytest.mark.parametrize("port", [80, 443])
def test_address_that_is_not_public_is_refused(host: str, port: int) -> None:
    with pytest.raises(RefusedAddressError, match="not public"):
        check_address(host, port, ())


@pytest.mark.parametrize("host", NO_ADDRESS)
def test_text_that_is_not_a_plain_address_is_refused(host: str) -> None:
    with pytest.raises(RefusedAddressError, match="not an address"):
        check_address(host, 443, LOOPBACK)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_address_is_allowed_on_ports_of_web_servers(host: str) -> None:
    for port in PUBLIC_PORTS:
        check_address(host, port, ())
    for port in (0, 22, 25, 5432, 6379, 9092, 65535):
        with pytest.raises(RefusedAddressError, match="port"):
            check_address(host, port, ())


def test_allowed_range_is_allowed_on_any_port() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        check_address(host, 5432, LOOPBACK)
    for host in ("10.0.0.1", "169.254.169.254", "0.1.2.3", "::"):
        with pytest.raises(RefusedAddressError):
            check_address(host, 443, LOOPBACK)


@pytest.mark.parametrize(
    "url", ["http://a", "https://a.example:8443/x?y=1#z", "http://[::1]:80/", "HTTPS://A/"]
)
def test_url_of_a_usual_form_is_allowed(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/", "file:///etc/passwd", "gopher://a/", "//a/", "a", "http://", "http:///x",
        "http://[", "http://a:0/", "http://a:99999/", "http://user@a/", "http://user:pass@a/",
        "http://@a/", "http://8.8.8.8\\@127.0.0.1/", "https://:443/",
    ],
)  # fmt: skip
def test_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(RefusedAddressError):
        check_url(url)


def test_invalid_networks_are_reported() -> None:
    assert parse_networks("") == ()
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        parse_networks("10.0.0.1/8")
    with pytest.raises(ValueError, match="home"):
        parse_networks("127.0.0.0/8,home")
