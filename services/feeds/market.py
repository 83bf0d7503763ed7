"""Changes by commands since the last flush: trades of all symbols, levels of watched books.

Pure: batches come in log order, after the views applied them. Nothing is kept for a book without a
subscriber but its newest trades.
"""

from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from schemas.executions import Expired, OrderAmended, OrderCancelled
from schemas.feed import TradeMessage
from schemas.feed_requests import LAST_TRADES_MAX
from schemas.outcome_steps import ExecutedTrade, MakerPrevented, Taking, is_parked, steps_of
from schemas.units import Side
from services.feeds.candle_changes import CandleChanges
from services.feeds.ticker_changes import TickerChanges
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch


class BookChanges(Struct):
    """Changes of one book behind `previous`. None in place of levels: too many are unknown, so
    the client needs a whole book."""

    previous: int
    levels: dict[tuple[Side, int], None] | None


class SymbolChanges(Struct, frozen=True):
    """Changes of one symbol since the last flush. `book` is None if the book is not watched."""

    trades: list[TradeMessage]
    book: BookChanges | None


class MarketChanges:
    """Collects changes until `take`. `views` returns the present views of the process, `now` the
    time before the log's first command.

    `watched`: number of subscribers of each book, which the hub maintains.
    """

    def __init__(self, views: Callable[[], Views], now: Callable[[], int]) -> None:
        self._views = views
        self.tickers = TickerChanges(views, now)
        self.candles = CandleChanges(views, now)
        self.watched: dict[str, int] = {}
        # The newest trades of each symbol, also those that are not flushed yet.
        self._tape: dict[str, deque[TradeMessage]] = {}
        self._trades: dict[str, list[TradeMessage]] = {}
        self._books: dict[str, BookChanges] = {}

    def apply(self, batch: Batch) -> None:
        """Collect the changes of a batch that the views have applied."""
        offset = batch.first_command
        for outcome in batch.outcomes:
            for expired in outcome.expired:
                self._left(expired)
            for step, trades in steps_of(outcome):
                if isinstance(step, Taking):
                    self._took(step, trades, outcome.time, offset)
                elif isinstance(step, OrderCancelled | MakerPrevented):
                    self._left(step)
            offset += 1

    def _took(self, event: Taking, trades: Sequence[ExecutedTrade], time: int, offset: int) -> None:
        symbol = event.symbol
        self.tickers.touch(symbol)
        is_watched = symbol in self.watched
        maker_side: Side = "ask" if event.side == "bid" else "bid"
        for trade in trades:
            fill = trade.fill
            self._traded(
                TradeMessage(
                    symbol,
                    fill.sequence,
                    fill.trade_id,
                    time,
                    fill.price,
                    fill.quantity,
                    event.side,
                    offset,
                    trade.index,
                )
            )
            if is_watched:
                self._touch(symbol, event.book_sequence, maker_side, fill.price)
        if not is_watched:
            return
        if isinstance(event, OrderAmended):
            if event.former_price is None:
                return
            self._touch(symbol, event.book_sequence, event.side, event.former_price)
        rests = event.closed_reason is None and not is_parked(event)
        if rests and event.price is not None:
            self._touch(symbol, event.book_sequence, event.side, event.price)

    def _traded(self, trade: TradeMessage) -> None:
        tape = self._tape.get(trade.symbol)
        if tape is None:
            tape = self._tape[trade.symbol] = deque(maxlen=LAST_TRADES_MAX)
        tape.append(trade)
        self._trades.setdefault(trade.symbol, []).append(trade)
        self.candles.traded(trade)

    def _left(self, event: OrderCancelled | Expired | MakerPrevented) -> None:
        self.tickers.touch(event.symbol)
        if event.symbol not in self.watched:
            return
        record = self._views().order(event.order_id)
        if record is None:
            # A reader that catches up may have forgotten the order already.
            self._changes(event.symbol, event.book_sequence).levels = None
        elif record.price is not None and not record.is_outside_book:
            self._touch(event.symbol, event.book_sequence, record.side, record.price)

    def _touch(self, symbol: str, book_sequence: int, side: Side, price: int) -> None:
        levels = self._changes(symbol, book_sequence).levels
        if levels is not None:
            levels[side, price] = None

    def _changes(self, symbol: str, book_sequence: int) -> BookChanges:
        changes = self._books.get(symbol)
        if changes is None:
            # One command is one change of a book, however many levels it touched.
            changes = self._books[symbol] = BookChanges(book_sequence - 1, {})
        return changes

    def changed(self) -> list[str]:
        """Symbols with changes, in the order of their first change."""
        return list(dict.fromkeys((*self._trades, *self._books)))

    def take(self, symbol: str) -> SymbolChanges:
        """Remove and return the changes of a symbol."""
        return SymbolChanges(self._trades.pop(symbol, []), self._books.pop(symbol, None))

    def forget_book(self, symbol: str) -> None:
        """Drop changes of a book that has no subscriber any more."""
        self._books.pop(symbol, None)

    def flushed_trades(self, symbol: str) -> list[TradeMessage]:
        """The newest trades of a symbol that were taken already, oldest first."""
        pending = self.pending_trades(symbol)
        tape = list(self._tape.get(symbol, ()))
        return tape[: len(tape) - pending] if pending else tape

    def traded_symbols(self) -> list[str]:
        """The symbols whose newest trades are in memory."""
        return list(self._tape)

    def pending_trades(self, symbol: str) -> int:
        """Number of trades of a symbol that were not taken yet."""
        return len(self._trades.get(symbol, ()))
