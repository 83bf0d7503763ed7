"""Token buckets of bounded memory (GCRA, the generic cell rate algorithm). Pure: time is given.

A bucket is one number, the moment at which it is full again. Taking a token delays that moment by
the time in which one token grows. A bucket that was unused for a while is full, so dropping it
changes nothing.
"""

from ipaddress import IPv6Address

from msgspec import Struct

# A client with one IPv6 address usually has its whole network of this many bits.
_NETWORK_BITS = 64

# Tolerance for rounding errors of summed moments, far below one token.
_ROUNDED = 0.01


class Rate(Struct, frozen=True):
    """`per_second` tokens grow, up to `burst` are saved. 0 per second: no limit."""

    per_second: float
    burst: float

    @property
    def limited(self) -> bool:
        """True if requests can be refused at all."""
        return self.per_second > 0


class Buckets:
    """One bucket of the same rate for each name.

    Memory: at most twice `names_max` names. A full table becomes the old one; names that are used
    move to a new table, and the others are dropped with the old one. So unknown addresses can
    neither make it grow nor make it slow.
    """

    def __init__(self, rate: Rate, names_max: int) -> None:
        self._limited = rate.limited
        self._token_s = 1 / rate.per_second if rate.limited else 0.0
        # A full bucket gives `burst` tokens at once; the last of them finds the moment this far
        # ahead, apart from rounding.
        self._ahead_s_max = (rate.burst - 1 + _ROUNDED) * self._token_s
        self._names_max = names_max
        self._full_at_s: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def take(self, name: str, now_s: float) -> float:
        """Take a token: 0.0 if there was one, else the seconds until there is."""
        if not self._limited:
            return 0.0
        full_at_s = self._full_at_s.get(name)
        if full_at_s is None:
            full_at_s = self._moved(name, now_s)
        ahead_s = full_at_s - now_s
        if ahead_s > self._ahead_s_max:
            return ahead_s - self._ahead_s_max
        self._full_at_s[name] = self._token_s + (full_at_s if ahead_s > 0.0 else now_s)
        return 0.0

    def wait_s(self, name: str, now_s: float) -> float:
        """The result that `take` would have, without taking a token."""
        if not self._limited:
            return 0.0
        full_at_s = self._full_at_s.get(name, self._old.get(name, now_s))
        ahead_s = full_at_s - now_s
        return ahead_s - self._ahead_s_max if ahead_s > self._ahead_s_max else 0.0

    def charge(self, name: str, tokens: int, now_s: float) -> None:
        """Take tokens whether or not the bucket has them; later ones wait until they have grown."""
        if not self._limited:
            return
        full_at_s = self._full_at_s.get(name)
        if full_at_s is None:
            full_at_s = self._moved(name, now_s)
        self._full_at_s[name] = max(full_at_s, now_s) + tokens * self._token_s

    def _moved(self, name: str, now_s: float) -> float:
        full_at_s = self._old.get(name, now_s)
        if len(self._full_at_s) >= self._names_max:
            self._old, self._full_at_s = self._full_at_s, {}
        self._full_at_s[name] = full_at_s
        return full_at_s

    def __len__(self) -> int:
        return len(self._full_at_s) + len(self._old)


def network_of(address: str) -> str:
    """The name under which an address is counted: itself, or its network for IPv6."""
    if ":" not in address:
        return address
    number = IPv6Address(address.partition("%")[0])
    if number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    host_bits = 128 - _NETWORK_BITS
    return f"{IPv6Address(int(number) >> host_bits << host_bits)}/{_NETWORK_BITS}"
