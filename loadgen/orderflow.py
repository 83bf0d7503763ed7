"""A market's order flow as a plan: who sends what when, all of it decided before the first send.

Pure and seeded: the same profile and seed give the same plan. Times are absolute microseconds from
the start, Poisson; nothing in a plan depends on an answer, so it can be sent as an open loop.
"""

import random
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from msgspec import Struct

from loadgen.tickers import PRICE_CENTS_MAX, PRICE_CENTS_MIN, tickers, zipf_weights
from schemas.units import OrderType, Side

PLAN_VERSION: Final = 1
SECOND_US: Final = 1_000_000

LOT_SHARES: Final = 100
# A cancel looks for an order of the age it drew among so many older ones, then gives up.
CANCEL_CANDIDATES_MAX: Final = 200
# No broker takes back an order sooner: the first answer must come before.
CANCEL_AGE_US_MIN: Final = 50_000
# Under a second, and still longer than a loaded machine takes to pass an order on.
VALID_SHORT_MS: Final = (500, 999)
VALID_SECONDS_MS: Final = (2_000, 20_000)
# A reference price moves a cent on one order in so many.
WANDER_ONE_IN: Final = 8


class Profile(Struct, frozen=True, kw_only=True):
    """The shape of a flow. Percentages are of orders; `cancels_per_53_orders` as seen at B3."""

    brokers: int = 20
    symbols: int = 50
    orders_per_s: int = 300
    duration_s: int = 30
    zipf_exponent_percent: int = 100
    passive_percent: int = 75
    crossing_percent: int = 20
    valid_short_percent: int = 10
    valid_seconds_percent: int = 20
    cancels_per_53_orders: int = 19
    cancel_age_ms_mean: int = 3_000


class PlannedOrder(Struct, frozen=True, tag_field="kind", tag="order", gc=False):
    """An order to send at `at_us`. `broker` and `symbol` index the plan's lists.

    `valid_ms` counts from the moment of sending; None: until cancelled.
    """

    at_us: int
    broker: int
    symbol: int
    side: Side
    order_type: OrderType
    quantity: int
    price: int | None
    valid_ms: int | None
    client_order_id: str


class PlannedCancel(Struct, frozen=True, tag_field="kind", tag="cancel", gc=False):
    """Take back the order at index `order` of the plan's actions."""

    at_us: int
    broker: int
    order: int


Action = PlannedOrder | PlannedCancel


class Plan(Struct, frozen=True):
    """Actions by time. A later program refuses another `version`."""

    version: int
    seed: int
    profile: Profile
    symbols: tuple[str, ...]
    shares_ppm: tuple[int, ...]
    actions: tuple[Action, ...]

    def shares(self) -> dict[str, int]:
        """Expected share of volume by symbol, as `exchange listings apply` takes it."""
        return dict(zip(self.symbols, self.shares_ppm, strict=True))


def plan(profile: Profile, seed: int) -> Plan:
    """The whole schedule. Raises ValueError on a profile that describes no flow."""
    if min(profile.brokers, profile.symbols, profile.orders_per_s, profile.duration_s) < 1:
        raise ValueError("brokers, symbols, rate and duration must be at least 1")
    shares = zipf_weights(profile.symbols, profile.zipf_exponent_percent)
    actions = tuple(_Flow(profile, seed, shares).actions())
    return Plan(PLAN_VERSION, seed, profile, tickers(profile.symbols), shares, actions)


class _Flow:
    """The random walk behind a plan: reference prices, and the orders a cancel can aim at."""

    def __init__(self, profile: Profile, seed: int, shares: tuple[int, ...]) -> None:
        self._profile = profile
        self._seed = seed
        self._random = random.Random(seed)
        self._cumulative = list(accumulate(shares))
        self._reference = [
            self._random.randint(PRICE_CENTS_MIN, PRICE_CENTS_MAX) for _ in range(profile.symbols)
        ]
        # Parallel lists of the orders that may rest: when placed, index, broker, end or None.
        self._placed_at: list[int] = []
        self._resting: list[tuple[int, int, int | None]] = []
        self._cancelled: set[int] = set()

    def actions(self) -> Iterator[Action]:
        profile = self._profile
        cancel_weight = profile.cancels_per_53_orders / (53 + profile.cancels_per_53_orders)
        rate_per_us = profile.orders_per_s / (1 - cancel_weight) / SECOND_US
        end_us = profile.duration_s * SECOND_US
        at_us, index = 0.0, 0
        while (at_us := at_us + self._random.expovariate(rate_per_us)) < end_us:
            wants_cancel = self._random.random() < cancel_weight
            action = self._cancel(int(at_us)) if wants_cancel else self._order(int(at_us), index)
            if action is not None:
                yield action
                index += 1

    def _order(self, at_us: int, index: int) -> PlannedOrder:
        rng, profile = self._random, self._profile
        broker = rng.randrange(profile.brokers)
        symbol = bisect_right(self._cumulative, rng.randrange(self._cumulative[-1]))
        side: Side = "bid" if rng.random() < 0.5 else "ask"  # noqa: PLR2004
        kind = rng.randrange(100)
        passive = kind < profile.passive_percent
        crossing = not passive and kind < profile.passive_percent + profile.crossing_percent
        limit = passive or crossing
        price = self._price(symbol, side, crossing) if limit else None
        valid_ms = self._valid_ms() if limit else None
        # A taker takes several resting orders as often as one, so that books stay bounded.
        lots = 1 + int(rng.expovariate(0.35 if passive else 0.12))
        if passive:
            until = None if valid_ms is None else at_us + valid_ms * 1_000
            self._placed_at.append(at_us)
            self._resting.append((index, broker, until))
        return PlannedOrder(
            at_us=at_us,
            broker=broker,
            symbol=symbol,
            side=side,
            order_type="limit" if limit else "market",
            quantity=lots * LOT_SHARES,
            price=price,
            valid_ms=valid_ms,
            client_order_id=f"{self._seed}-{index}",
        )

    def _price(self, symbol: int, side: Side, crossing: bool) -> int:
        rng = self._random
        if rng.randrange(WANDER_ONE_IN) == 0:
            moved = self._reference[symbol] + rng.choice((-1, 1))
            self._reference[symbol] = max(PRICE_CENTS_MIN // 2, moved)
        distance = 1 + int(rng.expovariate(0.25))
        towards_market = -distance if side == "bid" else distance
        return self._reference[symbol] + (-towards_market if crossing else towards_market)

    def _valid_ms(self) -> int | None:
        drawn = self._random.randrange(100)
        if drawn < self._profile.valid_short_percent:
            return self._random.randint(*VALID_SHORT_MS)
        if drawn < self._profile.valid_short_percent + self._profile.valid_seconds_percent:
            return self._random.randint(*VALID_SECONDS_MS)
        return None

    def _cancel(self, at_us: int) -> PlannedCancel | None:
        """Aim at an order placed about the drawn age ago that should still be open."""
        mean_us = self._profile.cancel_age_ms_mean * 1_000
        age_us = CANCEL_AGE_US_MIN + int(self._random.expovariate(1 / mean_us))
        placed_before = at_us - min(age_us, max(CANCEL_AGE_US_MIN, at_us // 2))
        newest = bisect_right(self._placed_at, placed_before)
        for place in range(newest - 1, max(-1, newest - 1 - CANCEL_CANDIDATES_MAX), -1):
            index, broker, until = self._resting[place]
            if index not in self._cancelled and (until is None or until > at_us):
                self._cancelled.add(index)
                return PlannedCancel(at_us, broker, index)
        return None
