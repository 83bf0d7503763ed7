"""Rows of PostgreSQL that the ledger's orders and trades must have, column by column. Pure.

The sink's rules are implemented here a second time: independence is the purpose of an audit.
"""

from decimal import Decimal

from schemas.executions import OrderAccepted, OrderEntered
from services.audit.ledger import OrderState, TradeState

Value = str | int | Decimal | None
Row = tuple[Value, ...]


def order_row(state: OrderState, partition: int) -> Row:
    """Expected row of an order, in the order of `_SELECT_ORDERS` in `database`."""
    event = state.accepted
    return (
        event.order_id,
        event.broker_id,
        event.document_number,
        event.client_order_id,
        event.symbol,
        event.side,
        event.order_type,
        event.price,
        event.quantity,
        state.remaining,
        state.filled_value,
        event.valid_until,
        "open" if state.closed_reason is None else "closed",
        state.closed_reason,
        state.created_at,
        state.updated_at,
        partition,
        state.offset,
        *conditions_row(event),
        state.triggered_at,
        state.displayed,
        event.self_trade_prevention if isinstance(event, OrderEntered) else None,
        state.trades_count,
    )


def carried_row(state: OrderState, partition: int) -> Row:
    """Expected row of an order from before the audit's beginning, as of `_SELECT_CARRIED`."""
    event = state.accepted
    return (
        event.order_id,
        event.broker_id,
        event.symbol,
        event.side,
        event.price,
        event.valid_until,
        state.remaining,
        state.closed_reason,
        partition,
        state.offset,
    )


def conditions_row(event: OrderAccepted) -> Row:
    """The conditions of an order; those of one without any."""
    if isinstance(event, OrderEntered):
        return (
            event.time_in_force,
            event.post_only,
            event.minimum_quantity,
            event.stop_price,
            event.display_quantity,
        )
    return None, False, None, None, None


def trade_row(trade: TradeState, partition: int) -> Row:
    """Expected row of a trade, in the order of `_SELECT_TRADES`."""
    fill, taker = trade.fill, trade.taker
    bid = (taker.order_id, taker.broker_id)
    ask = (fill.maker_order_id, fill.maker_broker_id)
    if taker.side == "ask":
        bid, ask = ask, bid
    return (
        fill.trade_id,
        bid[0],
        ask[0],
        bid[1],
        ask[1],
        taker.symbol,
        fill.price,
        fill.quantity,
        taker.side,
        fill.sequence,
        trade.time,
        partition,
        trade.offset,
        trade.index,
    )
