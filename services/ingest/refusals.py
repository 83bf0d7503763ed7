"""The problems of orders and replacements that the matcher refuses by a rule of the market."""

from typing import Final

from schemas.commands import EnterOrder, PlaceOrder
from schemas.conditions import needs_instrument
from schemas.executions import RefusalCode
from schemas.market_controls import MarketState
from schemas.order_rules import PHASE_REFUSALS, rule_refusal
from schemas.queries import OrderWarning
from schemas.rest import FieldFault
from services.api.app import ProblemError
from services.api.decoding import invalid_fields

# Why it was refused, by the code: 409.
REFUSALS: Final = {
    "too_many_open_orders": "cancel open orders of symbols on this partition first",
    "too_many_symbols": "the order would open the book of another symbol; use a symbol whose book "
    "exists",
    "too_many_client_order_ids": "send orders without a client_order_id, or wait: ids are "
    "remembered for an hour",
    "needs_instrument": "stop orders, day orders and self_trade_prevention are taken for symbols "
    "with an instrument only",
    "market_halted": "orders are neither taken nor replaced until trading continues; cancels are",
    "market_closed": "orders are neither taken nor replaced until the market opens; cancels are",
    "stop_would_trigger": "the symbol's last trade has reached the stop_price already",
    "post_only_would_trade": "the opposite side has an order at this price or a better one",
    "outside_price_band": "the symbol has a price_max for bids and a price_min for asks",
}
_OF_REPLACEMENTS: Final = {
    "not_amendable": "the order has no such value: only a stop order that waits has a stop_price, "
    "only an iceberg order that hides a part a display_quantity, only a limit order a price, and a "
    "day order has no valid_until",
}
# Field and fault of an order that breaks a rule of its symbol's instrument.
_FAULTS: Final = {
    "off_tick": ("/price", "is no multiple of the symbol's tick_size, or the stop price is not"),
    "off_lot": (
        "/quantity",
        "is no multiple of the symbol's lot_size, or the minimum or display quantity is not",
    ),
    "over_max_quantity": ("/quantity", "is more than the symbol's quantity_max"),
    "over_max_value": ("/quantity", "times the price is more than the symbol's value_max"),
}


def warnings_of(order: PlaceOrder, market: MarketState) -> tuple[OrderWarning, ...]:
    """The refusal that the matcher would give the order in this market, if any."""
    code: RefusalCode | None = None
    if market.rules is not None:
        by_rule = rule_refusal(order, market.rules, market.reference_price)
        code = PHASE_REFUSALS.get(market.phase) or by_rule
    elif isinstance(order, EnterOrder) and needs_instrument(order):
        code = "needs_instrument"
    if code is None:
        return ()
    if code in _FAULTS:
        pointer, detail = _FAULTS[code]
        return (OrderWarning(code, f"{pointer.removeprefix('/')} {detail}"),)
    return (OrderWarning(code, REFUSALS[code]),)


def raise_refusal(code: RefusalCode) -> None:
    """Raises ProblemError if the code is that of such a rule."""
    if code in _FAULTS:
        pointer, detail = _FAULTS[code]
        raise invalid_fields([FieldFault(pointer, detail, code)])
    if code in REFUSALS:
        raise ProblemError(code, REFUSALS[code])
    if code in _OF_REPLACEMENTS:
        raise ProblemError(code, _OF_REPLACEMENTS[code])
