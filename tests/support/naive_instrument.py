"""Naive model of one symbol's instrument: the rules that an order must keep to.

It imports nothing from the services, so that they share no mistake.
"""

from msgspec import Struct

from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import RefusalCode
from schemas.instruments import InstrumentRules, Phase


class NaiveInstrument(Struct):
    """A symbol's rules, and the price of its last trade or the price set since then."""

    rules: InstrumentRules
    reference: int
    phase: Phase = "continuous"


def in_band(price: int, held: NaiveInstrument, reference: int) -> bool:
    """True if a trade at this price is near enough to the reference before its command."""
    width = held.rules.band_ppm
    return width is None or abs(price - reference) * 1_000_000 <= width * reference


def phase_refusals(held: NaiveInstrument | None) -> list[RefusalCode]:
    """Refusals of any order in the present phase of its symbol."""
    phase = None if held is None else held.phase
    codes: dict[RefusalCode, bool] = {
        "market_halted": phase == "halted",
        "market_closed": phase == "closed",
    }
    return [code for code, is_refused in codes.items() if is_refused]


def broken_rules(order: PlaceOrder, held: NaiveInstrument) -> list[RefusalCode]:
    """The rules that an order breaks, in the order in which a refusal names the first."""
    rules, price = held.rules, order.price
    minimum = order.minimum_quantity if isinstance(order, EnterOrder) else None
    stop_price = order.stop_price if isinstance(order, EnterOrder) else None
    display = order.display_quantity if isinstance(order, EnterOrder) else None
    value = order.quantity * (price or stop_price or held.reference)
    highest = rules.price_max if order.side == "bid" else None
    lowest = rules.price_min if order.side == "ask" else None
    codes: dict[RefusalCode, bool] = {
        "off_tick": any((one or 0) % rules.tick_size for one in (price, stop_price)),
        "off_lot": any((one or 0) % rules.lot_size for one in (order.quantity, minimum, display)),
        "over_max_quantity": rules.quantity_max is not None and order.quantity > rules.quantity_max,
        "over_max_value": rules.value_max is not None and value > rules.value_max,
        "outside_price_band": price is not None
        and ((highest is not None and price > highest) or (lowest is not None and price < lowest)),
        "stop_would_trigger": stop_price is not None
        and (held.reference - stop_price) * (1 if order.side == "bid" else -1) >= 0,
    }
    return phase_refusals(held) + [code for code, is_broken in codes.items() if is_broken]
