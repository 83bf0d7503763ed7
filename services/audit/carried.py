"""Orders of a snapshot as events, for an audit that begins at the snapshot. Pure."""

from collections.abc import Iterator

from schemas.executions import OrderEntered
from schemas.snapshots import OrderRow, StopRow
from services.matcher.state import EngineState


def carried_orders(state: EngineState) -> Iterator[tuple[OrderEntered, OrderRow]]:
    """The orders in the books, each as if it had been entered with its remaining quantity.

    `document_number` is empty if an order rested before its symbol had an instrument.
    """
    icebergs = {row.order_id: row for row in state.icebergs}
    day_orders = frozenset(state.day_orders)
    documents = {row.order_id: row.document_number for row in state.terms}
    modes = {row.order_id: row.mode for row in state.preventions}
    for order in state.orders:
        iceberg = icebergs.get(order.order_id)
        left = order.remaining_quantity + (iceberg.hidden_quantity if iceberg else 0)
        event = OrderEntered(
            order_id=order.order_id,
            broker_id=order.broker_id,
            document_number=documents.get(order.order_id, ""),
            symbol=order.symbol,
            side=order.side,
            order_type="limit",
            quantity=left,
            remaining_quantity=left,
            book_sequence=0,
            price=order.price,
            valid_until=order.valid_until,
            time_in_force="day" if order.order_id in day_orders else None,
            display_quantity=iceberg.display_quantity if iceberg else None,
            self_trade_prevention=modes.get(order.order_id),
        )
        yield event, order


def carried_stop(row: StopRow) -> OrderEntered:
    """A stop order that waits."""
    order = row.order
    return OrderEntered(
        order_id=order.order_id,
        broker_id=order.broker_id,
        document_number=order.document_number,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        remaining_quantity=order.quantity,
        book_sequence=0,
        price=order.price,
        valid_until=order.valid_until,
        time_in_force=order.time_in_force,
        stop_price=order.stop_price,
        self_trade_prevention=order.self_trade_prevention,
    )
