"""A plan as the commands that ingest would write, for tests without HTTP. Pure."""

from collections.abc import Iterator

from msgspec.structs import asdict

from loadgen.workload.orderflow import (
    Action,
    Plan,
    PlannedCancel,
    PlannedOrder,
    PlannedReplace,
)
from loadgen.workload.profiles import needs_instruments
from loadgen.workload.tickers import REFERENCE_PRICE_CENTS
from schemas.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    EnterOrder,
    PlaceOrder,
    SetInstrument,
)
from schemas.ids import order_id
from schemas.instruments import InstrumentRules


def broker_id(broker: int) -> str:
    """A broker's id for tests: its number as a UUID."""
    return f"00000000-0000-4000-8000-{broker:012x}"


def commands(plan: Plan, partition: int, start_ms: int) -> Iterator[tuple[int, Command]]:
    """(timestamp in ms, command), all on one partition, one for each action but reads.

    A flow with stop or day orders begins with the instruments of all symbols.
    """
    if needs_instruments(plan.profile):
        for symbol in plan.symbols:
            rules = InstrumentRules()
            yield start_ms, SetInstrument(symbol, "0" * 16, rules, REFERENCE_PRICE_CENTS)
    for index, action in enumerate(plan.actions):
        now_ms = start_ms + action.at_us // 1_000
        if isinstance(action, PlannedOrder):
            valid_until = None if action.valid_ms is None else now_ms + action.valid_ms
            order = PlaceOrder(
                order_id=order_id(now_ms, partition, index),
                broker_id=broker_id(action.broker),
                document_number=f"{action.broker:011d}",
                symbol=plan.symbols[action.symbol],
                side=action.side,
                order_type=action.order_type,
                quantity=action.quantity,
                price=action.price,
                valid_until=valid_until,
                client_order_id=action.client_order_id,
            )
            yield now_ms, _with_conditions(order, action)
        elif isinstance(action, PlannedCancel | PlannedReplace):
            placed_ms = start_ms + plan.actions[action.order].at_us // 1_000
            target = order_id(placed_ms, partition, action.order)
            ids = target, broker_id(action.broker)
            if isinstance(action, PlannedCancel):
                yield now_ms, CancelOrder(*ids)
            else:
                yield now_ms, _amendment(ids, action, plan.actions[action.order], index)


def _amendment(
    ids: tuple[str, str], planned: PlannedReplace, order: Action, index: int
) -> AmendOrder:
    if not isinstance(order, PlannedOrder):
        raise TypeError(f"action {index} replaces an action that is no order")
    return AmendOrder(
        *ids,
        f"{index:016x}",
        planned.quantity,
        None if planned.quantity is None else order.quantity,
        planned.price,
        post_only=order.post_only,
        waits=order.stop_price is not None,
    )


def _with_conditions(order: PlaceOrder, planned: PlannedOrder) -> PlaceOrder:
    conditions = (planned.time_in_force, planned.post_only, planned.minimum_quantity)
    more = (planned.stop_price, planned.display_quantity)
    if (*conditions, *more) == (None, False, None, None, None):
        return order
    return EnterOrder(
        **asdict(order),
        time_in_force=planned.time_in_force,
        post_only=planned.post_only,
        minimum_quantity=planned.minimum_quantity,
        stop_price=planned.stop_price,
        display_quantity=planned.display_quantity,
    )
