"""Pages and hosts that may open a WebSocket. Pure.

A browser sends the page's origin with the handshake, so a foreign page is refused by it. A page
that rebinds its own name to this machine has an origin that equals the Host: a gateway on loopback
therefore answers only to loopback names and to the hosts of its settings.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct


class HandshakeRules(Struct, frozen=True):
    """Origins besides the own one, hosts besides loopback names, and whether the port is bound to
    loopback."""

    origins: frozenset[str]
    hosts: frozenset[str]
    loopback: bool


def refusal(rules: HandshakeRules, hosts: Sequence[str], origins: Sequence[str]) -> str | None:
    """The reason to refuse a handshake with these Host and Origin headers, or None."""
    if len(hosts) != 1 or len(origins) > 1:
        return "send exactly one Host header, and at most one Origin"
    host, origin = hosts[0], origins[0] if origins else None
    if rules.loopback and not _is_loopback_name(host) and host not in rules.hosts:
        return f"this gateway answers to loopback names only; add {host!r} to EXCHANGE_HOSTS"
    if origin is None or origin in rules.origins:
        return None
    try:
        same = urlsplit(origin).netloc == host and bool(host)
    except ValueError:
        same = False
    return None if same else "the page's origin is not this host; see EXCHANGE_ORIGINS"


def is_loopback(address: str) -> bool:
    """True for `localhost` and literal loopback addresses; a name that only begins so is none."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _is_loopback_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def listed(setting: str) -> frozenset[str]:
    """The entries of a setting with commas between them."""
    return frozenset(entry.strip() for entry in setting.split(",") if entry.strip())
