"""The Host headers that a port answers to. Pure.

A page that rebinds its own name to this machine has an origin that equals the Host. A port on
loopback therefore answers to loopback names and to the hosts of its settings only.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from services.api.messages import ProblemError


class HostRules(Struct, frozen=True):
    """Hosts that a port answers to. `loopback`: it is bound to loopback, and answers to loopback
    names and `hosts` only."""

    loopback: bool = False
    hosts: frozenset[str] = frozenset()

    @staticmethod
    def of(address: str, hosts: str) -> "HostRules":
        """The rules of a port on this address; `hosts`: names with commas between them."""
        return HostRules(is_loopback(address), listed(hosts))

    def refusal(self, host: str) -> str | None:
        """The reason to refuse a request with this Host, or None."""
        if not self.loopback or _is_loopback_name(host) or host in self.hosts:
            return None
        return f"this port answers to loopback names only; add {host!r} to EXCHANGE_HOSTS"

    def problem(self, hosts: Sequence[bytes], version: str) -> ProblemError | None:
        """The answer to a request of this HTTP version with these Host headers, if it is
        refused."""
        if len(hosts) == 1:
            reason = self.refusal(hosts[0].decode("latin-1"))
            return None if reason is None else ProblemError("forbidden", reason)
        if not hosts and version != "1.1":
            return None
        # RFC 9112 3.2; two servers on the way could each choose another.
        return ProblemError("malformed_request", "send exactly one Host header")


def is_loopback(address: str) -> bool:
    """True for `localhost` and literal loopback addresses; a name that only begins so is none."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _is_loopback_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


def listed(setting: str) -> frozenset[str]:
    """The entries of a setting with commas between them."""
    return frozenset(entry.strip() for entry in setting.split(",") if entry.strip())
