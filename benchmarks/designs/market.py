"""The market of V2 and V3: a sorted dict of prices, a queue per price, and a dict of all orders.

Pure: time and ids are arguments. A closed order stays in its queue until it reaches the front; its
shares leave the level at once. `changes` collects what the write-behind has to write.
"""

from collections import deque
from heapq import heappop, heappush
from typing import Literal

from msgspec import Struct
from sortedcontainers import SortedDict

from schemas import ids
from schemas.orders import OrderRecord, OrderTrade
from schemas.rest import LevelResource
from schemas.units import ClosedReason, Side, buyer_and_seller
from services.reader.balances import Balances

# The largest number of trades that an average price may cover.
PRICES_MAX = 1_000


class DesignOrder(OrderRecord, gc=False, kw_only=True):
    """An order; `arrival` numbers all orders by arrival."""

    arrival: int


class DesignTrade(Struct, frozen=True, gc=False):
    """A row of the table of trades."""

    symbol: str
    sequence: int
    trade_id: str
    price: int
    quantity: int
    maker_order_id: str
    maker_broker_id: str
    taker_order_id: str
    taker_broker_id: str
    taker_side: Side
    executed_at: int


class Known(Struct, frozen=True):
    """The order of a client order id, and the content that a retry must repeat."""

    order_id: str
    content: tuple[object, ...]


class Changes(Struct):
    """Differences from the database: orders by id, trades, books by symbol."""

    orders: dict[str, DesignOrder] = {}
    trades: list[DesignTrade] = []
    books: dict[str, "DesignBook"] = {}


class DesignLevel:
    """One price: its open shares and orders, and the queue, which may contain closed orders."""

    __slots__ = ("count", "queue", "total")

    def __init__(self) -> None:
        self.total = 0
        self.count = 0
        self.queue: deque[DesignOrder] = deque()


class DesignBookSide:
    """Levels by price, best first: bids are stored under their negated price."""

    __slots__ = ("levels", "sign")

    def __init__(self, sign: Literal[1, -1]) -> None:
        self.sign = sign
        self.levels: SortedDict[int, DesignLevel] = SortedDict()

    def add(self, order: DesignOrder, price: int) -> None:
        """Append the order to the queue at its price."""
        level = self.levels.get(self.sign * price)
        if level is None:
            level = self.levels[self.sign * price] = DesignLevel()
        level.queue.append(order)
        level.total += order.remaining_quantity
        level.count += 1

    def leave(self, price: int, quantity: int, orders: int) -> None:
        """Remove shares and a number of orders from a level."""
        level = self.levels[self.sign * price]
        level.total -= quantity
        level.count -= orders
        if not level.count:
            del self.levels[self.sign * price]

    def best(self, limit: int | None) -> tuple[int, DesignOrder] | None:
        """The next order to trade and its price; None beyond the limit."""
        if not self.levels:
            return None
        key, level = self.levels.peekitem(0)
        if limit is not None and key > self.sign * limit:
            return None
        while level.queue[0].closed_reason is not None:
            level.queue.popleft()
        return self.sign * key, level.queue[0]

    def resources(self, depth: int) -> list[LevelResource]:
        """The best levels."""
        return [
            LevelResource(self.sign * key, level.total, level.count)
            for key, level in zip(self.levels.islice(0, depth), self.levels.values(), strict=False)
        ]


class DesignBook:
    """The order book of one symbol."""

    __slots__ = ("asks", "bids", "prices", "sequence", "symbol", "trade_sequence")

    def __init__(self, symbol: str, sequence: int = 0, trade_sequence: int = 0) -> None:
        self.symbol = symbol
        self.bids = DesignBookSide(-1)
        self.asks = DesignBookSide(1)
        self.sequence = sequence
        self.trade_sequence = trade_sequence
        self.prices: deque[int] = deque(maxlen=PRICES_MAX)

    def side(self, side: Side) -> DesignBookSide:
        """The side of the book on which these orders rest."""
        return self.bids if side == "bid" else self.asks


class DesignMarket:
    """All symbols. `client_ids` maps (broker, symbol, client order id) to its order."""

    def __init__(self) -> None:
        self.orders: dict[str, DesignOrder] = {}
        self.books: dict[str, DesignBook] = {}
        self.client_ids: dict[tuple[str, str, str], Known] = {}
        self.balances = Balances()
        self.arrivals = 0
        self.changes = Changes()
        self._due: list[tuple[int, int, DesignOrder]] = []

    def take_changes(self) -> Changes:
        """Return the changes since the last call, and begin a new set."""
        taken, self.changes = self.changes, Changes()
        return taken

    def restore(self, order: DesignOrder) -> None:
        """Add an order from the database. Call it in the order of arrival."""
        self.orders[order.order_id] = order
        self.arrivals = max(self.arrivals, order.arrival)
        if order.closed_reason is None:
            self._rest(self.book(order.symbol), order)

    def remember(self, order: DesignOrder) -> None:
        """Register the client order id as used."""
        if order.client_order_id is not None:
            key = (order.broker_id, order.symbol, order.client_order_id)
            self.client_ids[key] = Known(order.order_id, content_of(order))

    def book(self, symbol: str) -> DesignBook:
        """The symbol's book, created if missing."""
        book = self.books.get(symbol)
        if book is None:
            book = self.books[symbol] = DesignBook(symbol)
        return book

    def place(self, order: DesignOrder, now_ms: int) -> None:
        """Match a new order, and let the remainder of a limit order rest."""
        self.expire(now_ms)
        self.arrivals += 1
        order.arrival = self.arrivals
        self.orders[order.order_id] = self.changes.orders[order.order_id] = order
        self.remember(order)
        book = self.book(order.symbol)
        self._match(book, order, now_ms)
        if order.remaining_quantity == 0:
            order.closed_reason = "filled"
        elif order.order_type == "market":
            order.closed_reason = "no_liquidity"
        else:
            self._rest(book, order)
        if order.trades or order.closed_reason is None:
            self._touch(book)

    def cancel(self, order: DesignOrder, now_ms: int) -> None:
        """Cancel the order unless it is already closed."""
        self.expire(now_ms)
        if order.closed_reason is None:
            self._withdraw(order, "cancelled", now_ms)

    def expire(self, now_ms: int) -> None:
        """Close every order whose validity has ended."""
        while self._due and self._due[0][0] <= now_ms:
            valid_until, _, order = heappop(self._due)
            if order.closed_reason is None:
                self._withdraw(order, "expired", valid_until)

    def _withdraw(self, order: DesignOrder, reason: ClosedReason, at_ms: int) -> None:
        book = self.books[order.symbol]
        book.side(order.side).leave(_limit(order), order.remaining_quantity, 1)
        order.closed(reason, at_ms)
        self.changes.orders[order.order_id] = order
        self._touch(book)

    def _rest(self, book: DesignBook, order: DesignOrder) -> None:
        book.side(order.side).add(order, _limit(order))
        if order.valid_until is not None:
            heappush(self._due, (order.valid_until, order.arrival, order))

    def _touch(self, book: DesignBook) -> None:
        book.sequence += 1
        self.changes.books[book.symbol] = book

    def _match(self, book: DesignBook, taker: DesignOrder, now_ms: int) -> None:
        opposite = book.asks if taker.side == "bid" else book.bids
        while taker.remaining_quantity and (best := opposite.best(taker.price)) is not None:
            price, maker = best
            quantity = min(taker.remaining_quantity, maker.remaining_quantity)
            book.trade_sequence += 1
            book.prices.append(price)
            trade_id = ids.trade_id(now_ms, 0, taker.arrival, len(taker.trades))
            for order, other in ((taker, maker), (maker, taker)):
                order.trades.append(OrderTrade(trade_id, price, quantity, other.broker_id, now_ms))
                order.filled_value += price * quantity
                order.trades_count += 1
                order.remaining_quantity -= quantity
                order.updated_at = now_ms
            if maker.remaining_quantity == 0:
                maker.closed_reason = "filled"
            opposite.leave(price, quantity, int(maker.remaining_quantity == 0))
            buyer, seller = buyer_and_seller(taker.side, taker, maker)
            self.balances.traded(
                book.symbol,
                buyer.broker_id,
                seller.broker_id,
                quantity=quantity,
                value=price * quantity,
            )
            self.changes.orders[maker.order_id] = maker
            self.changes.trades.append(
                DesignTrade(
                    book.symbol,
                    book.trade_sequence,
                    trade_id,
                    price,
                    quantity,
                    maker.order_id,
                    maker.broker_id,
                    taker.order_id,
                    taker.broker_id,
                    taker.side,
                    now_ms,
                )
            )


def content_of(order: DesignOrder) -> tuple[object, ...]:
    """The content that a retry must repeat."""
    return (
        order.document_number,
        order.side,
        order.order_type,
        order.quantity,
        order.price,
        order.valid_until,
    )


def _limit(order: DesignOrder) -> int:
    if order.price is None:
        raise ValueError(f"market order {order.order_id} would rest")
    return order.price
