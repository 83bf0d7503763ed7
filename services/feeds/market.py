"""Changes by commands since the last flush: trades of all symbols, levels of watched books.

Pure: batches come in log order, after the views applied them. Nothing is kept for a book without a
subscriber but its newest trades.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from schemas.executions import Expired, OrderAmended, OrderCancelled, PhaseSet
from schemas.feed import TradeMessage
from schemas.feed_requests import LAST_TRADES_MAX
from schemas.outcome_steps import ExecutedTrade, MakerPrevented, Taking, is_parked
from schemas.units import Side
from services.feeds.candle_changes import CandleChanges
from services.feeds.ticker_changes import TickerChanges
from services.feeds.watched_books import BookChanges, WatchedBooks
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch


class SymbolChanges(Struct, frozen=True):
    """Changes of one symbol since the last flush. `book` is None if the book is not watched."""

    trades: list[TradeMessage]
    book: BookChanges | None


class MarketChanges:
    """Collects changes until `take`. `views` returns the present views of the process, `now` the
    time before the log's first command.

    `books`: for the next flush. `raw`: of the latest batch, for clients that get them at once, and
    `raw_trades` of the symbols in `raw_trades_of`, by number of subscribers.
    """

    def __init__(self, views: Callable[[], Views], now: Callable[[], int]) -> None:
        self._views = views
        self.tickers = TickerChanges(views, now)
        self.candles = CandleChanges(views, now)
        self.books = WatchedBooks()
        self.raw = WatchedBooks()
        self.raw_trades_of: Counter[str] = Counter()
        self.raw_trades: list[TradeMessage] = []
        # The first command of each partition whose changes came here.
        self.begins: dict[int, int] = {}
        # The newest trades of each symbol, also those that are not flushed yet.
        self._tape: dict[str, deque[TradeMessage]] = {}
        self._trades: dict[str, list[TradeMessage]] = {}

    def apply(self, batch: Batch) -> None:
        """Collect the changes of a batch that the views have applied."""
        offset = batch.first_command
        self.begins.setdefault(batch.partition, offset)
        for outcome, steps in zip(batch.outcomes, batch.steps, strict=True):
            for expired in outcome.expired:
                self._left(expired)
            for step, trades in steps:
                if isinstance(step, Taking):
                    self._took(step, trades, outcome.time, offset)
                elif isinstance(step, (OrderCancelled, MakerPrevented)):
                    self._left(step)
                elif isinstance(step, PhaseSet):
                    self._phase_set(step)
            offset += 1

    def _took(self, event: Taking, trades: Sequence[ExecutedTrade], time: int, offset: int) -> None:
        symbol = event.symbol
        self.tickers.touch(symbol)
        is_watched = symbol in self.books or symbol in self.raw
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

    def _phase_set(self, event: PhaseSet) -> None:
        if event.phase != event.previous:
            self.tickers.touch(event.symbol)
            self.books.touch_phase(event.symbol, event.book_sequence)
            self.raw.touch_phase(event.symbol, event.book_sequence)

    def _traded(self, trade: TradeMessage) -> None:
        tape = self._tape.get(trade.symbol)
        if tape is None:
            tape = self._tape[trade.symbol] = deque(maxlen=LAST_TRADES_MAX)
        tape.append(trade)
        self._trades.setdefault(trade.symbol, []).append(trade)
        self.candles.traded(trade)
        if trade.symbol in self.raw_trades_of:
            self.raw_trades.append(trade)

    def _left(self, event: OrderCancelled | Expired | MakerPrevented) -> None:
        self.tickers.touch(event.symbol)
        if event.symbol not in self.books and event.symbol not in self.raw:
            return
        record = self._views().order(event.order_id)
        if record is None:
            # A reader that catches up may have forgotten the order already.
            self._note(event.symbol, event.book_sequence, None)
        elif record.price is not None and not record.is_outside_book:
            self._touch(event.symbol, event.book_sequence, record.side, record.price)

    def _touch(self, symbol: str, book_sequence: int, side: Side, price: int) -> None:
        self._note(symbol, book_sequence, (side, price))

    def _note(self, symbol: str, book_sequence: int, level: tuple[Side, int] | None) -> None:
        self.books.touch(symbol, book_sequence, level)
        self.raw.touch(symbol, book_sequence, level)

    def changed(self) -> list[str]:
        """Symbols with changes, in the order of their first change."""
        return list(dict.fromkeys((*self._trades, *self.books.changed())))

    def take(self, symbol: str) -> SymbolChanges:
        """Remove and return the changes of a symbol."""
        return SymbolChanges(self._trades.pop(symbol, []), self.books.take(symbol))

    def known_trades(self, symbol: str, *, pending: bool = False) -> list[TradeMessage]:
        """The newest trades of a symbol, oldest first; `pending`: also those not taken yet."""
        left = 0 if pending else self.pending_trades(symbol)
        tape = list(self._tape.get(symbol, ()))
        return tape[: len(tape) - left] if left else tape

    def pending_trades(self, symbol: str) -> int:
        """Number of trades of a symbol that were not taken yet."""
        return len(self._trades.get(symbol, ()))
