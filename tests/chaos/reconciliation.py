"""What the clients were told, held against the log by a fold of its own, apart from the audit's.

Pure. `lost`: told to be in the market, and is not. `doubled`: there more than once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from loadgen.client.record import RequestRecord
from schemas.commands import Command, PlaceOrder
from schemas.executions import Expired, OrderAccepted, OrderCancelled, OrderRepeated, Outcome
from schemas.units import Side
from services.audit.client_log import ClientLine

_REPEATED, _CREATED = 200, 201
_CLIENT_ERROR, _NOT_FOUND, _SERVER_ERROR, _NOT_ACCEPTED = 400, 404, 500, 503

E = TypeVar("E", OrderAccepted, OrderRepeated)


class Market(Struct, frozen=True):
    """The log as it is at the end: commands, the outcomes that count, the public trades' ids."""

    commands: Sequence[Command | None]
    outcomes: Sequence[Outcome]
    trade_ids: Sequence[str]


class Standing(Struct):
    """An order; `remaining` is what was not filled, also when it is closed."""

    broker_id: str
    symbol: str
    side: Side
    price: int | None
    remaining: int
    open: bool


class Reconciliation(Struct, frozen=True):
    """Every difference is a line that names the order or trade."""

    acknowledged: int
    cancelled: int
    trades: int
    lost: list[str]
    doubled: list[str]


def reconciliation(
    lines: Iterable[ClientLine], cancelled: Iterable[str], market: Market
) -> Reconciliation:
    """`cancelled`: orders whose cancel was granted."""
    acknowledged = {
        line.order_id: (line.broker_id, line.client_order_id)
        for line in lines
        if line.told == "acknowledged"
    }
    granted = sorted(set(cancelled))
    written = Counter(c.order_id for c in market.commands if isinstance(c, PlaceOrder))
    entered = Counter(
        (event.broker_id, event.client_order_id or event.order_id)
        for event in _events(market, OrderAccepted)
    )
    repeated = {event.order_id for event in _events(market, OrderRepeated)}
    orders = {event.order_id for event in _events(market, OrderAccepted)}
    fills = [fill for event in _events(market, OrderAccepted) for fill in event.fills]
    open_ = {order_id for order_id, order in standings(market).items() if order.open}
    lost = [
        f"order {i} {name} is not in the log" for i, name in acknowledged.items() if not written[i]
    ]
    lost += [
        f"order {i} {name} has no outcome"
        for i, name in acknowledged.items()
        if written[i] and i not in orders and i not in repeated
    ]
    lost += [f"order {i} is open, its cancel was granted" for i in granted if i in open_]
    published = Counter(market.trade_ids)
    lost += [f"trade {f.trade_id} was not published" for f in fills if not published[f.trade_id]]
    doubled = [f"order {i} is in the log {n} times" for i, n in written.items() if n > 1]
    doubled += [f"{name} entered the market {n} times" for name, n in entered.items() if n > 1]
    doubled += [f"trade {i} was published {n} times" for i, n in published.items() if n > 1]
    made = Counter(fill.trade_id for fill in fills)
    doubled += [f"trade {i} was made {n} times" for i, n in made.items() if n > 1]
    return Reconciliation(len(acknowledged), len(granted), len(made), lost, doubled)


def _events(market: Market, kind: type[E]) -> list[E]:
    return [o.event for o in market.outcomes if isinstance(o.event, kind)]


def entered_though_refused(lines: Iterable[RequestRecord]) -> list[str]:
    """200 says that an earlier attempt made the order; then not all of those were refused.

    `lines` as they were answered: the attempts at one order follow each other. The audit cannot
    see this: an order that was refused first may well be in the log, by a later attempt.
    """
    found, perhaps = [], set[tuple[int, str]]()
    for line in lines:
        name, status = (line.broker, line.client_order_id), line.answer.status
        if line.operation != "order":
            continue
        if status == _REPEATED and name not in perhaps:
            found.append(f"{name} entered the market by an attempt that was refused")
        if not (_CLIENT_ERROR <= status < _SERVER_ERROR or status == _NOT_ACCEPTED):
            perhaps.add(name)
    return found


def called_unknown(lines: Iterable[RequestRecord], market: Market) -> list[str]:
    """A cancel of a broker's own order may come too late, but the order is there."""
    entered = {event.order_id for event in _events(market, OrderAccepted)}
    return [
        f"order {line.answer.order_id} is in the market, its cancel was answered 404"
        for line in lines
        if line.operation == "cancel"
        and line.answer.status == _NOT_FOUND
        and line.answer.order_id in entered
    ]


def answered_with_two(lines: Iterable[RequestRecord]) -> list[str]:
    """One client order id is one order, whenever it is asked for."""
    ids: dict[tuple[int, str], set[str]] = {}
    for line in lines:
        if line.operation == "order" and line.answer.status in (_REPEATED, _CREATED):
            name = (line.broker, line.client_order_id)
            ids.setdefault(name, set()).add(line.answer.order_id)
    return [f"{name} was answered with {each}" for name, each in ids.items() if len(each) > 1]


def standings(market: Market) -> dict[str, Standing]:
    """Every order that entered, as it stands at the end."""
    found: dict[str, Standing] = {}
    for outcome in market.outcomes:
        for expired in outcome.expired:
            found[expired.order_id].open = False
        event = outcome.event
        if isinstance(event, OrderCancelled):
            found[event.order_id].open = False
        elif isinstance(event, OrderAccepted):
            for fill in event.fills:
                maker = found[fill.maker_order_id]
                maker.remaining = fill.maker_remaining_quantity
                maker.open = maker.open and maker.remaining > 0
            is_open = event.closed_reason is None
            found[event.order_id] = Standing(
                event.broker_id,
                event.symbol,
                event.side,
                event.price,
                event.remaining_quantity,
                is_open,
            )
    return found


class Account(Struct):
    """Of one broker: sales minus purchases in cents, and shares by symbol where there are any."""

    cash: int = 0
    shares: dict[str, int] = {}

    def traded(self, symbol: str, quantity: int, value: int) -> None:
        """Bought so many shares, or sold them: then both are negative."""
        self.cash -= value
        self.shares[symbol] = self.shares.get(symbol, 0) + quantity


def accounts(market: Market) -> dict[str, Account]:
    """By broker."""
    found: dict[str, Account] = {}
    for event in _events(market, OrderAccepted):
        sign = 1 if event.side == "bid" else -1
        for fill in event.fills:
            quantity, value = sign * fill.quantity, sign * fill.price * fill.quantity
            found.setdefault(event.broker_id, Account()).traded(event.symbol, quantity, value)
            maker = found.setdefault(fill.maker_broker_id, Account())
            maker.traded(event.symbol, -quantity, -value)
    return found


class Shop(Struct):
    """What the public sees of a symbol: levels by side and price as total and orders."""

    sequence: int = 0
    last_price: int | None = None
    levels: dict[tuple[Side, int], list[int]] = {}


def shops(market: Market) -> dict[str, Shop]:
    """By symbol."""
    found: dict[str, Shop] = {}
    for outcome in market.outcomes:
        event = outcome.event
        for each in (*outcome.expired, event):
            if isinstance(each, OrderAccepted | OrderCancelled | Expired):
                found.setdefault(each.symbol, Shop()).sequence = each.book_sequence
        if isinstance(event, OrderAccepted) and event.fills:
            found[event.symbol].last_price = event.fills[-1].price
    for order in standings(market).values():
        if order.open and order.price is not None:
            level = found[order.symbol].levels.setdefault((order.side, order.price), [0, 0])
            level[0] += order.remaining
            level[1] += 1
    return found
