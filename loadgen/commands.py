"""A plan as the commands that ingest would write, for tests without HTTP. Pure."""

from collections.abc import Iterator

from msgspec.structs import asdict

from loadgen.workload.orderflow import Plan, PlannedCancel, PlannedOrder
from schemas.commands import CancelOrder, Command, EnterOrder, PlaceOrder
from schemas.ids import order_id


def broker_id(broker: int) -> str:
    """A broker's id for tests: its number as a UUID."""
    return f"00000000-0000-4000-8000-{broker:012x}"


def commands(plan: Plan, partition: int, start_ms: int) -> Iterator[tuple[int, Command]]:
    """(timestamp in ms, command), all on one partition, one for each order and cancel."""
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
        elif isinstance(action, PlannedCancel):
            placed_ms = start_ms + plan.actions[action.order].at_us // 1_000
            target = order_id(placed_ms, partition, action.order)
            yield now_ms, CancelOrder(target, broker_id(action.broker))


def _with_conditions(order: PlaceOrder, planned: PlannedOrder) -> PlaceOrder:
    conditions = (planned.time_in_force, planned.post_only, planned.minimum_quantity)
    if conditions == (None, False, None):
        return order
    return EnterOrder(
        **asdict(order),
        time_in_force=planned.time_in_force,
        post_only=planned.post_only,
        minimum_quantity=planned.minimum_quantity,
    )
