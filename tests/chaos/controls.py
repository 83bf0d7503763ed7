"""Checks of mass cancels, phases, instruments and self-trade prevention against the topics, and a
count of what a run contained. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from loadgen.client.record import RequestRecord, RequestResult
from schemas.commands import PlaceOrder
from schemas.executions import (
    CommandRefused,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderEntered,
    OrdersCancelled,
    Outcome,
    PhaseSet,
    RefusalCode,
)
from schemas.instruments import InstrumentRules, Phase
from schemas.order_rules import PHASE_REFUSALS
from schemas.outcome_steps import MakerPrevented, prevented_by, steps_of, trades_of
from tests.chaos.reconciliation import Market, first_changes, is_refusal, order_states

_OK: Final = 200
# A run must contain each of these, as `kinds_of` counts them.
KINDS: Final = (
    "iceberg orders",
    "fills of iceberg orders",
    "mass cancels",
    "instruments set",
    "halts",
    "closes",
    "reopenings",
    "orders refused in a halt",
    "orders refused after a close",
    "self-trades prevented",
)
_KINDS_OF_PHASES: Final[dict[Phase, str]] = {
    "continuous": "reopenings",
    "halted": "halts",
    "closed": "closes",
}
_KINDS_OF_REFUSALS: Final[dict[RefusalCode, str]] = {
    PHASE_REFUSALS["halted"]: "orders refused in a halt",
    PHASE_REFUSALS["closed"]: "orders refused after a close",
}


class MassCancel(Struct, frozen=True):
    """An attempt to cancel all orders of a broker that a filter selects.

    `covered`: ids of those that were acknowledged before. `cancelled`: the ids in the answer.
    """

    broker_id: str
    covered: tuple[str, ...]
    answer: RequestResult
    cancelled: tuple[str, ...] = ()


class MarketChange(Struct, frozen=True):
    """An attempt of the operator to give a symbol another phase or other rules."""

    symbol: str
    wanted: Phase | InstrumentRules
    answer: RequestResult


def not_cancelled(attempts: Iterable[MassCancel], market: Market) -> list[str]:
    """Orders that a granted mass cancel has left open, or reported as cancelled though it has not
    cancelled them."""
    open_ = {order_id for order_id, order in order_states(market).items() if order.open}
    cancelled = {
        (event.broker_id, order.order_id)
        for event in (outcome.event for outcome in market.outcomes)
        if isinstance(event, OrdersCancelled)
        for order in event.orders
    }
    granted = [each for each in attempts if each.answer.status == _OK]
    found = [
        f"order {i} is open, a mass cancel of its broker was granted"
        for each in granted
        for i in each.covered
        if i in open_
    ]
    return found + [
        f"order {i} was reported as cancelled by a mass cancel of {each.broker_id}, and is not"
        for each in granted
        for i in each.cancelled
        if (each.broker_id, i) not in cancelled
    ]


def wrongly_changed(changes: Sequence[MarketChange], market: Market) -> list[str]:
    """Phases and rules that the market has fewer times than was granted, or more than possible."""
    made = Counter[tuple[str, Phase | InstrumentRules]]()
    for event in first_changes(market):
        if isinstance(event, PhaseSet):
            made[event.symbol, event.phase] += 1
        elif isinstance(event, InstrumentSet):
            made[event.symbol, event.rules] += 1
    granted = Counter((c.symbol, c.wanted) for c in changes if c.answer.status == _OK)
    possible = Counter((c.symbol, c.wanted) for c in changes if not is_refusal(c.answer.status))
    return [
        f"{symbol} became {what} {made[symbol, what]} times, "
        f"{granted[symbol, what]} to {possible[symbol, what]} were answered"
        for symbol, what in possible
        if not granted[symbol, what] <= made[symbol, what] <= possible[symbol, what]
    ]


def wrong_in_phase(
    lines: Iterable[RequestRecord], brokers: Sequence[str], market: Market
) -> list[str]:
    """Orders that entered, traded or were refused against the phase of their symbol, and refusals
    that are in an answer but not in the market. `brokers`: ids by broker number."""
    commands = {c.order_id: c for c in market.commands if isinstance(c, PlaceOrder)}
    phases: dict[str, Phase] = {}
    refused: set[tuple[str, str | None, str]] = set()
    found = []
    for outcome in market.outcomes:
        event = outcome.event
        if isinstance(event, OrderAccepted) and phases.get(event.symbol) in PHASE_REFUSALS:
            found.append(f"order {event.order_id} entered a market that is not continuous")
        elif isinstance(event, OrderAmended) and phases.get(event.symbol) in PHASE_REFUSALS:
            found.append(f"order {event.order_id} was replaced in a market that is not continuous")
        elif isinstance(event, CommandRefused) and event.order_id in commands:
            order = commands[event.order_id]
            refused.add((order.broker_id, order.client_order_id, event.code))
        elif isinstance(event, PhaseSet | InstrumentSet):
            phases[event.symbol] = event.phase
    codes = PHASE_REFUSALS.values()
    return found + [
        f"order {line.client_order_id} was refused as {line.answer.code}, not by the market"
        for line in lines
        if line.operation == "order"
        and line.answer.code in codes
        and (brokers[line.broker], line.client_order_id, line.answer.code) not in refused
    ]


def wrongly_prevented(market: Market) -> list[str]:
    """Trades with an own order in spite of a self-trade prevention, and orders that closed in place
    of one with another quantity than was left of them."""
    modes: dict[str, str] = {}
    documents: dict[str, str] = {}
    left: dict[str, int] = {}
    found = []
    for outcome in market.outcomes:
        if isinstance(outcome.event, OrderAccepted):
            event = outcome.event
            documents[event.order_id], left[event.order_id] = event.document_number, event.quantity
            if isinstance(event, OrderEntered) and event.self_trade_prevention is not None:
                modes[event.order_id] = event.self_trade_prevention
        for step, trades in steps_of(outcome):
            if isinstance(step, OrderAmended):
                left[step.order_id] = step.remaining_quantity + sum(
                    fill.quantity for fill in step.fills
                )
            for trade in trades:
                own = trade.taker.order_id, trade.fill.maker_order_id
                for order_id in own:
                    left[order_id] -= trade.fill.quantity
                same_broker = trade.taker.broker_id == trade.fill.maker_broker_id
                if own[0] in modes and same_broker and documents[own[0]] == documents[own[1]]:
                    found.append(f"trade {trade.fill.trade_id} is of {own[0]} with its own order")
            if isinstance(step, MakerPrevented) and step.remaining_quantity != left[step.order_id]:
                found.append(
                    f"order {step.order_id} closed with {step.remaining_quantity}, "
                    f"{left[step.order_id]} was left of it"
                )
    return found


def kinds_of(market: Market) -> dict[str, int]:
    """Number of occurrences of each of KINDS."""
    found = Counter[str]()
    for outcome in market.outcomes:
        found.update(_kinds_of(outcome))
    return {kind: found[kind] for kind in KINDS}


def _kinds_of(outcome: Outcome) -> Iterator[str]:
    event = outcome.event
    if isinstance(event, OrderEntered) and event.display_quantity is not None:
        yield "iceberg orders"
    elif isinstance(event, OrdersCancelled) and event.orders:
        yield "mass cancels"
    elif isinstance(event, InstrumentSet):
        yield "instruments set"
    elif isinstance(event, PhaseSet) and event.phase != event.previous:
        yield _KINDS_OF_PHASES[event.phase]
    elif isinstance(event, CommandRefused) and event.code in _KINDS_OF_REFUSALS:
        yield _KINDS_OF_REFUSALS[event.code]
    for trade in trades_of(outcome):
        if trade.fill.maker_displayed_quantity is not None:
            yield "fills of iceberg orders"
    for step, _ in steps_of(outcome):
        yield from ["self-trades prevented"] * len(prevented_by(step))
