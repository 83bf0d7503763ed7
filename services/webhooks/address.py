"""Decides where a webhook may go, so that no broker reaches an internal machine with it. Pure.

A URL is checked for its form only. The decision is made on the address of the connection, because
a name may resolve to any address, and to another one the next moment.
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network

SCHEMES: Final = frozenset({"http", "https"})
# Ports of public web servers. Inside an allowed range any port may be used.
PUBLIC_PORTS: Final = frozenset({80, 443, 8080, 8443})
# Networks that embed an IPv4 address for a translator (RFC 6052, 8215, 3056, 4380, 3068).
_TRANSLATED: Final = tuple(
    ip_network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "192.88.99.0/24")
)
# Special ranges that some versions of Python take for public (RFC 6890, 9602, 9637), and an address
# that is public by its number but reserved for a cloud's own services.
_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "2001::/23", "3fff::/20", "5f00::/16", "168.63.129.16/32")
)


class RefusedAddressError(Exception):
    """A webhook may not go to this address; the text gives the reason without internal
    addresses."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse networks such as `10.0.0.0/8,::1/128`. Raises ValueError naming the invalid part."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(ip_network(part) for part in parts if part)


def check_url(url: str) -> None:
    """Check the form of a URL. Raises RefusedAddressError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedAddressError("the URL cannot be read") from error
    if parts.scheme not in SCHEMES:
        raise RefusedAddressError("only http and https are sent to")
    if not parts.hostname or port == 0:
        raise RefusedAddressError("the URL has no host")
    if "@" in parts.netloc:
        raise RefusedAddressError("a URL with a user name is not sent to")


def check_address(host: str, port: int, allowed: Iterable[Network]) -> None:
    """Check the address of a connection. Raises RefusedAddressError.

    `host` as a socket takes it; anything but a plain IP address is refused.
    """
    try:
        # A zone belongs to one link, and links are not public.
        address = ip_address(host.partition("%")[0])
    except ValueError as error:
        raise RefusedAddressError("the host is not an address") from error
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return
    if not _is_public(address):
        raise RefusedAddressError("the address is not public")
    if port not in PUBLIC_PORTS:
        raise RefusedAddressError(f"port {port} is not sent to")


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if any(address in network for network in (*_TRANSLATED, *_NOT_PUBLIC)):
        return False
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
