"""Runs other engines on a given flow in a separate interpreter: `peer_worker.py FLOW`.

Imports nothing from this repository, since its environment does not contain it. FLOW is a JSON list
of [symbol, is bid, price or null, quantity] to place and [symbol, number] to cancel the order
placed at that number. A line on standard input names an engine; the answer is a line of JSON:
`seconds` for the flow, `fills` as [number, price, quantity] in order, `version`; or `error`.

Each adapter creates its engine's inputs before the timing starts. Where an engine would let the
remainder of a market order rest, the adapter cancels it within the engine's time.
"""

import importlib
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

Flow = list[list[Any]]
Fills = list[list[Any]]
_CANCEL = 2


class Adapter(Protocol):
    """An engine with its flow."""

    def run(self) -> None:
        """Run the whole flow once."""

    def fills(self) -> Fills:
        """The fills, in order."""


class Bourse:
    """One book per symbol; time is the command's number, which two orders may not share."""

    def __init__(self, flow: Flow) -> None:
        module = importlib.import_module("bourse.core")
        self._books = {entry[0]: module.OrderBook(0, 1, True) for entry in flow}
        self._flow = flow

    def run(self) -> None:
        """See Adapter."""
        books = self._books
        placed: dict[int, int] = {}
        for number, entry in enumerate(self._flow):
            book = books[entry[0]]
            book.set_time(number)
            if len(entry) == _CANCEL:
                book.cancel_order(placed[entry[1]])
            else:
                _, bid, price, quantity = entry
                placed[number] = book.place_order(bid, quantity, 0, price=price)

    def fills(self) -> Fills:
        """See Adapter."""
        trades = (trade for book in self._books.values() for trade in book.get_trades())
        return sorted(([t[0], t[2], t[3]] for t in trades), key=lambda fill: fill[0])


class LightMatchingEngine:
    """One engine; price 0 is a market order, whose remainder would stay in the book."""

    def __init__(self, flow: Flow) -> None:
        module = importlib.import_module("lightmatchingengine.lightmatchingengine")
        self._engine = module.LightMatchingEngine()
        self._sides = {True: module.Side.BUY, False: module.Side.SELL}
        self._flow = flow
        self._traded: list[tuple[int, Any, Any]] = []

    def run(self) -> None:
        """See Adapter."""
        engine, traded, sides = self._engine, self._traded, self._sides
        placed: dict[int, Any] = {}
        for number, entry in enumerate(self._flow):
            symbol = entry[0]
            if len(entry) == _CANCEL:
                engine.cancel_order(placed[entry[1]], symbol)
                continue
            _, bid, price, quantity = entry
            order, trades = engine.add_order(symbol, price or 0, quantity, sides[bid])
            placed[number] = order.order_id
            if price is None and order.leaves_qty:
                engine.cancel_order(order.order_id, symbol)
            if trades:
                traded.append((number, order.order_id, trades))

    def fills(self) -> Fills:
        """See Adapter."""
        # For each level the engine reports the taker's sum and then each maker's part, which are
        # the fills.
        return [
            [number, trade.trade_price, trade.trade_qty]
            for number, taker, trades in self._traded
            for trade in trades
            if trade.order_id != taker
        ]


class OrderMatching:
    """One engine per symbol; the remainder of a market order would stay in its book."""

    def __init__(self, flow: Flow) -> None:
        importlib.import_module("loguru").logger.remove()
        engines = importlib.import_module("order_matching.matching_engine")
        self._kinds = importlib.import_module("order_matching.order")
        self._sides = importlib.import_module("order_matching.enums").Side
        self._batch = importlib.import_module("order_matching.orders").Orders
        self._engines = {entry[0]: engines.MatchingEngine(seed=1) for entry in flow}
        self._flow = flow
        # The engine compares it with a time without a time zone.
        start = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
        self._times = [start + timedelta(microseconds=number) for number in range(len(flow))]
        self._orders = [self._order(number, *entry[1:]) for number, entry in enumerate(flow)]
        self._traded: list[tuple[int, Any]] = []

    def _order(self, number: int, bid: Any, *terms: Any) -> Any:
        if not terms:
            return None
        price, quantity = terms
        given = {
            "side": self._sides.BUY if bid else self._sides.SELL,
            "size": quantity,
            "timestamp": self._times[number],
            "order_id": str(number),
            "trader_id": "0",
        }
        if price is None:
            return self._kinds.MarketOrder(**given)
        return self._kinds.LimitOrder(price=price, **given)

    def run(self) -> None:
        """See Adapter."""
        batch, traded = self._batch, self._traded
        for number, entry in enumerate(self._flow):
            engine, order = self._engines[entry[0]], self._orders[number]
            if order is None:
                engine.cancel_order(str(entry[1]))
                continue
            engine.place(batch([order]))
            trades = engine.match(self._times[number]).trades
            if entry[2] is None and order.size:
                engine.cancel_order(order.order_id)
            if trades:
                traded.append((number, trades))

    def fills(self) -> Fills:
        """See Adapter."""
        return [
            [number, fill.price, fill.size] for number, trades in self._traded for fill in trades
        ]


# Adapters by package name.
ADAPTERS: dict[str, Any] = {
    "bourse": Bourse,
    "lightmatchingengine": LightMatchingEngine,
    "order-matching": OrderMatching,
}


def answer(name: str, flow: Flow) -> dict[str, Any]:
    """Run an engine once; an exception becomes its answer."""
    try:
        engine: Adapter = ADAPTERS[name](flow)
        start_s = time.perf_counter()
        engine.run()
        seconds = time.perf_counter() - start_s
        return {"seconds": seconds, "fills": engine.fills(), "version": version(name)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer requests until standard input ends."""
    flow: Flow = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(line.strip(), flow)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
