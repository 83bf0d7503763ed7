"""The books, open orders and expiries of one partition: what commands change. Pure."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from schemas.commands import AmendOrder, CancelAll, EnterOrder, PlaceOrder
from schemas.executions import (
    CancelledOrder,
    CommandRefused,
    Expired,
    OrderAmended,
    OrdersCancelled,
)
from schemas.snapshots import StopRow
from services.matcher.amend import (
    Amendment,
    amended_stop,
    keeps_stop_place,
    refused_amendment,
    stop_amended,
)
from services.matcher.book import Book, IcebergOrder, Order
from services.matcher.own_orders import OwnOrders
from services.matcher.quotas import BrokerQuotas
from services.matcher.rules import Rules
from services.matcher.stops import StopOrder, Stops

# Dead entries that the expiry queue may hold in addition to live ones before it is rebuilt.
EXPIRY_SLACK = 1_000


class BrokenInvariantError(Exception):
    """The engine contradicts itself. The process must stop, or the error would spread."""


class OpenOrders:
    """Base of the engine: orders enter books and leave them, and are counted."""

    def __init__(self, partition: int, rules: Rules) -> None:
        self.partition = partition
        self.rules = rules
        self.clock = 0
        self.books: dict[str, Book] = {}
        self.open_orders: dict[str, Order] = {}
        # None until a command cancels all orders of a broker: each order that rests costs work.
        self._own: OwnOrders | None = None
        # The books changed by the latest command, by symbol, in the order they were first changed.
        # `market_data.book_updates` reads them: it is the second output of `apply`.
        self.changed: dict[str, Book] = {}
        # The whole quantities of open orders that an amendment set; of others it is not needed.
        self._amended: dict[str, int] = {}
        # Open orders, also those that wait, which the close of their symbol ends. It becomes their
        # `valid_until`, which is None before: from then on they are due like any other.
        self._day_orders: dict[str, Order] = {}
        # None until an order with a stop price waits.
        self._stops: Stops | None = None
        # None until the log sets quotas.
        self._quotas: BrokerQuotas | None = None
        # (valid_until, accepted_at, order id). Entries of closed and of amended orders are
        # discarded later. Ids, because texts of equal entries compare and orders do not.
        self._expiries: list[tuple[int, int, str]] = []
        self._expiring = 0

    def next_due(self) -> int | None:
        """From when a tick has work, in milliseconds: the earliest `valid_until` of an open order,
        or the present time while elected stops wait. None: there is none."""
        if self._stops is not None and self._stops.carried:
            return self.clock
        expiries = self._expiries
        while expiries and self._expiring_order(expiries[0]) is None:
            heappop(expiries)
        return expiries[0][0] if expiries else None

    def _expiring_order(self, entry: tuple[int, int, str]) -> Order | None:
        """The open order of an entry of the expiry queue; None if the entry is dead."""
        order = self.open_orders.get(entry[2])
        if order is None or order.valid_until != entry[0] or order.accepted_at != entry[1]:
            return None
        return order

    def _expire_due(self, expired: list[Expired]) -> None:
        expiries, clock = self._expiries, self.clock
        while expiries and expiries[0][0] <= clock and len(expired) < self.rules.expiries_max:
            order = self._expiring_order(heappop(expiries))
            if order is not None:
                expired.append(self._expire(order))

    def _expire(self, order: Order) -> Expired:
        book = self.books[order.symbol]
        remaining = self._withdraw(book, order)
        return Expired(order.order_id, order.broker_id, order.symbol, remaining, book.sequence)

    def _touch(self, book: Book, key: int) -> None:
        """Record a changed level. All changes by one command count as one change of the book."""
        if book.symbol in self.changed:
            book.changed.append(key)
        else:
            self.changed[book.symbol] = book
            book.sequence += 1
            book.changed = [key]

    def _touch_phase(self, book: Book) -> None:
        """Record a changed phase, as a change of the book without a level."""
        if book.symbol not in self.changed:
            self.changed[book.symbol] = book
            book.sequence += 1
            book.changed = []

    def _withdraw(self, book: Book, order: Order) -> int:
        """Remove an open order from all structures and return its remaining quantity."""
        remaining = order.remaining if type(order) is Order else order.unfilled
        if type(order) is StopOrder and self._stops is not None:
            # It has no place in the book, whose public record is silent about it.
            self._stops.remove(order)
            self._day_orders.pop(order.order_id, None)
            order.remaining = 0
        else:
            side = book.bids if order.side == "bid" else book.asks
            self._touch(book, side.remove(order))
        self._forget(order)
        return remaining

    def _cancel_all(self, command: CancelAll) -> OrdersCancelled:
        """Cancel the broker's orders, also those that wait for their stop price, oldest first."""
        broker_id, symbol, side = command.broker_id, command.symbol, command.side
        if self._own is None:
            self._own = OwnOrders(self.open_orders.values())
        found = [
            order
            for order in self._own.of(broker_id)
            if (symbol is None or order.symbol == symbol) and (side is None or order.side == side)
        ]
        bound = self.rules.cancels_max
        cancelled = tuple(map(self._cancelled, found[:bound]))
        return OrdersCancelled(broker_id, command.request, cancelled, len(found) > bound)

    def _cancelled(self, order: Order) -> CancelledOrder:
        book = self.books[order.symbol]
        remaining = self._withdraw(book, order)
        return CancelledOrder(order.order_id, order.symbol, remaining, book.sequence)

    def _forget(self, order: Order) -> None:
        """Remove a closed order from all structures but its book."""
        del self.open_orders[order.order_id]
        if self._amended:
            self._amended.pop(order.order_id, None)
        if self._day_orders:
            self._day_orders.pop(order.order_id, None)
        if self._quotas is not None:
            self._quotas.left(order.broker_id)
        if order.valid_until is not None:
            self._expiring -= 1
            self._rebuild_expiries()

    def _change(self, book: Book, order: Order, after: Amendment) -> bool:
        """Give an order its amended values; it keeps its place. True if the book changed."""
        cut = order.unfilled - after.remaining
        if isinstance(order, IcebergOrder):
            order.display = after.display or 0
            # The visible quantity is cut last.
            from_hidden = min(cut, order.hidden)
            order.hidden -= from_hidden
            cut -= from_hidden
        if cut:
            side = book.bids if order.side == "bid" else book.asks
            self._touch(book, side.reduce(order, cut))
        if after.quantity is not None:
            self._amended[order.order_id] = after.quantity
        if after.valid_until is not None and after.valid_until != order.valid_until:
            if order.valid_until is not None:
                self._expiring -= 1
            order.valid_until = after.valid_until
            self._will_expire(order, after.valid_until)
            self._rebuild_expiries()
        return cut > 0

    def _rebuild_expiries(self) -> None:
        """Drop dead entries of the expiry queue when there are too many."""
        if len(self._expiries) > 2 * self._expiring + EXPIRY_SLACK:
            live = dict.fromkeys(
                entry for entry in self._expiries if self._expiring_order(entry) is not None
            )
            # In place, because callers iterate over the same list.
            self._expiries[:] = live
            heapify(self._expiries)

    def _rest(self, command: PlaceOrder, remaining: int, book: Book, accepted_at: int) -> None:
        price, broker_id = command.price, command.broker_id
        if price is None:
            raise BrokenInvariantError(f"market order {command.order_id} would rest")
        order = Order(
            command.order_id,
            broker_id,
            book.symbol,
            command.side,
            price,
            remaining,
            command.valid_until,
            accepted_at,
            "" if book.instrument is None else command.document_number,
            None,
        )
        if type(command) is EnterOrder:
            order.self_trade_prevention = command.self_trade_prevention
            if command.display_quantity is not None:
                order = IcebergOrder.showing_a_slice(order, command.display_quantity)
            if command.time_in_force == "day":
                self._day_orders[order.order_id] = order
        side = book.bids if order.side == "bid" else book.asks
        self.open_orders[order.order_id] = order
        if self._own is not None:
            self._own.add(order)
        quotas = self._quotas
        if book.symbol not in self.books:
            self.books[book.symbol] = book
            if quotas is not None:
                quotas.opened(book.symbol, broker_id)
        if quotas is not None:
            quotas.rested(broker_id)
        self._touch(book, side.add(order))
        if order.valid_until is not None:
            self._will_expire(order, order.valid_until)

    def _wait(self, order: StopOrder) -> None:
        """Add a stop order, outside the book."""
        if self._stops is None:
            self._stops = Stops()
        self._stops.add(order)
        self.open_orders[order.order_id] = order
        if self._own is not None:
            self._own.add(order)
        if order.command.time_in_force == "day":
            self._day_orders[order.order_id] = order
        if self._quotas is not None:
            self._quotas.rested(order.broker_id)
        if order.valid_until is not None:
            self._will_expire(order, order.valid_until)

    def _amend_stop(
        self, order: StopOrder, command: AmendOrder, offset: int
    ) -> OrderAmended | CommandRefused:
        """Replace values of a stop order that waits, outside the book."""
        book = self.books[order.symbol]
        after, reason = amended_stop(order, command, self.clock)
        if book.instrument is not None:
            rules = book.instrument
            code = rules.refusal(after) if reason is None else rules.phase_refusal()
            if code is not None:
                return refused_amendment(command, code)
        keeps = reason is None and keeps_stop_place(order, after)
        self._withdraw(book, order)
        if reason is None:
            place = order.place if keeps else offset
            self._wait(StopOrder.parked(after, order.accepted_at, place))
            self._amended[order.order_id] = after.quantity
        return stop_amended(command, after, book.sequence, keeps=keeps, closed_reason=reason)

    def _is_trading(self, symbol: str) -> bool:
        """True if orders of the symbol may trade in its present phase."""
        instrument = self.books[symbol].instrument
        return instrument is None or instrument.phase == "continuous"

    def _restore_stops(self, rows: Iterable[StopRow]) -> None:
        """Load the stops that waited, in order."""
        for place, row in enumerate(rows):
            # No later command has an offset as low as this place.
            self._wait(StopOrder.parked(row.order, row.accepted_at, place, row.trigger_price))
        if self._stops is not None:
            self._stops.settle(self._is_trading)

    def _will_expire(self, order: Order, valid_until: int) -> None:
        heappush(self._expiries, (valid_until, order.accepted_at, order.order_id))
        self._expiring += 1
