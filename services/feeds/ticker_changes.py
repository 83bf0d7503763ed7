"""Tickers of watched symbols that have changed since they were last sent. Pure.

A ticker is computed anew only if its symbol had an event, or if trades have left its 24 hours.
"""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import structs

from schemas.feed import TickerMessage
from services.reader.candles import window_start
from services.reader.tickers import ticker
from services.reader.views import Views

# In place of a symbol: all symbols.
EVERY: Final = "*"


class TickerChanges:
    """The last tickers of watched symbols; `views` returns the present views of the process."""

    def __init__(self, views: Callable[[], Views], now: Callable[[], int]) -> None:
        self._views = views
        self._now = now
        self._watched: set[str] = set()
        self._touched: dict[str, None] = {}
        self._known: dict[str, TickerMessage] = {}
        # True once `take` has computed every ticker for the subscribers of all symbols.
        self.is_complete = False
        self._begun_anew = False

    def watch(self, symbol: str) -> None:
        """Begin with this symbol, or with all."""
        self._watched.add(symbol)
        if symbol == EVERY:
            self._touched |= dict.fromkeys(self._views().symbols_after(""))
            self.is_complete, self._begun_anew = False, True
        else:
            self._touched[symbol] = None

    def unwatch(self, symbol: str) -> None:
        """Forget a symbol without a subscriber."""
        self._watched.discard(symbol)
        if EVERY not in self._watched:
            for gone in [each for each in self._known if each not in self._watched]:
                del self._known[gone]

    def touch(self, symbol: str) -> None:
        """Note that a trade or an order of this symbol changed something."""
        if self._watched and (symbol in self._watched or EVERY in self._watched):
            self._touched[symbol] = None

    def take(self) -> Iterator[TickerMessage | None]:
        """Changed tickers; None where one was computed and is equal, so that the caller may pause.

        The instants alone are no change: they move with every command.
        """
        touched, self._touched, self._begun_anew = self._touched, {}, False
        moved = (each for each in list(self._known) if self._has_moved(each))
        for symbol in dict.fromkeys((*touched, *moved)):
            before = self._known.get(symbol)
            if before is None and not self._is_known(symbol):
                continue
            now = self._known[symbol] = self.newest(symbol)
            same = before is not None and now == structs.replace(
                before, window_start=now.window_start, as_of=now.as_of
            )
            yield None if same else now
        # The caller pauses in between: a new subscriber of all symbols waits for the next time.
        self.is_complete = not self._begun_anew

    def _has_moved(self, symbol: str) -> bool:
        return self._known[symbol].window_start != window_start(self._clock(symbol))

    def _is_known(self, symbol: str) -> bool:
        # Brokers make symbols up: those that never had an open order are shown by name only.
        return symbol in self._watched or (
            EVERY in self._watched and self._views().partition(symbol) is not None
        )

    def newest(self, symbol: str) -> TickerMessage:
        """The ticker of a symbol at this moment."""
        clock = self._clock(symbol)
        fields = structs.asdict(ticker(self._views(), symbol, clock))
        fields |= {"window_start": window_start(clock), "as_of": clock}
        return TickerMessage(**fields)

    def all_known(self) -> list[TickerMessage]:
        """The tickers of all symbols, as last computed."""
        views = self._views()
        return [each for each in self._known.values() if views.partition(each.symbol) is not None]

    def _clock(self, symbol: str) -> int:
        return self._views().clock(symbol, self._now())
