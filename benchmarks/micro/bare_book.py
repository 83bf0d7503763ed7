"""Comparison of the engine with a bare order book, in the same run and on the same flow.

The bare book is a SortedDict of price levels, each an OrderedDict of orders: what matching itself
costs in Python. It makes no outcomes, checks nothing, and knows one symbol. Its fills must equal
the engine's. The flow has the shape of one liquid stock on a large exchange: orders near the
best prices and far from them, nearly all cancelled, few trades.
"""

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from sortedcontainers import SortedDict

from benchmarks.micro.context import Context
from benchmarks.micro.engine import LOT, MIDDLE, START_MS, EngineMarket, apply_all, cancel
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, ns_each
from schemas.commands import Command, PlaceOrder, SetQuotas
from schemas.executions import OrderAccepted
from schemas.quotas import Quotas
from services.matcher.engine import Engine, EnginePosition

UNIT: Final = "commands/s"
# Open orders around which the flow stays: below it orders prevail, above it cancels.
OPEN_ORDERS: Final = 2_000
# Shares of all orders that cross the spread, and that rest far from the best price.
CROSSING: Final = 0.06
FAR: Final = 0.15
HALF: Final = 0.5
COMMANDS_A_SECOND: Final = 4_000
# Distances from the best price in cents: mean of the near ones, most of the far ones.
NEAR_CENTS: Final = 6
FAR_CENTS_MAX: Final = 2_000
# No flow reaches them, so that every command is applied.
QUOTAS: Final = Quotas(10_000_000, 10_000, 10_000_000)

# Order id, True for a bid, price and quantity; or the order id to cancel.
BareCommand = tuple[str, bool, int, int] | str
BareFill = tuple[str, int, int]


class BareBook:
    """One symbol's levels and the open orders' places in them."""

    def __init__(self) -> None:
        # Key of a bid: its negated price. So the best level of both sides is the first.
        self.bids: SortedDict[int, OrderedDict[str, int]] = SortedDict()
        self.asks: SortedDict[int, OrderedDict[str, int]] = SortedDict()
        self.open: dict[str, tuple[bool, int]] = {}

    def place(self, order: str, bid: bool, price: int, quantity: int) -> list[BareFill]:
        """Match the order, rest what remains, and return the fills: maker, price, quantity."""
        fills: list[BareFill] = []
        own, opposite = (self.bids, self.asks) if bid else (self.asks, self.bids)
        key = -price if bid else price
        while quantity and opposite and opposite.peekitem(0)[0] <= -key:
            best, level = opposite.peekitem(0)
            maker, available = next(iter(level.items()))
            traded = min(quantity, available)
            quantity -= traded
            fills.append((maker, abs(best), traded))
            if traded < available:
                level[maker] = available - traded
                continue
            del level[maker], self.open[maker]
            if not level:
                del opposite[best]
        if quantity:
            level = own.get(key)
            if level is None:
                level = own[key] = OrderedDict()
            level[order] = quantity
            self.open[order] = bid, key
        return fills

    def cancel(self, order: str) -> None:
        """Remove an open order."""
        bid, key = self.open.pop(order)
        side = self.bids if bid else self.asks
        level = side[key]
        del level[order]
        if not level:
            del side[key]

    def best(self, *, bid: bool) -> int | None:
        """The best price of a side; None if it is empty."""
        side = self.bids if bid else self.asks
        return abs(side.peekitem(0)[0]) if side else None


class BareFlow(Struct, frozen=True):
    """The same commands for the engine and for the bare book."""

    placed: list[tuple[Command, EnginePosition]]
    bare: list[BareCommand]


def flow_of(count: int) -> BareFlow:
    """A flow of `count` commands, one each millisecond."""
    rng, book, market = random.Random(1), BareBook(), EngineMarket()
    flow = BareFlow([], [])
    orders: list[PlaceOrder] = []
    while len(flow.placed) < count:
        command: Command
        if orders and rng.random() < len(book.open) / (2 * OPEN_ORDERS):
            # Most cancels are of young orders.
            age = min(len(orders), 1 + int(rng.expovariate(4 / len(orders))))
            orders[-age], orders[-1] = orders[-1], orders[-age]
            order = orders.pop()
            if order.order_id not in book.open:
                continue
            command = cancel(order)
            book.cancel(order.order_id)
            flow.bare.append(order.order_id)
        else:
            bid = rng.random() < HALF
            price = _price(rng, book, bid=bid)
            quantity = LOT * rng.randint(1, 5)
            command = market.order("bid" if bid else "ask", price, quantity=quantity)
            orders.append(command)
            book.place(command.order_id, bid, price, quantity)
            flow.bare.append((command.order_id, bid, price, quantity))
        at = EnginePosition(0, len(flow.placed), START_MS + len(flow.placed))
        flow.placed.append((command, at))
    return flow


def _price(rng: random.Random, book: BareBook, *, bid: bool) -> int:
    away = 1 if bid else -1
    opposite = book.best(bid=not bid) or MIDDLE + away
    if rng.random() < CROSSING:
        return opposite
    near = 1 + int(rng.expovariate(1 / NEAR_CENTS))
    return opposite - away * (rng.randint(1, FAR_CENTS_MAX) if rng.random() < FAR else near)


def fills_of(engine: Engine, flow: BareFlow) -> list[list[BareFill]]:
    """The engine's fills by order, as those of the bare book."""
    events = (engine.apply(command, at).event for command, at in flow.placed)
    return [
        [(fill.maker_order_id, fill.price, fill.quantity) for fill in event.fills]
        for event in events
        if isinstance(event, OrderAccepted)
    ]


def run_bare(book: BareBook, given: Sequence[BareCommand]) -> list[list[BareFill]]:
    """Apply all commands and return the fills by order."""
    fills: list[list[BareFill]] = []
    for each in given:
        if isinstance(each, str):
            book.cancel(each)
        else:
            fills.append(book.place(*each))
    return fills


def with_quotas() -> Engine:
    """An engine that counts what brokers keep, as in a running exchange."""
    engine = Engine(0)
    engine.apply(SetQuotas(QUOTAS), EnginePosition(0, 0, START_MS))
    return engine


def beside(context: Context) -> Benchmark:
    """Measure the engine without and with quotas, and the bare book."""
    flow = flow_of(COMMANDS_A_SECOND * context.scale.flow_s)
    if fills_of(Engine(0), flow) != run_bare(BareBook(), flow.bare):
        context.failed.append("the bare book's fills differ from the engine's")

    def measure() -> Iterable[Measurement]:
        count = len(flow.placed)
        bare = ns_each(partial(run_bare, BareBook(), flow.bare), count)
        yield Measurement("bare book", 1e9 / bare, UNIT)
        for series, engine in (("engine", Engine(0)), ("engine with quotas", with_quotas())):
            ns = ns_each(partial(apply_all, engine, flow.placed), count)
            yield Measurement(series, 1e9 / ns, UNIT)
            yield Measurement(f"{series} to bare book", 100 * bare / ns, "%")

    return Benchmark([CurvePoint(None, measure)])
