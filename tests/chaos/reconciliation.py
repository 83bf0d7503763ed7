"""Reconciliation of the clients' answers with the topics, independent of the audit's. Pure.

`lost`: acknowledged, but absent from the market. `duplicated`: present more than once.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from loadgen.client.record import RequestRecord, RequestResult
from schemas.commands import Command, PlaceOrder
from schemas.executions import (
    CommandRefused,
    Event,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderRepeated,
    Outcome,
    PhaseSet,
    StopElected,
)
from schemas.order_rules import PHASE_REFUSALS
from schemas.outcome_steps import MakerPrevented, Step, is_parked, steps_of, trades_of
from schemas.units import Side
from services.audit.client_log import ClientLine

_OK = _REPEATED = 200
_CREATED = 201
_CLIENT_ERROR, _NOT_FOUND, _SERVER_ERROR, _NOT_ACCEPTED = 400, 404, 500, 503
_INVALID, _TOO_MANY = 422, 429

# Refusals of orders of the load: by the market, and by the wrong clock of a gateway.
_LATE_REFUSALS = (
    *PHASE_REFUSALS.values(),
    "post_only_would_trade",
    "stop_would_trigger",
    "stale_order_id",
)
# What may change the book of a symbol.
_CHANGES = (
    OrderAccepted
    | OrderAmended
    | OrderCancelled
    | StopElected
    | MakerPrevented
    | InstrumentSet
    | PhaseSet
)
_CHANGES_BY_REQUEST = (OrderAmended, PhaseSet, InstrumentSet)

E = TypeVar("E", OrderAccepted, OrderRepeated, CommandRefused, OrderAmended)


class Market(Struct, frozen=True):
    """Content of the topics at the end: commands, valid outcomes, ids of the public trades."""

    commands: Sequence[Command | None]
    outcomes: Sequence[Outcome]
    trade_ids: Sequence[str]


class OrderState(Struct):
    """State of an order; `remaining`: quantity that is not filled, also of a closed order;
    `parked`: a stop order that waits outside the book; `displayed`: the part of an iceberg order
    that the book shows, None: all of it."""

    broker_id: str
    symbol: str
    side: Side
    price: int | None
    remaining: int
    open: bool
    parked: bool = False
    displayed: int | None = None


class Reconciliation(Struct, frozen=True):
    """Counts, and a line for each difference, which names the order or trade."""

    acknowledged: int
    cancelled: int
    trades: int
    lost: list[str]
    duplicated: list[str]


def reconciliation(
    lines: Iterable[ClientLine], cancelled: Iterable[str], market: Market
) -> Reconciliation:
    """Compare. `lines`: answers to orders; `cancelled`: ids of orders whose cancel was granted."""
    acknowledged = {
        line.order_id: (line.broker_id, line.client_order_id)
        for line in lines
        if line.result == "acknowledged"
    }
    granted = sorted(set(cancelled))
    written = Counter(c.order_id for c in market.commands if isinstance(c, PlaceOrder))
    # Records that a foreign writer repeated, or that a retry made: they made no order.
    without_order = Counter(event.order_id for event in _events(market, OrderRepeated))
    without_order.update(event.order_id or "" for event in _events(market, CommandRefused))
    entered = Counter(
        (event.broker_id, event.client_order_id or event.order_id)
        for event in _events(market, OrderAccepted)
    )
    repeated = {event.order_id for event in _events(market, OrderRepeated)}
    # Answered 202 before the outcome, which was a refusal.
    refused = {e.order_id for e in _events(market, CommandRefused) if e.code in _LATE_REFUSALS}
    orders = {event.order_id for event in _events(market, OrderAccepted)}
    fills = [trade.fill for outcome in market.outcomes for trade in trades_of(outcome)]
    open_ = {order_id for order_id, order in order_states(market).items() if order.open}
    lost = [
        f"order {i} {name} has no command" for i, name in acknowledged.items() if not written[i]
    ]
    lost += [
        f"order {i} {name} has no outcome"
        for i, name in acknowledged.items()
        if written[i] and i not in orders and i not in repeated and i not in refused
    ]
    lost += [f"order {i} is open, its cancel was granted" for i in granted if i in open_]
    published = Counter(market.trade_ids)
    lost += [f"trade {f.trade_id} was not published" for f in fills if not published[f.trade_id]]
    duplicated = [
        f"order {i} has {n} commands" for i, n in written.items() if n - without_order[i] > 1
    ]
    duplicated += [f"{name} entered the market {n} times" for name, n in entered.items() if n > 1]
    duplicated += [f"trade {i} was published {n} times" for i, n in published.items() if n > 1]
    made = Counter(fill.trade_id for fill in fills)
    duplicated += [f"trade {i} was made {n} times" for i, n in made.items() if n > 1]
    return Reconciliation(len(acknowledged), len(granted), len(made), lost, duplicated)


def _events(market: Market, kind: type[E]) -> list[E]:
    return [o.event for o in market.outcomes if isinstance(o.event, kind)]


def first_changes(market: Market) -> list[OrderAmended | PhaseSet | InstrumentSet]:
    """Changes that the first record of their request made.

    The client's answer belongs to that record. If a foreign writer repeats it, the repetition
    changes the market again, or for the first time if the first record was refused.
    """
    first: dict[str, Event] = {}
    for event in (outcome.event for outcome in market.outcomes):
        if isinstance(event, (*_CHANGES_BY_REQUEST, CommandRefused)) and event.request is not None:
            first.setdefault(event.request, event)
    return [event for event in first.values() if isinstance(event, _CHANGES_BY_REQUEST)]


def wrongly_replaced(answers: Sequence[RequestResult], market: Market) -> list[str]:
    """Orders with fewer replacements in the market than were granted, or more than possible."""
    made = Counter(
        event.order_id for event in first_changes(market) if isinstance(event, OrderAmended)
    )
    entered = {event.order_id for event in _events(market, OrderAccepted)}
    granted = Counter(answer.order_id for answer in answers if answer.status == _OK)
    possible = Counter(answer.order_id for answer in answers if not is_refusal(answer.status))
    found = [
        f"order {i} was replaced {made[i]} times, {granted[i]} to {possible[i]} were answered"
        for i in made.keys() | granted.keys()
        if not granted[i] <= made[i] <= possible[i]
    ]
    found += [
        f"order {answer.order_id} is in the market, its replacement was answered 404"
        for answer in answers
        if answer.status == _NOT_FOUND and answer.order_id in entered
    ]
    return found


def is_refusal(status: int) -> bool:
    return _CLIENT_ERROR <= status < _SERVER_ERROR or status == _NOT_ACCEPTED


def accepted_after_refusals(lines: Iterable[RequestRecord]) -> list[str]:
    """Orders answered 200, which means that an earlier attempt entered, after refusals only.

    `lines` in order of the answers, so that the attempts at one order are in order too. The audit
    cannot check this: a later attempt at a refused order may rightly be in the command log.
    """
    found, possible = [], set[tuple[int, str]]()
    for line in lines:
        name, status = (line.broker, line.client_order_id), line.answer.status
        if line.operation != "order":
            continue
        if status == _REPEATED and name not in possible:
            found.append(f"{name} entered the market by an attempt that was refused")
        if not is_refusal(status):
            possible.add(name)
    return found


class ClockErrors(Struct, frozen=True):
    """Periods in which the gateway's clock was wrong, on the clients' clock, and the orders with a
    `valid_until`, by broker number and client order id. It may then refuse these orders.
    """

    periods_us: Sequence[tuple[int, int]] = ()
    with_validity: Collection[tuple[int, str]] = ()

    def excuse(self, line: RequestRecord) -> bool:
        """True if the attempt may have been refused because of the gateway's clock."""
        return (
            line.answer.status == _INVALID
            and (line.broker, line.client_order_id) in self.with_validity
            and any(line.sent_us <= end and start <= line.done_us for start, end in self.periods_us)
        )


def refused_wrongly(lines: Iterable[RequestRecord], clock_errors: ClockErrors) -> list[str]:
    """Orders answered 4xx except 429: every order of the load is valid, and so is its retry.

    The market's own refusals, such as of a post-only order that would trade, are right. Those in a
    halted or closed market are compared with the market elsewhere.
    """
    return [
        f"order {line.client_order_id} of broker {line.broker} was refused: {line.answer}"
        for line in lines
        if line.operation == "order"
        and _CLIENT_ERROR <= line.answer.status < _SERVER_ERROR
        and line.answer.status != _TOO_MANY
        and line.kind != "expected"
        and line.answer.code not in PHASE_REFUSALS.values()
        and not clock_errors.excuse(line)
    ]


def wrongly_not_found(lines: Iterable[RequestRecord], market: Market) -> list[str]:
    """Cancels answered 404 although the broker's order is in the market, open or closed."""
    entered = {event.order_id for event in _events(market, OrderAccepted)}
    return [
        f"order {line.answer.order_id} is in the market, its cancel was answered 404"
        for line in lines
        if line.operation == "cancel"
        and line.answer.status == _NOT_FOUND
        and line.answer.order_id in entered
    ]


def answered_with_two_orders(lines: Iterable[RequestRecord]) -> list[str]:
    """Client order ids for which two different order ids were answered."""
    ids: dict[tuple[int, str], set[str]] = {}
    for line in lines:
        if line.operation == "order" and line.answer.status in (_REPEATED, _CREATED):
            name = (line.broker, line.client_order_id)
            ids.setdefault(name, set()).add(line.answer.order_id)
    return [f"{name} was answered with {each}" for name, each in ids.items() if len(each) > 1]


def order_states(market: Market) -> dict[str, OrderState]:
    """State at the end of every accepted order, by order id."""
    found: dict[str, OrderState] = {}
    for outcome in market.outcomes:
        for expired in outcome.expired:
            found[expired.order_id].open = False
        for step, trades in steps_of(outcome):
            for trade in trades:
                maker = found[trade.fill.maker_order_id]
                maker.remaining = trade.fill.maker_remaining_quantity
                maker.displayed = trade.fill.maker_displayed_quantity
                maker.open = maker.open and maker.remaining > 0
            _change(found, step)
    return found


def _change(orders: dict[str, OrderState], step: Step) -> None:
    """Add an order, or change it, as the step says."""
    if isinstance(step, OrderAccepted):
        orders[step.order_id] = OrderState(
            step.broker_id,
            step.symbol,
            step.side,
            step.price,
            step.remaining_quantity,
            open=step.closed_reason is None,
            parked=is_parked(step),
            displayed=step.displayed_quantity if isinstance(step, OrderEntered) else None,
        )
    elif isinstance(step, OrderCancelled | MakerPrevented):
        order = orders[step.order_id]
        order.remaining, order.open = step.remaining_quantity, False
    elif isinstance(step, OrderAmended | StopElected):
        order = orders[step.order_id]
        order.price, order.remaining = step.price, step.remaining_quantity
        order.open = step.closed_reason is None
        order.parked = isinstance(step, OrderAmended) and step.stop_price is not None
        order.displayed = step.displayed_quantity if isinstance(step, OrderAmended) else None


class Account(Struct):
    """Balance of a broker: sales minus purchases in cents, and shares by symbol, signed."""

    cash: int = 0
    shares: dict[str, int] = {}

    def traded(self, symbol: str, quantity: int, value: int) -> None:
        """Add a trade; `quantity` and `value` are positive for a buyer, negative for a seller."""
        self.cash -= value
        self.shares[symbol] = self.shares.get(symbol, 0) + quantity


def accounts(market: Market) -> dict[str, Account]:
    """Balances by broker id."""
    found: dict[str, Account] = {}
    for trade in (trade for outcome in market.outcomes for trade in trades_of(outcome)):
        taker, fill = trade.taker, trade.fill
        sign = 1 if taker.side == "bid" else -1
        quantity, value = sign * fill.quantity, sign * fill.price * fill.quantity
        found.setdefault(taker.broker_id, Account()).traded(taker.symbol, quantity, value)
        maker = found.setdefault(fill.maker_broker_id, Account())
        maker.traded(taker.symbol, -quantity, -value)
    return found


class SymbolView(Struct):
    """Public view of a symbol; `levels`: total quantity and order count by side and price."""

    sequence: int = 0
    last_price: int | None = None
    levels: dict[tuple[Side, int], list[int]] = {}


def symbol_views(market: Market) -> dict[str, SymbolView]:
    """Public views by symbol."""
    found: dict[str, SymbolView] = {}
    for outcome in market.outcomes:
        for expired in outcome.expired:
            found[expired.symbol].sequence = expired.book_sequence
        for step, trades in steps_of(outcome):
            if not isinstance(step, _CHANGES):
                continue
            view = found.setdefault(step.symbol, SymbolView())
            view.sequence = step.book_sequence
            if trades:
                view.last_price = trades[-1].fill.price
    for order in order_states(market).values():
        if order.open and not order.parked and order.price is not None:
            level = found[order.symbol].levels.setdefault((order.side, order.price), [0, 0])
            level[0] += order.remaining if order.displayed is None else order.displayed
            level[1] += 1
    return found
