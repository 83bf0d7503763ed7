"""Where a webhook may go, so that no broker reaches a machine of ours through it. Pure.

A URL is looked at for its form only. What decides is the address that a connection is made to:
names can be made to resolve to anything, also to something else the next moment.
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
# Where public web servers listen. Inside of an allowed range any port goes.
PUBLIC_PORTS: Final = frozenset({80, 443, 8080, 8443})
# What carries an IPv4 address to wherever a translator takes it (RFC 6052, 8215, 3056, 4380, 3068).
_TRANSLATED: Final = tuple(
    ip_network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "192.88.99.0/24")
)
# What Python takes for public in some of its versions (RFC 6890, 9602, 9637), and an address of the
# kind that is public by its number and a cloud's own by what answers there.
_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "2001::/23", "3fff::/20", "5f00::/16", "168.63.129.16/32")
)


class RefusedAddressError(Exception):
    """A webhook may not go there; the text says why, and names no address of ours."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8,::1/128`. Raises ValueError naming the part that is no network."""
    parts = [part.strip() for part in text.split(",")]
    return tuple(ip_network(part) for part in parts if part)


def check_url(url: str) -> None:
    """Raises RefusedAddressError for a URL of a form that is never sent to."""
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
    """Raises RefusedAddressError unless a connection may be made to this very address.

    `host` as a socket takes it; anything but a plain IP address is refused.
    """
    try:
        # A zone belongs to a link, and links are not public.
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
