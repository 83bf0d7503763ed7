"""The command log of a market under an operator's control, with orders of every kind. Pure."""

import json
from collections.abc import Iterator
from typing import Any

from tests.golden.market import START_MS, TICK, LoggedCommand, Market


class _ControlledMarket(Market):
    """Orders with conditions of every kind in symbols with instruments, and commands on both.

    Few brokers with two documents each, so that orders meet others of their own owner.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed, symbols=9, brokers=3, prices=40)
        self._orders: list[dict[str, Any]] = []

    def choice(self, *values: Any) -> Any:
        """One of the values."""
        return values[self.below(len(values))]

    def request(self) -> str:
        """The id of a call."""
        return f"{self.below(1 << 32):016x}"

    def instrument(self, symbol: int, reference: int | None) -> bytes:
        """An instrument with increments, bounds and a narrow band, or with some of them."""
        rules: dict[str, Any] = {
            "lot_size": self.choice(1, 100),
            "quantity_max": self.choice(1_800, 2_000),
        }
        if self.chance(0.7):
            rules["band_ppm"] = 1_000 * (1 + self.below(4))
        if self.chance(0.2):
            rules |= {"tick_size": 2, "price_min": 1_980, "price_max": 2_030}
        fields: dict[str, Any] = {
            "symbol": f"SYM{symbol}",
            "request": self.request(),
            "rules": rules,
        }
        if reference is not None:
            fields["reference_price"] = reference
        return _record("set_instrument", **fields)

    def phase(self, symbol: int, phase: str) -> bytes:
        """A change of phase, one in five with an expected phase."""
        fields = {"symbol": f"SYM{symbol}", "request": self.request(), "phase": phase}
        if self.chance(0.2):
            fields["expected"] = self.choice("continuous", "halted")
        return _record("set_phase", **fields)

    def order(self, now: int) -> bytes:
        """A new order, plain or with one condition, and with self-trade prevention or without."""
        client_id = f"m-{self.below(9_000)}" if self.chance(0.2) else None
        fields = json.loads(self.place(client_id=client_id))
        fields["document_number"] = f"{20_000_000_000 + self.below(2)}"
        more = self._condition(fields, now)
        if self.chance(0.6):
            mode = self.choice("cancel_taker", "cancel_maker", "cancel_both")
            more["self_trade_prevention"] = mode
        if more:
            fields |= {"type": "enter_order", **more}
        self._orders.append(fields)
        return _json(fields)

    def _condition(self, fields: dict[str, Any], now: int) -> dict[str, Any]:
        market_order, draw = fields["order_type"] == "market", self.below(8)
        if draw == 0:
            return self.stop(fields)
        if draw == 1:
            return {"time_in_force": self.choice("ioc", "fok")}
        if market_order:
            return {"minimum_quantity": 100} if draw == 2 else {}
        if draw <= 3:
            return {"display_quantity": 100 * (1 + self.below(fields["quantity"] // 100))}
        if draw == 4:
            return {"time_in_force": "day"}
        if draw == 5:
            fields["valid_until"] = now + self.below(30_000)
        return {"post_only": True} if draw == 6 else {}

    def stop(self, fields: dict[str, Any], price: int | None = None) -> dict[str, Any]:
        """The stop price, near the market; an order with a limit takes it a little beyond."""
        bid = fields["side"] == "bid"
        stop_price = price or (2_002 + self.below(12) if bid else 2_006 - self.below(12))
        if fields["order_type"] == "limit":
            fields["price"] = stop_price + (4 if bid else -4)
        return {"stop_price": stop_price}

    def distant_stop(self) -> bytes:
        """A stop bid of symbol 0 above all trades."""
        fields = json.loads(self.place())
        fields |= {"type": "enter_order", "symbol": "SYM0", "side": "bid"}
        fields |= self.stop(fields, 2_060)
        self._orders.append(fields)
        return _json(fields)

    def replace(self, now: int) -> bytes:
        """Other values for a recent order; its broker asks for most of them."""
        order = self._orders[-1 - self.below(min(len(self._orders), 400))]
        fields = {name: order[name] for name in ("order_id", "broker_id")}
        if self.chance(0.05):
            fields["broker_id"] = self.broker_id()
        fields["request"] = self.request()
        draw = self.below(5)
        if draw <= 1:
            fields["of_quantity"] = order["quantity"]
            order["quantity"] = max(100, order["quantity"] + 100 * (self.below(6) - 3))
            fields["quantity"] = order["quantity"]
        elif draw == 2 or (
            draw == 4 and order.keys().isdisjoint(("display_quantity", "stop_price"))
        ):
            fields["price"] = 1_990 + self.below(29)
        elif draw == 3:
            fields["valid_until"] = now + self.below(30_000)
        if "display_quantity" in order and (draw == 4 or self.chance(0.2)):
            fields["display_quantity"] = 100 * self.below(3)
        elif "stop_price" in order and (draw == 4 or self.chance(0.2)):
            fields["stop_price"] = order["stop_price"] + self.below(5) - 2
        if "stop_price" in order and self.chance(0.9):
            fields["waits"] = True
        if order.get("post_only"):
            fields["post_only"] = True
        return _record("amend_order", **fields)

    def cancel_all(self) -> bytes:
        """The cancel of a broker's orders: all, or of a symbol, a side or both."""
        fields = {"broker_id": self.broker_id(), "request": self.request()}
        if self.chance(0.6):
            fields["symbol"] = f"SYM{self.below(12)}"
        if self.chance(0.5):
            fields["side"] = self.choice("bid", "ask")
        return _record("cancel_all", **fields)


def _record(kind: str, **fields: Any) -> bytes:
    return _json({"type": kind, **fields})


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def market_controls() -> Iterator[LoggedCommand]:
    """30,000 commands: replacements, stops, icebergs, self-trade prevention, bands, mass cancels,
    phases and day orders.

    Symbol 8 has no instrument. In each 400 commands one of the others halts or closes for
    60. At 7,000 more stops wait than one command elects, and a reference price reaches them all.
    """
    market = _ControlledMarket(16)
    distant = range(7_000, 8_200)
    of_symbol_0: dict[str, Any] = {"symbol": "SYM0", "request": "0" * 16}
    reaching = {
        6_999: _record("set_instrument", **of_symbol_0, rules={}, reference_price=2_004),
        8_200: _record("set_phase", **of_symbol_0, phase="halted"),
        8_201: _record("set_instrument", **of_symbol_0, rules={}, reference_price=2_060),
        8_202: _record("set_phase", **of_symbol_0, phase="continuous"),
    }
    now = START_MS
    for offset in range(30_000):
        now += market.below(20)
        symbol, step = offset // 400 % 8, offset % 400
        if offset < 8:
            value = market.instrument(offset, 2_004)
        elif offset in distant:
            value = market.distant_stop()
        elif offset in reaching:
            value = reaching[offset]
        elif step == 100:
            value = market.phase(symbol, market.choice("halted", "closed"))
        elif step in (160, 165):
            value = market.phase(symbol, "continuous")
        elif step == 200:
            value = market.instrument(symbol, market.choice(None, 2_004))
        else:
            value = _of_controlled_market(market, now)
        yield LoggedCommand(offset, now, value)


def _of_controlled_market(market: _ControlledMarket, now: int) -> bytes:
    draw = market.below(1_000)
    if draw < 4:
        return market.cancel_all()
    if draw < 14:
        return TICK
    if draw < 150:
        return market.cancel() if market.placed else TICK
    return market.replace(now) if draw < 300 and market.placed else market.order(now)
