"""A symbol's trades, from memory and PostgreSQL without a gap between them."""

from typing import Protocol

from services.reader.app import Reader
from services.reader.errors import ArchiveBehindError
from services.reader.parameters import ATTEMPTS
from services.reader.tape import TapeTrade


class TradeArchive(Protocol):
    """The query to PostgreSQL; raises ArchiveUnavailableError."""

    async def stock_trades(
        self, partition: int, symbol: str, low: int, high: int
    ) -> list[TapeTrade]:
        """A symbol's stored trades of sequences from `low` to `high`, oldest first."""


class StockTrades:
    """Reads trades of any age."""

    def __init__(self, reader: Reader, archive: TradeArchive) -> None:
        self._reader = reader
        self._archive = archive

    async def read(self, symbol: str, wanted: range) -> list[TapeTrade]:
        """The symbol's trades of these sequences, oldest first, without those that `exchange trim`
        has deleted. Raises OrderStateUnknownError."""
        if not wanted:
            return []
        views = self._reader.ready_views()
        partition, low, high = views.partition(symbol) or 0, wanted.start, wanted.stop - 1
        held = views.tape.trades(partition, symbol, low, high)
        for _ in range(ATTEMPTS):
            if len(held) == len(wanted):
                return held
            positions = await self._reader.stored_positions()
            stored = await self._archive.stock_trades(partition, symbol, low, high)
            # After the query: trades that left memory meanwhile are stored, later ones may not be.
            held = views.tape.trades(partition, symbol, low, high)
            oldest = held[0].sequence if held else high + 1
            held = [trade for trade in stored if trade.sequence < oldest] + held
            if self._reader.covers(positions):
                # All that left memory was stored before: `exchange trim` has deleted the others.
                return held
        raise ArchiveBehindError("PostgreSQL lacks trades that it had before")
