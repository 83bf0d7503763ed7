"""Order types as tables: what happens on one symbol, and the trades, book and orders afterwards.

`a1 S 5@50`: order 1 of broker a asks for 5 shares at 50 cents; `B` bids; `@mkt` is a market order.
Then its conditions: `ioc`, `fok`, `day`, `po` (post-only), `min6` (minimum quantity),
`stop55` (stop price), `show10` (display quantity), `stpT`, `stpM`, `stpB` (self-trade prevention:
cancel taker, maker, both), `doc2` (the document that it is for).
`x a1` cancels, `X a` all orders of broker a, `X a B` its bids.
`rules ref50 tick5 lot10 maxq100 maxv6000 min45 max55 band10%` sets the symbol's instrument: its
reference price, increments, largest quantity and value, lowest price of asks and highest of bids,
dynamic band.
`phase halted` changes the phase of the symbol: `halted`, `closed`, `continuous`.
`a1 => 3@51 show5` replaces quantity, price and display quantity; `a1 => 3@`, `a1 => @51`,
`a1 => show5` and `a1 => stop57` one value.
Trades: `buyer*seller quantity@price`. Book: `bids / asks`, levels best first. Orders: `open LEFT`,
`filled`, the reason why it was closed with what was left, or the refusal; `a1=>` is the refusal of
the latest replacement. Pure data: the tests
of the engine, of its reference model and of an exchange over HTTP all run them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

_ORDER = re.compile(r"(?P<name>[a-z]\d+) (?P<side>[BS]) (?P<quantity>\d+)@(?P<price>mkt|\d+)")
_REPLACE = re.compile(r"(?P<name>[a-z]\d+) =>( (?P<quantity>\d*)@(?P<price>\d*))?")
_SIDES: Final[dict[str, Literal["bid", "ask"]]] = {"B": "bid", "S": "ask"}
# Fields of the order that one word stands for.
_WORDS: Final[dict[str, tuple[str, object]]] = {
    "ioc": ("time_in_force", "ioc"),
    "fok": ("time_in_force", "fok"),
    "day": ("time_in_force", "day"),
    "po": ("post_only", True),
    "stpT": ("self_trade_prevention", "cancel_taker"),
    "stpM": ("self_trade_prevention", "cancel_maker"),
    "stpB": ("self_trade_prevention", "cancel_both"),
}
_NUMBERS: Final = {
    "min": "minimum_quantity",
    "stop": "stop_price",
    "show": "display_quantity",
}
# In parts per million.
_PERCENT: Final = 10_000
# Fields of an instrument.
_RULES: Final = {
    "ref": "reference_price",
    "tick": "tick_size",
    "lot": "lot_size",
    "maxq": "quantity_max",
    "maxv": "value_max",
    "min": "price_min",
    "max": "price_max",
    "band": "band_ppm",
}


class Entry(Struct, frozen=True):
    """An order to enter; `name` is its broker's letter and a number. `conditions` by field name."""

    name: str
    side: Literal["bid", "ask"]
    quantity: int
    price: int | None
    conditions: Mapping[str, object]

    @property
    def broker(self) -> str:
        """The letter of its broker."""
        return self.name[0]


class Cancel(Struct, frozen=True):
    """The cancel of an order by its broker."""

    name: str


class MassCancel(Struct, frozen=True):
    """The cancel of all orders of a broker, by its letter; `side` None: of both sides."""

    broker: str
    side: Literal["bid", "ask"] | None


class SymbolRules(Struct, frozen=True):
    """An instrument for the symbol; `fields` by name."""

    fields: Mapping[str, int]


class PhaseChange(Struct, frozen=True):
    """Another phase of the symbol's market, by its name in the API."""

    phase: str


class Replace(Struct, frozen=True):
    """New values of an order, by the names of its fields."""

    name: str
    values: Mapping[str, int]


Action = Entry | Cancel | MassCancel | PhaseChange | Replace | SymbolRules
Side = Sequence[tuple[int, int]]


class Result(Struct, frozen=True):
    """Trades as (buyer, seller, quantity, price), levels as (quantity, price), orders as text."""

    trades: Sequence[tuple[str, str, int, int]]
    bids: Side
    asks: Side
    orders: Mapping[str, str]

    def text(self, names: Iterable[str]) -> tuple[str, str, str]:
        """Trades, book and these orders in the words of a scenario."""
        trades = [f"{buyer}*{seller} {count}@{at}" for buyer, seller, count, at in self.trades]
        orders = [f"{name} {self.orders[name]}" for name in names]
        book = f"{_levels(self.bids)} / {_levels(self.asks)}"
        return ", ".join(trades) or "-", book, "; ".join(orders)


class Exchange(Protocol):
    """Player of a scenario: a model, an engine, or an exchange over HTTP."""

    def play(self, actions: Sequence[Action]) -> Result:
        """Play the actions one after the other, on an empty symbol."""


class Scenario(Struct, frozen=True):
    """One row of the table. `rule`: the sentence that it is an example of."""

    name: str
    rule: str
    actions: str
    trades: str
    book: str
    orders: str

    def check(self, exchange: Exchange) -> None:
        """Play the scenario. Fails unless the result is the expected one."""
        wanted = (self.trades, self.book, self.orders)
        names = [order.split()[0] for order in self.orders.split("; ")]
        found = exchange.play(actions_of(self.actions)).text(names)
        assert found == wanted, f"{self.name}: {self.actions}"


def actions_of(text: str) -> list[Action]:
    """The actions of a scenario, in order."""
    return [_action(words) for words in text.split("; ")]


def _action(text: str) -> Action:
    if text.startswith("rules "):
        return SymbolRules(dict(_number(word, _RULES) for word in text.split()[1:]))
    if text.startswith("phase "):
        return PhaseChange(text.removeprefix("phase "))
    if text.startswith("x "):
        return Cancel(text.removeprefix("x "))
    if text.startswith("X "):
        broker, *side = text.split()[1:]
        return MassCancel(broker, _SIDES[side[0]] if side else None)
    replaced = _REPLACE.match(text)
    if replaced is not None:
        given = {"quantity": replaced["quantity"], "price": replaced["price"]}
        values = {field: int(value) for field, value in given.items() if value}
        more = dict(_number(word, _NUMBERS) for word in text[replaced.end() :].split())
        return Replace(replaced["name"], values | more)
    found = _ORDER.match(text)
    assert found is not None, text
    price = found["price"]
    return Entry(
        found["name"],
        _SIDES[found["side"]],
        int(found["quantity"]),
        None if price == "mkt" else int(price),
        dict(map(_condition, text[found.end() :].split())),
    )


def _condition(word: str) -> tuple[str, object]:
    if word in _WORDS:
        return _WORDS[word]
    if word.startswith("doc"):
        return "document_number", word.removeprefix("doc")
    return _number(word, _NUMBERS)


def _number(word: str, names: Mapping[str, str]) -> tuple[str, int]:
    digits = word.removesuffix("%")
    name = digits.rstrip("0123456789")
    # Shares of a price are parts per million.
    return names[name], int(digits.removeprefix(name)) * (_PERCENT if digits != word else 1)


def _levels(side: Side) -> str:
    return " ".join(f"{quantity}@{price}" for quantity, price in side) or "-"
