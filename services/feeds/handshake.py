"""Pages that may open a WebSocket. Pure.

A browser sends the page's origin with the handshake, so a foreign page is refused by it.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from services.api.hosts import HostRules


class HandshakeRules(Struct, frozen=True):
    """Origins besides the own one, and the hosts that the port answers to."""

    origins: frozenset[str]
    hosts: HostRules


def refusal(rules: HandshakeRules, hosts: Sequence[str], origins: Sequence[str]) -> str | None:
    """The reason to refuse a handshake with these Host and Origin headers, or None."""
    if len(hosts) != 1 or len(origins) > 1:
        return "send exactly one Host header, and at most one Origin"
    host, origin = hosts[0], origins[0] if origins else None
    reason = rules.hosts.refusal(host)
    if reason is not None or origin is None or origin in rules.origins:
        return reason
    try:
        same = urlsplit(origin).netloc == host and bool(host)
    except ValueError:
        same = False
    return None if same else "the page's origin is not this host; see EXCHANGE_ORIGINS"
