"""Refusals of an order by the phase and the rules of its symbol: the matcher decides by them, and
gateways tell beforehand. Pure."""

from typing import Final

from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import RefusalCode
from schemas.instruments import InstrumentRules, Phase
from schemas.units import Side

# Refusals of every order while its symbol is not in continuous trading.
PHASE_REFUSALS: Final[dict[Phase, RefusalCode]] = {
    "halted": "market_halted",
    "closed": "market_closed",
}


def rule_refusal(order: PlaceOrder, rules: InstrumentRules, reference: int) -> RefusalCode | None:
    """Refusal of an order that breaks a rule; None: it breaks none. `reference`: the present
    reference price in cents."""
    price, quantity, lot = order.price, order.quantity, rules.lot_size
    minimum = stop_price = display = None
    if type(order) is EnterOrder:
        minimum, stop_price = order.minimum_quantity, order.stop_price
        display = order.display_quantity
    code: RefusalCode | None = None
    if (price or 0) % rules.tick_size or (stop_price or 0) % rules.tick_size:
        code = "off_tick"
    elif (quantity % lot) or (minimum or 0) % lot or (display or 0) % lot:
        code = "off_lot"
    elif rules.quantity_max is not None and quantity > rules.quantity_max:
        code = "over_max_quantity"
    elif (
        rules.value_max is not None
        and quantity * (price or stop_price or reference) > rules.value_max
    ):
        code = "over_max_value"
    elif price is not None and rules.is_outside(order.side, price):
        code = "outside_price_band"
    elif stop_price is not None and is_reached(order.side, stop_price, reference):
        code = "stop_would_trigger"
    return code


def is_reached(side: Side, stop_price: int, price: int) -> bool:
    """True if a trade at this price elects a stop of this side."""
    return price >= stop_price if side == "bid" else price <= stop_price
