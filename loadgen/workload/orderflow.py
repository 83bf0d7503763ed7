"""A market's order flow as a plan: every request with its sender and time, fixed before the start.

Pure and seeded: the same profile and seed give the same plan. Times are absolute microseconds from
the start, Poisson with bursts; nothing in a plan depends on an answer, so it can be sent as an open
loop. `book` contains orders that rest before the first request.
"""

import random
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct

from loadgen.workload.arrivals import Bursts, Shape, arrivals, segments_of
from loadgen.workload.tickers import PRICE_CENTS_MAX, PRICE_CENTS_MIN, tickers, zipf_weights
from schemas.units import OrderType, SelfTradePrevention, Side, TimeInForce

PLAN_VERSION: Final = 2
SECOND_US: Final = 1_000_000

LOT_SHARES: Final = 100
# A cancel searches so many older orders for one of the drawn age.
CANCEL_CANDIDATES_MAX: Final = 200
# Youngest age of a cancelled order: its answer must have arrived before.
CANCEL_AGE_US_MIN: Final = 50_000
# Shortest validity: under a second, and longer than a loaded machine takes to pass an order on.
VALID_SHORT_MS: Final = (500, 999)
VALID_SECONDS_MS: Final = (2_000, 20_000)
# A stop-limit order's limit is so far beyond its stop price.
STOP_LIMIT_CENTS: Final = 3
# A reference price moves a cent on one order in so many.
WANDER_ONE_IN: Final = 8


Percent = Annotated[int, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shape of a flow. Percentages are of orders, those of reads of all reads.

    Orders that are neither passive nor crossing are market orders; reads of neither an order, a
    price nor a book are of a balance. `per_53_orders` as counted at B3. Conditions (`ioc`, `fok`,
    `post_only`, `minimum` quantity, `stop` price, `iceberg`, `day`) are of limit orders, each of
    which has one at most. `replace_percent`: replacements of earlier orders for each 100 orders.
    """

    brokers: Count = 20
    symbols: Count = 50
    orders_per_s: Annotated[float, Meta(gt=0, le=1_000_000)] = 300
    duration_s: Count = 30
    zipf_exponent_percent: Annotated[int, Meta(ge=0, le=300)] = 100
    passive_percent: Percent = 75
    crossing_percent: Percent = 20
    valid_short_percent: Percent = 10
    valid_seconds_percent: Percent = 20
    ioc_percent: Percent = 0
    fok_percent: Percent = 0
    post_only_percent: Percent = 0
    minimum_percent: Percent = 0
    stop_percent: Percent = 0
    iceberg_percent: Percent = 0
    day_percent: Percent = 0
    replace_percent: Percent = 0
    cancels_per_53_orders: Annotated[int, Meta(ge=0, le=1_000)] = 19
    cancel_age_ms_mean: Count = 3_000
    reads_per_53_orders: Annotated[int, Meta(ge=0, le=10_000)] = 0
    read_order_percent: Percent = 35
    read_price_percent: Percent = 30
    read_book_percent: Percent = 25
    bursts: Bursts | None = None
    ramp_from_percent: Annotated[int, Meta(ge=0, le=1_000)] = 100
    book_orders_per_symbol: Annotated[int, Meta(ge=0, le=1_000)] = 0


Condition = Literal["ioc", "fok", "post_only", "minimum", "stop", "iceberg", "day"]
CONDITIONS: Final[tuple[Condition, ...]] = get_args(Condition)
Read = Literal["read_order", "read_price", "read_book", "read_balance"]


class PlannedOrder(
    Struct, frozen=True, tag_field="kind", tag="order", omit_defaults=True, gc=False
):
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
    time_in_force: TimeInForce | None = None
    post_only: bool = False
    minimum_quantity: int | None = None
    stop_price: int | None = None
    display_quantity: int | None = None
    self_trade_prevention: SelfTradePrevention | None = None


class PlannedReplace(
    Struct, frozen=True, tag_field="kind", tag="replace", omit_defaults=True, gc=False
):
    """Give the order at index `order` of the plan's actions another quantity or price."""

    at_us: int
    broker: int
    order: int
    quantity: int | None = None
    price: int | None = None


class PlannedCancel(Struct, frozen=True, tag_field="kind", tag="cancel", gc=False):
    """Cancel the order at index `order` of the plan's actions."""

    at_us: int
    broker: int
    order: int


class PlannedRead(Struct, frozen=True, tag_field="kind", tag="read", gc=False):
    """A read. `subject`: index of an own order's action, or of a symbol, or -1."""

    at_us: int
    broker: int
    read: Read
    subject: int


Action = PlannedOrder | PlannedReplace | PlannedCancel | PlannedRead


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
    _require(profile)
    shares = zipf_weights(profile.symbols, profile.zipf_exponent_percent)
    actions = tuple(_Flow(profile, seed, shares).actions())
    return Plan(PLAN_VERSION, seed, profile, tickers(profile.symbols), shares, actions)


def book(profile: Profile, seed: int) -> Plan:
    """Orders to place before the plan of the same profile and seed, around the same prices."""
    _require(profile)
    shares = zipf_weights(profile.symbols, profile.zipf_exponent_percent)
    actions = tuple(_Flow(profile, seed, shares).book())
    return Plan(PLAN_VERSION, seed, profile, tickers(profile.symbols), shares, actions)


def _require(profile: Profile) -> None:
    if min(profile.brokers, profile.symbols, profile.duration_s) < 1 or profile.orders_per_s <= 0:
        raise ValueError("brokers, symbols and duration must be at least 1, the rate more than 0")
    for parts, of in (
        ((profile.passive_percent, profile.crossing_percent), "passive and crossing"),
        ((profile.valid_short_percent, profile.valid_seconds_percent), "short and seconds"),
        (
            (profile.read_order_percent, profile.read_price_percent, profile.read_book_percent),
            "reads of orders, prices and books",
        ),
        (_condition_percents(profile), ", ".join(CONDITIONS)),
    ):
        if sum(parts) > 100:  # noqa: PLR2004
            raise ValueError(f"{of} make more than 100 per cent")
    if profile.bursts is not None and profile.bursts.length_ms >= profile.bursts.every_ms:
        raise ValueError("bursts must be shorter than the time from one to the next")


def _condition_percents(profile: Profile) -> tuple[int, ...]:
    """By condition, in the order of CONDITIONS."""
    return (
        profile.ioc_percent,
        profile.fok_percent,
        profile.post_only_percent,
        profile.minimum_percent,
        profile.stop_percent,
        profile.iceberg_percent,
        profile.day_percent,
    )


class _Flow:
    """The random walk behind a plan: reference prices, and orders that cancels may refer to."""

    def __init__(self, profile: Profile, seed: int, shares: tuple[int, ...]) -> None:
        self._profile = profile
        self._seed = seed
        self._random = random.Random(seed)
        self._cumulative = list(accumulate(shares))
        self._reference = [
            self._random.randint(PRICE_CENTS_MIN, PRICE_CENTS_MAX) for _ in range(profile.symbols)
        ]
        # Parallel lists of the orders that may rest: when placed, index, order, end or None.
        self._placed_at: list[int] = []
        self._resting: list[tuple[int, PlannedOrder, int | None]] = []
        self._cancelled: set[int] = set()

    def actions(self) -> Iterator[Action]:
        profile = self._profile
        orders, cancels, reads = 53, profile.cancels_per_53_orders, profile.reads_per_53_orders
        replaces = orders * profile.replace_percent / 100
        every = orders + cancels + reads + replaces
        cancel_share, read_share = cancels / every, reads / every
        replace_share = replaces / every
        rate_per_us = profile.orders_per_s * every / orders / SECOND_US
        shape = Shape(profile.duration_s * SECOND_US, profile.ramp_from_percent, profile.bursts)
        segments = segments_of(shape, random.Random(self._seed))
        index = 0
        for at_us in arrivals(self._random, rate_per_us, segments):
            action: Action | None
            drawn = self._random.random()
            if drawn < cancel_share:
                action = self._cancel(int(at_us))
            elif drawn < cancel_share + read_share:
                action = self._read(int(at_us))
            elif drawn < cancel_share + read_share + replace_share:
                action = self._replace(int(at_us))
            else:
                action = self._order(int(at_us), index)
            if action is not None:
                yield action
                index += 1

    def book(self) -> Iterator[PlannedOrder]:
        """Resting orders on both sides of every symbol, until cancelled, off the reference
        price."""
        rng, profile = self._random, self._profile
        for number in range(profile.symbols * profile.book_orders_per_symbol):
            symbol, layer = number % profile.symbols, number // profile.symbols
            side: Side = "bid" if layer % 2 == 0 else "ask"
            distance = 1 + layer // 2 + int(rng.expovariate(0.25))
            yield PlannedOrder(
                at_us=0,
                broker=rng.randrange(profile.brokers),
                symbol=symbol,
                side=side,
                order_type="limit",
                quantity=(1 + int(rng.expovariate(0.2))) * LOT_SHARES,
                price=self._reference[symbol] + (-distance if side == "bid" else distance),
                valid_ms=None,
                client_order_id=f"{self._seed}-book-{number}",
            )

    def _order(self, at_us: int, index: int) -> PlannedOrder:
        rng, profile = self._random, self._profile
        broker = rng.randrange(profile.brokers)
        symbol = self._symbol()
        side: Side = "bid" if rng.random() < 0.5 else "ask"  # noqa: PLR2004
        kind = rng.randrange(100)
        passive = kind < profile.passive_percent
        crossing = not passive and kind < profile.passive_percent + profile.crossing_percent
        limit = passive or crossing
        price = self._price(symbol, side, crossing) if limit else None
        valid_ms = self._valid_ms() if limit else None
        # A crossing order takes several resting orders as often as one, so that books stay bounded.
        lots = 1 + int(rng.expovariate(0.35 if passive else 0.12))
        condition = self._condition() if limit else None
        in_force: TimeInForce | None = None
        if condition in ("ioc", "fok", "day"):
            valid_ms, in_force = None, condition
        stop_price = self._stop_price(symbol, side) if condition == "stop" else None
        if stop_price is not None:
            # Its limit lets it take the next few price levels.
            price = stop_price + (STOP_LIMIT_CENTS if side == "bid" else -STOP_LIMIT_CENTS)
        order = PlannedOrder(
            at_us=at_us,
            broker=broker,
            symbol=symbol,
            side=side,
            order_type="limit" if limit else "market",
            quantity=lots * LOT_SHARES,
            price=price,
            valid_ms=valid_ms,
            client_order_id=f"{self._seed}-{index}",
            time_in_force=in_force,
            post_only=condition == "post_only",
            minimum_quantity=LOT_SHARES if condition == "minimum" else None,
            stop_price=stop_price,
            # A quarter of its lots, rounded up.
            display_quantity=-(-lots // 4) * LOT_SHARES if condition == "iceberg" else None,
        )
        if condition in ("stop", "iceberg") or (passive and condition not in ("ioc", "fok")):
            until = None if valid_ms is None else at_us + valid_ms * 1_000
            self._placed_at.append(at_us)
            self._resting.append((index, order, until))
        return order

    def _condition(self) -> Condition | None:
        percents = _condition_percents(self._profile)
        if not any(percents):
            # Nothing is drawn, so that a profile without conditions keeps its plans.
            return None
        drawn = self._random.randrange(100)
        for condition, percent in zip(CONDITIONS, percents, strict=True):
            if drawn < percent:
                return condition
            drawn -= percent
        return None

    def _symbol(self) -> int:
        return bisect_right(self._cumulative, self._random.randrange(self._cumulative[-1]))

    def _price(self, symbol: int, side: Side, crossing: bool) -> int:
        rng = self._random
        if rng.randrange(WANDER_ONE_IN) == 0:
            moved = self._reference[symbol] + rng.choice((-1, 1))
            self._reference[symbol] = max(PRICE_CENTS_MIN // 2, moved)
        distance = 1 + int(rng.expovariate(0.25))
        towards_market = -distance if side == "bid" else distance
        return self._reference[symbol] + (-towards_market if crossing else towards_market)

    def _stop_price(self, symbol: int, side: Side) -> int:
        """A price that the market has not reached: above it for a bid, below it for an ask."""
        distance = 1 + int(self._random.expovariate(0.5))
        return self._reference[symbol] + (distance if side == "bid" else -distance)

    def _valid_ms(self) -> int | None:
        drawn = self._random.randrange(100)
        if drawn < self._profile.valid_short_percent:
            return self._random.randint(*VALID_SHORT_MS)
        if drawn < self._profile.valid_short_percent + self._profile.valid_seconds_percent:
            return self._random.randint(*VALID_SECONDS_MS)
        return None

    def _cancel(self, at_us: int) -> PlannedCancel | None:
        """A cancel of an order placed about the drawn age ago that should still be open."""
        found = self._open(at_us)
        if found is None:
            return None
        index, order = found
        self._cancelled.add(index)
        return PlannedCancel(at_us, order.broker, index)

    def _replace(self, at_us: int) -> PlannedReplace | None:
        """Another price, or a lot more or less, for an order that should still be open."""
        found = self._open(at_us)
        if found is None:
            return None
        index, order = found
        if order.stop_price is None and self._random.random() < 0.5:  # noqa: PLR2004
            price = self._price(order.symbol, order.side, crossing=False)
            return PlannedReplace(at_us, order.broker, index, price=price)
        lots = order.quantity // LOT_SHARES + self._random.choice((-1, 1))
        return PlannedReplace(at_us, order.broker, index, quantity=max(1, lots) * LOT_SHARES)

    def _open(self, at_us: int) -> tuple[int, PlannedOrder] | None:
        """Index of an order of about the drawn age that should still be open, and the order."""
        for place in self._aged(at_us):
            index, order, until = self._resting[place]
            if index not in self._cancelled and (until is None or until > at_us):
                return index, order
        return None

    def _read(self, at_us: int) -> PlannedRead | None:
        """A read of an order as old as those that are cancelled, or of market data."""
        rng, profile = self._random, self._profile
        drawn = rng.randrange(100)
        if drawn < profile.read_order_percent:
            for place in self._aged(at_us):
                index, order, _ = self._resting[place]
                return PlannedRead(at_us, order.broker, "read_order", index)
            return None
        broker = rng.randrange(profile.brokers)
        drawn -= profile.read_order_percent
        if drawn < profile.read_price_percent:
            return PlannedRead(at_us, broker, "read_price", self._symbol())
        if drawn < profile.read_price_percent + profile.read_book_percent:
            return PlannedRead(at_us, broker, "read_book", self._symbol())
        return PlannedRead(at_us, broker, "read_balance", -1)

    def _aged(self, at_us: int) -> range:
        """Positions of orders of about the drawn age, the youngest first."""
        mean_us = self._profile.cancel_age_ms_mean * 1_000
        age_us = CANCEL_AGE_US_MIN + int(self._random.expovariate(1 / mean_us))
        placed_before = at_us - min(age_us, max(CANCEL_AGE_US_MIN, at_us // 2))
        newest = bisect_right(self._placed_at, placed_before)
        return range(newest - 1, max(-1, newest - 1 - CANCEL_CANDIDATES_MAX), -1)
