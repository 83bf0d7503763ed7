"""All query views of one process, built from the outcomes of commands.

Pure: `apply` takes batches that count, in log order; time is an argument. Lives on one thread.
A batch that contradicts earlier ones raises BrokenLogError: the views would show wrong books.
Views may also start in the middle of a log: `restore_...` loads the state there, each symbol
before its orders.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import assert_never

from sortedcontainers import SortedDict

from schemas.executions import (
    CommandRefused,
    Expired,
    Fill,
    InstrumentSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRepeated,
    PhaseSet,
    QuotasSet,
    StopElected,
    Ticked,
)
from schemas.orders import OrderRecord, OrderTrade
from schemas.outcome_steps import ExecutedTrade, MakerPrevented, Step
from schemas.own_events import own_events_of
from schemas.rest import BalanceResource, BookResource, PriceResource
from schemas.units import TIMESTAMP_MS_MAX, ClosedReason, rfc3339
from services.reader.balances import Balances
from services.reader.book_checksum import book_checksum
from services.reader.books import BookView
from services.reader.candles import Candles
from services.reader.instruments import Instruments
from services.reader.orders import Orders
from services.reader.overlay import Span
from services.reader.own_events import OwnEvents
from services.reader.prices import LastTrade, Prices
from services.reader.tape import Tape
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.execution_filter import Batch

_NO_BOOK = BookView()
# Positions in one answer. Brokers decide how many symbols there are, so the answer has a bound.
POSITIONS_MAX = 500


class Views:
    """Orders, prices, books and balances, with each partition's clock."""

    def __init__(self) -> None:
        self._orders = Orders()
        self._prices = Prices()
        self.tape = Tape()
        self.candles = Candles()
        self.own_events = OwnEvents()
        # Sorted by symbol, because stocks are answered in pages.
        self._books: SortedDict = SortedDict()
        self._balances = Balances()
        self.instruments = Instruments()
        self._clocks: dict[int, int] = {}
        self._partitions: dict[str, int] = {}
        self._next_commands: dict[int, int] = {}

    def apply(self, batch: Batch) -> None:
        """Apply a batch. Raises BrokenLogError."""
        partition = batch.partition
        command = batch.first_command
        self.own_events.latest = []
        for outcome, steps in zip(batch.outcomes, batch.steps, strict=True):
            time, at = outcome.time, (partition, command)
            for expired in outcome.expired:
                self._left(expired, "expired", at, time)
            for step, trades in steps:
                self._step(step, trades, at, time)
            for own in own_events_of(outcome, steps):
                order = self._orders.get(own.order_id) if own.has_order else None
                self.own_events.add(own, at, time, order)
            command += 1
            self._clocks[partition] = time
        self._next_commands[partition] = command

    def _step(
        self, step: Step, trades: Sequence[ExecutedTrade], at: tuple[int, int], time: int
    ) -> None:
        match step:
            case OrderAccepted():
                self._accepted(step, trades, at, time)
            case OrderAmended():
                self._amended(step, trades, at, time)
            case StopElected():
                self._elected(step, trades, at, time)
            case OrderCancelled():
                self._left(step, "cancelled", at, time)
            case MakerPrevented():
                self._left(step, "self_trade", at, time)
            case InstrumentSet():
                self.restore_symbol(step.symbol, at[0], step.book_sequence)
                self.instruments.changed(step)
            case PhaseSet():
                self.restore_symbol(step.symbol, at[0], step.book_sequence)
                self.instruments.phase_changed(step)
            case OrderRepeated() | CommandRefused() | Ticked() | QuotasSet():
                pass
            case never:
                assert_never(never)

    def _accepted(
        self,
        event: OrderAccepted,
        trades: Sequence[ExecutedTrade],
        at: tuple[int, int],
        time: int,
    ) -> None:
        record = self._orders.accept(event, time)
        book = self._books.get(record.symbol)
        if book is None:
            book = BookView()
            if event.closed_reason is None:
                # A symbol without a resting order so far leaves nothing: brokers make symbols up.
                self._books[record.symbol] = book
                self._partitions[record.symbol] = at[0]
        for trade in trades:
            self._filled(trade.fill, record, book, at)
        self._ends(record, book, at)
        book.sequence = event.book_sequence

    def _amended(
        self,
        event: OrderAmended,
        trades: Sequence[ExecutedTrade],
        at: tuple[int, int],
        time: int,
    ) -> None:
        record = self._orders.open(event.order_id)
        book = self._books[record.symbol]
        if record.symbol != event.symbol or record.is_outside_book != (
            event.stop_price is not None
        ):
            raise BrokenLogError(f"order {event.order_id} is amended, but is in no such place")
        if not record.is_outside_book:
            # A price of 0 has no level.
            book.take(record.side, record.price or 0, record.shown_quantity, leaves=True)
        record.amended(event, time)
        for trade in trades:
            self._filled(trade.fill, record, book, at)
        self._ends(record, book, at)
        book.sequence = event.book_sequence

    def _elected(
        self, step: StopElected, trades: Sequence[ExecutedTrade], at: tuple[int, int], time: int
    ) -> None:
        record = self._orders.open(step.order_id)
        if not record.is_outside_book:
            raise BrokenLogError(f"order {step.order_id} was elected, but it waits for nothing")
        record.elected(step, time)
        book = self._books[record.symbol]
        for trade in trades:
            self._filled(trade.fill, record, book, at)
        self._ends(record, book, at)
        book.sequence = step.book_sequence

    def _ends(self, record: OrderRecord, book: BookView, at: tuple[int, int]) -> None:
        """Close an order that took, or put its remaining quantity into the book."""
        if record.closed_reason is not None:
            self._orders.closed(record, *at)
        elif record.is_outside_book:
            return
        elif record.price is None:
            raise BrokenLogError(f"order {record.order_id} rests without a price")
        else:
            book.add(record.side, record.price, record.shown_quantity)

    def _filled(self, fill: Fill, taker: OrderRecord, book: BookView, at: tuple[int, int]) -> None:
        maker = self._orders.open(fill.maker_order_id)
        taken = fill.quantity
        if maker.displayed_quantity is not None:
            # The next slice may have come in its place.
            taken = maker.displayed_quantity - (fill.maker_displayed_quantity or 0)
        maker.filled_as_maker(fill, taker.broker_id, taker.updated_at)
        gone = fill.maker_remaining_quantity == 0
        book.take(maker.side, fill.price, taken, leaves=gone)
        if gone:
            self._orders.closed(maker, *at)
        self._prices.traded(taker.symbol, fill.price, fill.sequence)
        self.tape.traded(fill, taker, maker, at)
        self.candles.traded(taker.symbol, fill, taker.updated_at, at)
        # `buyer_and_seller` inlined: a call per fill would slow the apply of every trade.
        buyer, seller = (taker, maker) if taker.side == "bid" else (maker, taker)
        self._balances.traded(
            taker.symbol,
            buyer.broker_id,
            seller.broker_id,
            quantity=fill.quantity,
            value=fill.price * fill.quantity,
        )

    def _left(
        self,
        event: OrderCancelled | Expired | MakerPrevented,
        reason: ClosedReason,
        at: tuple[int, int],
        time: int,
    ) -> None:
        record = self._orders.open(event.order_id)
        book = self._books[record.symbol]
        if record.remaining_quantity != event.remaining_quantity:
            raise BrokenLogError(
                f"order {event.order_id} left with a quantity that differs from its own"
            )
        if not record.is_outside_book:
            # A price of 0 has no level.
            book.take(record.side, record.price or 0, record.shown_quantity, leaves=True)
        record.closed(reason, time)
        self._orders.closed(record, *at)
        book.sequence = event.book_sequence

    def restore_symbol(self, symbol: str, partition: int, book_sequence: int) -> None:
        """Load a symbol that had orders before, and how often its book has changed."""
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = BookView()
            self._partitions[symbol] = partition
        book.sequence = book_sequence

    def restore_order(self, record: OrderRecord) -> None:
        """Load an open order. Raises BrokenLogError if it cannot rest."""
        book = self._books.get(record.symbol)
        can_rest = record.price is not None or record.is_outside_book
        if book is None or not can_rest or record.closed_reason is not None:
            raise BrokenLogError(
                f"order {record.order_id} is stored as open but cannot rest in a book"
            )
        self._orders.remember(record)
        if record.price is not None and not record.is_outside_book:
            book.add(record.side, record.price, record.shown_quantity)

    def restore_trade(self, order_id: str, trade: OrderTrade) -> None:
        """Load a trade of a restored order, oldest first. The order already includes its
        quantity."""
        order = self._orders.open(order_id)
        order.trades.append(trade)
        order.forget_trades(trade.trade_id)

    def restore_prices(self, symbol: str, prices: Iterable[int], sequence: int) -> None:
        """Load the symbol's newest trades, at most `TRADES_MAX`, oldest first."""
        self._prices.restore(symbol, prices, sequence)

    def restore_balance(self, broker_id: str, symbol: str, quantity: int, value: int) -> None:
        """Load a broker's shares bought minus sold, and cents earned minus paid, of one symbol."""
        self._balances.add(broker_id, symbol, quantity, value)

    def restore_partition(self, partition: int, next_command: int, clock: int) -> None:
        """Set the partition's position and the time of its last outcome."""
        self._next_commands[partition] = next_command
        self._clocks[partition] = clock

    def forget_stored(
        self, partition: int, next_command: int, closed_by: int = TIMESTAMP_MS_MAX
    ) -> bool:
        """Forget trades, candles and closed orders that are stored, below `next_command`.

        Orders closed after `closed_by` stay. A position ahead of ours is harmless, because outcomes
        that were not applied cannot be forgotten. True: call again, there may be more.
        """
        more = self.tape.forget(partition, next_command)
        more = self.candles.forget(partition, next_command) or more
        return self._orders.forget(partition, next_command, closed_by) or more

    def next_commands(self) -> Mapping[int, int]:
        """The first command whose outcome was not applied yet, by partition."""
        return self._next_commands

    def orders_in_memory(self) -> int:
        """Number of open orders, and of closed ones that are not forgotten yet."""
        return len(self._orders)

    def open_orders(self) -> int:
        """Number of open orders."""
        return self._orders.open_count()

    def symbols(self) -> int:
        """Number of symbols that have had a resting order, or have an instrument."""
        return len(self._books)

    def open_by_origin(self) -> Mapping[str, Mapping[str, OrderRecord]]:
        """Open orders that end with their session, by origin (`schemas.ids`) and id."""
        return self._orders.by_origin()

    def order(self, order_id: str) -> OrderRecord | None:
        """The order; None when unknown or forgotten."""
        return self._orders.get(order_id)

    def orders_of(self, broker_id: str, span: Span) -> Iterator[tuple[str, OrderRecord]]:
        """The broker's orders in memory: all open ones, and closed ones that may not be stored."""
        return self._orders.of_broker(broker_id, span)

    def named(self, broker_id: str, symbol: str, client_order_id: str) -> OrderRecord | None:
        """The broker's newest order in memory of a symbol with this client order id."""
        return self._orders.named(broker_id, symbol, client_order_id)

    def price(self, symbol: str, trades: int, now: int) -> PriceResource | None:
        """Last price, and the mean of the last `trades`; None before any trade."""
        average = self._prices.average(symbol, trades)
        if average is None:
            return None
        return PriceResource(
            symbol=symbol,
            last_price=average.last,
            average_price=average.average,
            trades_in_average=average.trades,
            sequence=average.sequence,
            as_of=rfc3339(self.clock(symbol, now)),
        )

    def book(self, symbol: str, depth: int, now: int) -> BookResource:
        """The best levels; empty with sequence 0 for a symbol without any order so far."""
        book = self._books.get(symbol, _NO_BOOK)
        return BookResource(
            symbol=symbol,
            depth=depth,
            bids=book.best("bid", depth),
            asks=book.best("ask", depth),
            sequence=book.sequence,
            as_of=rfc3339(self.clock(symbol, now)),
            checksum=book_checksum(book),
        )

    def partition(self, symbol: str) -> int | None:
        """The partition of the symbol's book; None if it never had one."""
        return self._partitions.get(symbol)

    def symbols_after(self, symbol: str) -> Iterator[str]:
        """Symbols beyond this one that have had an open order, sorted."""
        return iter(self._books.irange(minimum=symbol, inclusive=(False, True)))

    def book_sequence(self, symbol: str) -> int:
        """Number of changes of the symbol's book."""
        book: BookView = self._books.get(symbol, _NO_BOOK)
        return book.sequence

    def last_trade(self, symbol: str) -> LastTrade | None:
        """The symbol's newest trade; None before any."""
        return self._prices.last(symbol)

    def book_view(self, symbol: str) -> BookView:
        """The symbol's book, to read; an empty one for a symbol without any resting order so
        far."""
        book: BookView = self._books.get(symbol, _NO_BOOK)
        return book

    def trade_sequence(self, symbol: str) -> int:
        """Number of the symbol's trades so far."""
        last = self._prices.last(symbol)
        return 0 if last is None else last.sequence

    def clock(self, symbol: str, now: int) -> int:
        """Time of the newest outcome of the symbol's partition, or of all; `now` before any."""
        partition = self._partitions.get(symbol)
        if partition is not None:
            return self._clocks[partition]
        return max(self._clocks.values(), default=now)

    def balance(
        self, broker_id: str, broker_name: str, after: str = "", limit: int = POSITIONS_MAX
    ) -> BalanceResource:
        """Cash, and positions by symbol beyond `after`; zero and none for a broker without
        trades."""
        # One more than requested shows whether another page follows.
        found = self._balances.positions(broker_id, after, limit + 1)
        page = found[:limit]
        return BalanceResource(
            broker_id=broker_id,
            broker_name=broker_name,
            balance=self._balances.cash(broker_id),
            positions=page,
            next_cursor=page[-1].symbol if len(found) > limit else None,
        )
