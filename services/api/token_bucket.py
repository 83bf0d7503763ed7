"""How often someone may do something: token buckets of bounded memory. Pure: the time is given.

A bucket is one number, the moment at which it is full again (the generic cell rate algorithm).
Taking a token puts that moment off by the time one token takes to grow; a bucket nobody has used
for a while is full, so forgetting it changes nothing.
"""

from ipaddress import IPv6Address

from msgspec import Struct

# An address of IPv6 costs nothing: whoever has one has all of its network of this many bits.
_NETWORK_BITS = 64

# Far more of a token than sums of moments are off.
_ROUNDED = 0.01


class Rate(Struct, frozen=True):
    """`per_second` tokens grow, up to `burst` can be saved. Without any per second: no limit."""

    per_second: float
    burst: float

    @property
    def limited(self) -> bool:
        """Whether anything is ever refused."""
        return self.per_second > 0


class Buckets:
    """One bucket of the same rate for each name.

    Memory: at most twice `names_max` names. A table that is full of strangers neither grows nor
    is searched for room: it becomes the old one, what is still used moves to a new one, and what
    nobody has used meanwhile goes with the old one. Brokers are fewer than that.
    """

    def __init__(self, rate: Rate, names_max: int) -> None:
        self._limited = rate.limited
        self._token_s = 1 / rate.per_second if rate.limited else 0.0
        # A full bucket gives `burst` tokens at once, the last of which finds it this far ahead, but
        # for what was lost to rounding.
        self._ahead_s_max = (rate.burst - 1 + _ROUNDED) * self._token_s
        self._names_max = names_max
        self._full_at_s: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def take(self, name: str, now_s: float) -> float:
        """Take a token: 0.0 when there was one, else the seconds until there is."""
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

    def _moved(self, name: str, now_s: float) -> float:
        full_at_s = self._old.get(name, now_s)
        if len(self._full_at_s) >= self._names_max:
            self._old, self._full_at_s = self._full_at_s, {}
        self._full_at_s[name] = full_at_s
        return full_at_s

    def __len__(self) -> int:
        return len(self._full_at_s) + len(self._old)


def network_of(address: str) -> str:
    """The name under which an address is counted: itself, or its network where it is IPv6."""
    if ":" not in address:
        return address
    number = IPv6Address(address.partition("%")[0])
    if number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    host_bits = 128 - _NETWORK_BITS
    return f"{IPv6Address(int(number) >> host_bits << host_bits)}/{_NETWORK_BITS}"
