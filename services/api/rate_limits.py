"""Rate limits: one each for a broker's orders, cancels and reads, and one for failed keys per
client address. Each process counts separately. Time is an argument.
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
FAILED_KEYS_PER_MINUTE: Final = 60

# A burst may be this long at the full rate of everything: news is answered by many orders at once.
_BURST_S = 2
# More brokers than any market has; more addresses than fail at the same time in honest ways.
_BROKERS_MAX = 100_000
_ADDRESSES_MAX = 10_000


class RateLimits(Struct, frozen=True):
    """0: no limit."""

    orders_per_second: int = 0
    cancels_per_second: int = 0
    reads_per_second: int = 0
    failed_keys_per_minute: int = 0


def rate_limits_of(settings: Settings) -> RateLimits:
    """The limits of the settings; generous defaults where they have none."""

    def chosen(given: int | None, default: int) -> int:
        return default if given is None else given

    return RateLimits(
        chosen(settings.rate_orders, ORDERS_PER_SECOND),
        chosen(settings.rate_cancels, CANCELS_PER_SECOND),
        chosen(settings.rate_reads, READS_PER_SECOND),
        chosen(settings.failed_keys, FAILED_KEYS_PER_MINUTE),
    )


class RateLimiter:
    """Applied after the key of a request, and before everything that costs more."""

    def __init__(self, limits: RateLimits) -> None:
        self._rates: dict[Budget, int] = {
            "orders": limits.orders_per_second,
            "cancels": limits.cancels_per_second,
            "reads": limits.reads_per_second,
        }
        self._budgets = {
            budget: Buckets(Rate(per_second, per_second * _BURST_S), _BROKERS_MAX)
            for budget, per_second in self._rates.items()
        }
        failed = limits.failed_keys_per_minute
        self._failures = Buckets(Rate(failed / 60, failed), _ADDRESSES_MAX)

    def spend(self, broker_id: str, budget: Budget, now_s: float) -> None:
        """Raises ProblemError (429) where the broker has spent its budget."""
        wait_s = self._budgets[budget].take(broker_id, now_s)
        if wait_s:
            raise _limited(
                budget,
                f"at most {self._rates[budget]} {budget} a second; nothing was written",
                wait_s,
            )

    def unauthenticated(self, address: str, now_s: float) -> ProblemError:
        """401 for a request without a valid key; 429 where its address had too many of them."""
        wait_s = self._failures.take(network_of(address), now_s)
        if wait_s:
            return _limited(
                "failed_keys", "too many requests without a valid key from this address", wait_s
            )
        return ProblemError(
            "unauthenticated",
            "send Authorization: Bearer <key> with a valid key",
            headers=(("WWW-Authenticate", "Bearer"),),
        )


def _limited(budget: str, detail: str, wait_s: float) -> ProblemError:
    LIMITED.labels(budget).inc()
    return ProblemError("rate_limited", detail, headers=(("Retry-After", str(math.ceil(wait_s))),))
