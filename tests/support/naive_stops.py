"""Stop orders of the naive model: all are scanned after every trade."""

from msgspec import Struct, structs

from schemas.commands import AmendOrder, EnterOrder
from schemas.executions import OrderAccepted, OrderAmended, OrderEntered, StopElected
from schemas.units import ClosedReason


class NaiveStop(Struct):
    """A stop order that waits: its command and that command's offset.

    `place`: the offset of the command that gave it its place among the others. `trigger`: the trade
    that elected it; None: it is parked. `amended`: the quantity of its last amendment.
    """

    order: EnterOrder
    offset: int
    place: int
    trigger: int | None = None
    amended: int | None = None

    def has_values_of(self, command: AmendOrder) -> bool:
        """True if the command may replace its values."""
        after = self.with_values_of(command)
        assert after.stop_price is not None
        beyond = (after.price or after.stop_price) - after.stop_price
        return (
            command.waits
            and self.trigger is None
            and not command.display_quantity
            and (after.price is None) == (self.order.price is None)
            and (beyond if after.side == "bid" else -beyond) >= 0
        )

    def with_values_of(self, command: AmendOrder) -> EnterOrder:
        """The order with the values of the command."""
        given = {
            name: getattr(command, name)
            for name in ("quantity", "price", "stop_price", "valid_until")
            if getattr(command, name) is not None
        }
        return structs.replace(self.order, **given)


def stop_amended(
    command: AmendOrder, order: EnterOrder, reason: ClosedReason | None, *, kept: bool
) -> OrderAmended:
    """The event of an amendment of a stop order that waits, which has these values now."""
    return OrderAmended(
        order_id=order.order_id,
        broker_id=order.broker_id,
        request=command.request,
        symbol=order.symbol,
        side=order.side,
        price=order.price,
        remaining_quantity=order.quantity,
        book_sequence=0,
        quantity=order.quantity,
        valid_until=None if order.time_in_force == "day" else order.valid_until,
        kept_priority=kept,
        closed_reason=reason,
        stop_price=order.stop_price,
    )


class NaiveStops:
    """The stops of one partition, and the prices traded since the last pass, by symbol."""

    def __init__(self) -> None:
        self.waiting: list[NaiveStop] = []
        # In the order in which they take; also among those that wait.
        self.elected: list[NaiveStop] = []
        self.prices: dict[str, list[int]] = {}

    def next_of(self, symbol: str) -> NaiveStop | None:
        """The stop that takes next, after another pass if none is elected."""
        for look in (True, False):
            for stop in self.elected:
                if stop.order.symbol == symbol:
                    return stop
            if look:
                self.elect(symbol)
        return None

    def elect(self, symbol: str) -> None:
        """One pass: elect every parked stop that a price since the last pass has reached."""
        prices = self.prices.pop(symbol, [])
        reached = []
        for stop in self.waiting:
            order = stop.order
            if order.symbol != symbol or stop.trigger is not None or not prices:
                continue
            assert order.stop_price is not None
            best = max(prices) if order.side == "bid" else min(prices)
            beyond = best - order.stop_price if order.side == "bid" else order.stop_price - best
            if beyond >= 0:
                stop.trigger = best
                reached.append((-beyond, stop.place, stop))
        self.elected += [stop for _, _, stop in sorted(reached, key=lambda one: one[:2])]

    def remove(self, stop: NaiveStop) -> None:
        """Forget a stop that was cancelled, expired or takes now."""
        self.waiting.remove(stop)
        if stop in self.elected:
            self.elected.remove(stop)


def elected(stop: NaiveStop, event: OrderAccepted, book_sequence: int) -> StopElected:
    """The effect of a stop that took: `event` is what its order would have had as an entry."""
    order = stop.order
    return StopElected(
        order_id=order.order_id,
        broker_id=order.broker_id,
        symbol=order.symbol,
        side=order.side,
        trigger_price=stop.trigger or 0,
        remaining_quantity=event.remaining_quantity,
        book_sequence=book_sequence,
        price=order.price,
        valid_until=None if order.time_in_force == "day" else order.valid_until,
        closed_reason=event.closed_reason,
        fills=event.fills,
        prevented=event.prevented if isinstance(event, OrderEntered) else (),
    )
