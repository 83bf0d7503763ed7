"""Checks of cancels of all orders of a broker. Pure, and independent of the engine."""

from collections.abc import Collection, Mapping

from schemas.commands import CancelAll
from schemas.executions import OrdersCancelled
from services.audit.ledger import OrderState


def answers_cancel_all(
    command: CancelAll,
    event: OrdersCancelled,
    open_orders: Mapping[str, OrderState],
    gone: Collection[str],
    bound: int,
) -> bool:
    """True if it cancelled the oldest of the orders that the command names, at most `bound`.

    `open_orders`: before the outcome, of which those in `gone` had closed before the command.
    """
    found = [
        state
        for order_id, state in open_orders.items()
        if state.accepted.broker_id == command.broker_id
        and command.symbol in (None, state.accepted.symbol)
        and command.side in (None, state.accepted.side)
        and order_id not in gone
    ]
    oldest = sorted(found, key=lambda state: state.offset)[:bound]
    return (
        (event.broker_id, event.request) == (command.broker_id, command.request)
        and [each.order_id for each in event.orders]
        == [state.accepted.order_id for state in oldest]
        and event.more == (len(found) > bound)
    )
