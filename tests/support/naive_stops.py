"""Stop orders of the naive model: all are scanned after every trade."""

from msgspec import Struct

from schemas.commands import EnterOrder
from schemas.executions import OrderAccepted, OrderEntered, StopElected


class NaiveStop(Struct):
    """A stop order that waits: its command and that command's offset.

    `trigger`: the trade that elected it; None: it is parked.
    """

    order: EnterOrder
    offset: int
    trigger: int | None = None


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
                reached.append((-beyond, stop.offset, stop))
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
