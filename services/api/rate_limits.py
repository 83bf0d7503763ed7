"""Rate limits: one for each kind of a broker's calls, and two per client address: for failed keys,
and for all requests without a valid key. Each process counts separately. Time is an argument.
"""

import math
from typing import Final

from msgspec import Struct

from services.api.messages import Budget, ProblemError
from services.api.token_bucket import Buckets, Rate, network_of
from services.runtime.metrics import LIMITED
from services.runtime.settings import Settings

# A whole market sends 700 orders a second, five times that for half a second: no regular broker
# reaches these limits, and one that loops leaves room for others. Cancels get more than orders, so
# that a broker can always leave the market.
ORDERS_PER_SECOND: Final = 1_000
CANCELS_PER_SECOND: Final = 2_000
READS_PER_SECOND: Final = 4_000
# Tests and replays: each is a row for weeks, and wakes every sender.
WEBHOOKS_PER_SECOND: Final = 10
# Each is flushed to the brokers topic, which every process reads whole when it starts.
SECRETS_PER_MINUTE: Final = 10
FAILED_KEYS_PER_MINUTE: Final = 60
# Probes and browsers send less; at some 1.5 ms each, more would be felt by orders.
KEYLESS_PER_SECOND: Final = 20

# A burst may be this long at the full rate of everything: news is answered by many orders at once.
_BURST_S = 2
# Of requests without a key: a page with its assets, or a monitor that starts, is one burst.
_KEYLESS_BURST_S = 10
# The 429 of a request without a key is held back so long: a client that waits for its answers and
# sends on at once then costs next to nothing, however many 429 it takes.
KEYLESS_DELAY_S = 1.0
# More brokers than any market has; more addresses than fail at the same time in honest ways.
_BROKERS_MAX = 100_000
_ADDRESSES_MAX = 10_000


class RateLimits(Struct, frozen=True):
    """0: no limit."""

    orders_per_second: int = 0
    cancels_per_second: int = 0
    reads_per_second: int = 0
    failed_keys_per_minute: int = 0
    keyless_per_second: int = 0
    webhooks_per_second: int = 0
    secrets_per_minute: int = 0


def rate_limits_of(settings: Settings) -> RateLimits:
    """The limits of the settings; generous defaults where they have none."""

    def chosen(given: int | None, default: int) -> int:
        return default if given is None else given

    return RateLimits(
        chosen(settings.rate_orders, ORDERS_PER_SECOND),
        chosen(settings.rate_cancels, CANCELS_PER_SECOND),
        chosen(settings.rate_reads, READS_PER_SECOND),
        chosen(settings.failed_keys, FAILED_KEYS_PER_MINUTE),
        chosen(settings.rate_keyless, KEYLESS_PER_SECOND),
        chosen(settings.rate_webhooks, WEBHOOKS_PER_SECOND),
        chosen(settings.rate_secrets, SECRETS_PER_MINUTE),
    )


class RateLimiter:
    """Applied once the key of a request is checked, and before everything that costs more."""

    def __init__(self, limits: RateLimits) -> None:
        per_second: dict[Budget, int] = {
            "orders": limits.orders_per_second,
            "cancels": limits.cancels_per_second,
            "reads": limits.reads_per_second,
            "webhooks": limits.webhooks_per_second,
        }
        self._budgets = {
            budget: Buckets(Rate(number, number * _BURST_S), _BROKERS_MAX)
            for budget, number in per_second.items()
        }
        self._texts = {name: f"{number} {name} a second" for name, number in per_second.items()}
        secrets = limits.secrets_per_minute
        self._budgets["secrets"] = Buckets(Rate(secrets / 60, secrets), _BROKERS_MAX)
        self._texts["secrets"] = f"{secrets} secrets a minute"
        failed = limits.failed_keys_per_minute
        self._failures = Buckets(Rate(failed / 60, failed), _ADDRESSES_MAX)
        keyless = limits.keyless_per_second
        self._keyless = Buckets(Rate(keyless, keyless * _KEYLESS_BURST_S), _ADDRESSES_MAX)

    def spend(self, broker_id: str, budget: Budget, now_s: float) -> None:
        """Raises ProblemError (429) where the broker has spent its budget."""
        wait_s = self._budgets[budget].take(broker_id, now_s)
        if wait_s:
            raise _limited(budget, f"at most {self._texts[budget]}; nothing was written", wait_s)

    def charge(self, broker_id: str, budget: Budget, tokens: int, now_s: float) -> None:
        """Take more tokens from a budget, also those that have yet to grow."""
        self._budgets[budget].charge(broker_id, tokens, now_s)

    def unauthenticated(self, address: str, now_s: float) -> ProblemError:
        """401 for a call that needs a key and has no valid one; 429 where its address had too
        many of them."""
        network = network_of(address)
        # First, so that a flood spends it whatever the other limit says: further requests without
        # any key are then answered by the protocol, at a fraction of the cost.
        wait_s = self._keyless.take(network, now_s)
        if wait_s:
            return _limited_keyless("keyless", wait_s)
        wait_s = self._failures.take(network, now_s)
        if wait_s:
            return _limited_keyless("failed_keys", wait_s)
        return ProblemError(
            "unauthenticated",
            "send Authorization: Bearer <key> with a valid key",
            headers=(("WWW-Authenticate", "Bearer"),),
        )

    def spent_keyless(self, address: str, now_s: float) -> ProblemError | None:
        """429 where the address has no token left for a request without a key; takes none."""
        wait_s = self._keyless.wait_s(network_of(address), now_s)
        return _limited_keyless("keyless", wait_s) if wait_s else None

    def charge_keyless(self, address: str, tokens: int, now_s: float) -> None:
        """Take more tokens from an address, also those that have yet to grow."""
        self._keyless.charge(network_of(address), tokens, now_s)

    def spend_keyless(self, address: str, now_s: float) -> None:
        """Pay for a request without a valid key where none is needed. Raises ProblemError (429)."""
        wait_s = self._keyless.take(network_of(address), now_s)
        if wait_s:
            raise _limited_keyless("keyless", wait_s)


def _limited_keyless(budget: str, wait_s: float) -> ProblemError:
    detail = "too many requests without a valid key from this address"
    return _limited(budget, detail, wait_s, KEYLESS_DELAY_S)


def _limited(budget: str, detail: str, wait_s: float, delay_s: float = 0.0) -> ProblemError:
    LIMITED.labels(budget).inc()
    retry_after = (("Retry-After", str(math.ceil(wait_s))),)
    return ProblemError("rate_limited", detail, headers=retry_after, delay_s=delay_s)
