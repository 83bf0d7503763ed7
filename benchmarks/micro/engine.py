"""Engine benchmarks: prepared commands, applied to order books of any size."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from msgspec import structs

from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, Scale, ns_each
from loadgen.commands import broker_id, commands
from loadgen.workload.orderflow import Profile, plan
from loadgen.workload.tickers import tickers
from schemas.commands import CancelOrder, Command, PlaceOrder, Tick
from schemas.ids import order_id
from schemas.units import Side
from services.matcher.engine import Engine, EnginePosition

START_MS: Final = 1_795_000_000_000
BROKERS: Final = 100
# Bids rest below it, asks above. Levels are two cents apart, which leaves room between them.
MIDDLE: Final = 10_000_000
LEVEL_STEP: Final = 2
LOT: Final = 100
# Half of the bound on fills and expiries of one command; no measurement may reach the bound.
AT_ONCE_MAX: Final = 5_000
PLAIN: Final = Profile(brokers=BROKERS, orders_per_s=2_000)
CONDITIONED: Final = structs.replace(
    PLAIN, ioc_percent=20, fok_percent=5, iceberg_percent=5, stop_percent=5, replace_percent=10
)


class EngineMarket:
    """An engine and a generator of commands for it."""

    def __init__(self, symbols: int = 1) -> None:
        self.engine = Engine(0)
        self.clock = START_MS
        self._symbols = tickers(symbols)
        self._made = 0
        self._offset = 0

    def order(
        self,
        side: Side,
        price: int | None,
        *,
        quantity: int = LOT,
        symbol: int = 0,
        valid_until: int | None = None,
        client_order_id: str | None = None,
    ) -> PlaceOrder:
        """A new order; without a price it is a market order."""
        self._made += 1
        return PlaceOrder(
            order_id(START_MS, 0, self._made),
            broker_id(self._made % BROKERS),
            f"{self._made % BROKERS:011d}",
            self._symbols[symbol],
            side,
            "market" if price is None else "limit",
            quantity,
            price,
            valid_until,
            client_order_id,
        )

    def apply(self, given: Iterable[Command]) -> None:
        """Apply commands untimed."""
        for command in given:
            self.engine.apply(command, EnginePosition(0, self._offset, self.clock))
            self._offset += 1

    def ns_each(self, given: Sequence[Command], operations: int = 0) -> float:
        """Apply commands, timed: per command, or per operation if `operations` is given."""
        placed = [
            (command, EnginePosition(0, self._offset + number, self.clock))
            for number, command in enumerate(given)
        ]
        self._offset += len(placed)
        return ns_each(partial(apply_all, self.engine, placed), operations or len(placed))


def apply_all(engine: Engine, placed: Iterable[tuple[Command, EnginePosition]]) -> None:
    """Produce every outcome and discard it."""
    apply = engine.apply
    for command, at in placed:
        apply(command, at)


def cancel(order: PlaceOrder) -> CancelOrder:
    """A cancel by the order's own broker."""
    return CancelOrder(order.order_id, order.broker_id)


def price_at(side: Side, level: int) -> int:
    """The price of the n-th level from the best."""
    away = LEVEL_STEP * (level + 1)
    return MIDDLE - away if side == "bid" else MIDDLE + away


def place_by_depth(scale: Scale) -> Benchmark:
    """A passive order into a book of n levels per side."""

    def point(depth: int) -> CurvePoint:
        market = EngineMarket()
        market.apply(
            market.order(side, price_at(side, level))
            for side in ("bid", "ask")
            for level in range(depth)
        )
        rng = random.Random(depth)

        def measure() -> Iterable[Measurement]:
            for series, aside in (("at a level that is there", 0), ("at a new level", 1)):
                orders = [
                    market.order("bid", price_at("bid", rng.randrange(depth)) - aside)
                    for _ in range(scale.operations)
                ]
                yield Measurement(series, market.ns_each(orders), "ns")
                market.apply(map(cancel, orders))

        return CurvePoint(depth, measure)

    return Benchmark([point(depth) for depth in scale.up_to(10_000)], "levels a side")


def _place_and_cancel(market: EngineMarket, scale: Scale, symbols: int) -> Iterable[Measurement]:
    rng = random.Random(symbols)
    orders = [
        market.order("bid", price_at("bid", rng.randrange(20)), symbol=rng.randrange(symbols))
        for _ in range(scale.operations)
    ]
    yield Measurement("place", market.ns_each(orders), "ns")
    rng.shuffle(orders)
    yield Measurement("cancel", market.ns_each([cancel(order) for order in orders]), "ns")


def by_open_orders(scale: Scale) -> Benchmark:
    """Place and cancel with n resting orders, in 50 symbols."""

    def point(count: int) -> CurvePoint:
        market = EngineMarket(50)
        market.apply(
            market.order(side, price_at(side, number % 20), symbol=number % 50)
            for number in range(count // 2)
            for side in ("bid", "ask")
        )
        return CurvePoint(count, partial(_place_and_cancel, market, scale, 50))

    return Benchmark([point(count) for count in scale.sizes[1:]], "open orders")


def by_symbols(scale: Scale) -> Benchmark:
    """Place and cancel in n symbols, with 20 orders in each."""

    def point(count: int) -> CurvePoint:
        market = EngineMarket(count)
        market.apply(
            market.order(side, price_at(side, number), symbol=symbol)
            for symbol in range(count)
            for number in range(10)
            for side in ("bid", "ask")
        )
        return CurvePoint(count, partial(_place_and_cancel, market, scale, count))

    return Benchmark([point(count) for count in scale.up_to(1_000)], "symbols")


def cancel_by_place(scale: Scale) -> Benchmark:
    """Cancel the oldest, the newest and the middle orders of levels with n orders."""

    def measure(size: int) -> Iterable[Measurement]:
        taken = max(1, size // 10)
        levels = max(1, scale.operations // taken // 4)
        for series, first in (
            ("at the head", 0),
            ("in the middle", (size - taken) // 2),
            ("at the tail", size - taken),
        ):
            market = EngineMarket()
            queues = [
                [market.order("bid", price_at("bid", level)) for _ in range(size)]
                for level in range(levels)
            ]
            for queue in queues:
                market.apply(queue)
            cancels = [cancel(o) for queue in queues for o in queue[first : first + taken]]
            yield Measurement(series, market.ns_each(cancels), "ns")

    return _curve(measure, scale.up_to(10_000), "orders at the level")


def cross(scale: Scale) -> Benchmark:
    """One order that takes n resting orders, at a single price or each at a separate price."""

    def measure(fills: int) -> Iterable[Measurement]:
        takers = max(1, scale.operations // fills)
        for series, price, levels in (
            ("limit order, one level", price_at("ask", fills), 1),
            ("limit order, a level each", price_at("ask", fills), fills),
            ("market order, a level each", None, fills),
        ):
            market = EngineMarket()
            market.apply(
                market.order("ask", price_at("ask", number % levels))
                for number in range(fills * takers)
            )
            orders = [market.order("bid", price, quantity=LOT * fills) for _ in range(takers)]
            yield Measurement(series, market.ns_each(orders, fills * takers), "ns/fill")

    return _curve(measure, _bounded(scale), "fills an order")


def expire(scale: Scale) -> Benchmark:
    """A tick when n orders are due at once."""

    def measure(due: int) -> Iterable[Measurement]:
        ticks = max(1, scale.operations // due)
        market = EngineMarket()
        market.apply(
            market.order(
                "bid", price_at("bid", number % 20), valid_until=START_MS + 1 + number // due
            )
            for number in range(due * ticks)
        )
        placed: list[tuple[Command, EnginePosition]] = [
            (
                Tick(),
                EnginePosition(0, AT_ONCE_MAX * scale.operations + number, START_MS + 1 + number),
            )
            for number in range(ticks)
        ]
        ns = ns_each(partial(apply_all, market.engine, placed), due * ticks)
        yield Measurement("expire", ns, "ns/order")

    return _curve(measure, _bounded(scale), "orders due at once")


def mixed(scale: Scale) -> Benchmark:
    """A market's flow with client order ids, cancels and expiries, into an empty engine."""
    return _of_flow(scale, PLAIN)


def conditions(scale: Scale) -> Benchmark:
    """The flow of `mixed` with replacements and conditions, every symbol with an instrument."""
    return _of_flow(scale, CONDITIONED)


def _of_flow(scale: Scale, shape: Profile) -> Benchmark:
    def point(symbols: int) -> CurvePoint:
        flow = flow_of(scale, symbols, shape=shape)

        def measure() -> Iterable[Measurement]:
            ns = ns_each(partial(apply_all, Engine(0), flow), len(flow))
            yield Measurement("engine alone", 1e9 / ns, "commands/s")

        return CurvePoint(symbols, measure)

    return Benchmark([point(symbols) for symbols in (5, 50, 450)], "symbols")


def flow_of(
    scale: Scale, symbols: int, seconds: int = 0, shape: Profile = PLAIN
) -> list[tuple[Command, EnginePosition]]:
    """Commands with their offsets in the command log, for `flow_s` unless `seconds` is given."""
    duration_s = seconds or scale.flow_s
    planned = plan(structs.replace(shape, symbols=symbols, duration_s=duration_s), seed=1)
    return [
        (command, EnginePosition(0, offset, now_ms))
        for offset, (now_ms, command) in enumerate(commands(planned, 0, START_MS))
    ]


def _curve(
    measure: Callable[[int], Iterable[Measurement]], sizes: Sequence[int], x: str
) -> Benchmark:
    return Benchmark([CurvePoint(size, partial(measure, size)) for size in sizes], x)


def _bounded(scale: Scale) -> list[int]:
    return [min(size, AT_ONCE_MAX) for size in scale.up_to(10_000)]
