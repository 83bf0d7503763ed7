"""State of the naive model: open orders in plain lists, and how they leave them."""

from msgspec import Struct

from schemas.book import Level
from schemas.commands import CancelAll, PlaceOrder
from schemas.executions import CancelledOrder, Expired, OrdersCancelled
from schemas.quotas import Quotas
from schemas.units import Side
from tests.support.naive_instrument import NaiveInstrument
from tests.support.naive_orders import Remembered, Resting
from tests.support.naive_stops import NaiveStop, NaiveStops


class NaiveRules(Struct, frozen=True):
    """The bounds of one command's work and of the window of client order ids."""

    fills_max: int = 10_000
    expiries_max: int = 10_000
    elections_max: int = 1_000
    cancels_max: int = 10_000
    client_ids_max: int = 1_000_000
    client_id_window_ms: int = 3_600_000
    client_id_block: int = 1_000
    order_id_window_ms: int = 300_000


class NaiveState:
    """All symbols of one partition. `open` is sorted by acceptance."""

    def __init__(self, partition: int, limits: NaiveRules) -> None:
        self.partition = partition
        self.limits = limits
        self.clock = 0
        self.open: list[Resting] = []
        # The number of places that were ever given to orders in queues.
        self.places = 0
        self.window: list[Remembered] = []
        self.book_sequence: dict[str, int] = {}
        self.trade_sequence: dict[str, int] = {}
        self.quotas: Quotas | None = None
        # Every order id since quotas were set, and the broker that opened each book since then.
        self.order_ids: set[str] = set()
        self.opened_by: dict[str, str | None] = {}
        self.instruments: dict[str, NaiveInstrument] = {}
        self.stops = NaiveStops()
        # Of one command: reference prices before it, books changed, trades, what is left of the
        # bounds.
        self.references: dict[str, int] = {}
        self.touched: set[str] = set()
        self.trades = self.steps = self.elections = 0

    def levels(self, symbol: str, side: Side) -> list[Level]:
        """Price levels of a side, best first."""
        orders = self._queue(symbol, side)
        prices = list(dict.fromkeys(one.order.price or 0 for one in orders))
        at = {price: [one for one in orders if one.order.price == price] for price in prices}
        return [Level(p, sum(one.shown for one in at[p]), len(at[p])) for p in prices]

    def _open_orders(self) -> list[Resting | NaiveStop]:
        return [*self.open, *self.stops.waiting]

    def _leave(self, one: Resting | NaiveStop) -> int:
        """Take an order out, and return what is left of it."""
        if isinstance(one, NaiveStop):
            self.stops.remove(one)
            return one.order.quantity
        self.open.remove(one)
        self.touched.add(one.order.symbol)
        return one.remaining

    def _cancel_all(self, command: CancelAll) -> OrdersCancelled:
        own = [one for one in self._open_orders() if one.order.broker_id == command.broker_id]
        if command.symbol is not None:
            own = [one for one in own if one.order.symbol == command.symbol]
        if command.side is not None:
            own = [one for one in own if one.order.side == command.side]
        own.sort(key=lambda one: one.offset)
        cancelled = [self._cancel_one(one) for one in own[: self.limits.cancels_max]]
        return OrdersCancelled(
            command.broker_id, command.request, tuple(cancelled), more=len(own) > len(cancelled)
        )

    def _cancel_one(self, one: Resting | NaiveStop) -> CancelledOrder:
        order, left = one.order, self._leave(one)
        return CancelledOrder(order.order_id, order.symbol, left, self._sequence(order.symbol))

    def _next_place(self) -> int:
        """A place behind all others."""
        self.places += 1
        return self.places

    def _queue(self, symbol: str, side: Side) -> list[Resting]:
        sign = -1 if side == "bid" else 1
        orders = [one for one in self.open if (one.order.symbol, one.order.side) == (symbol, side)]
        return sorted(orders, key=lambda one: (sign * (one.order.price or 0), one.place))

    def _is_due(self, order: PlaceOrder) -> bool:
        return order.valid_until is not None and order.valid_until <= self.clock

    def _held(self) -> set[str]:
        """Symbols that have an instrument and are not trading."""
        return {name for name, one in self.instruments.items() if one.phase != "continuous"}

    def _expire(self, one: Resting | NaiveStop) -> Expired:
        order, left = one.order, self._leave(one)
        sequence = self._sequence(order.symbol)
        return Expired(order.order_id, order.broker_id, order.symbol, left, sequence)

    def _sequence(self, symbol: str) -> int:
        """The number of the book after the changes of this command so far."""
        return self.book_sequence.get(symbol, 0) + (symbol in self.touched)
