"""Compares every candle in PostgreSQL with the trades of the log."""

from typing import LiteralString

from psycopg import Connection

from services.audit.ledger import TradeState
from services.audit.report import AuditReport
from services.audit.stored_sums import StoredSums

_MINUTE_MS = 60_000
_LENGTHS_MS = {
    "1m": _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "1d": 1_440 * _MINUTE_MS,
}
_SELECT_CANDLES: LiteralString = (
    "SELECT partition, symbol, interval, extract(epoch FROM start) * 1000,"
    " ARRAY[open, close, low, high, volume, value, trades, first_sequence, last_sequence]"
    " FROM candles"
)
_PORTION_ROWS = 2_000


class CandleRows:
    """The candles of the trades so far, by partition, symbol, interval and start."""

    def __init__(self, connection: Connection, report: AuditReport, sums: StoredSums) -> None:
        self._connection = connection
        self._invariant = report["stored_candles"]
        self._sums = sums

    def add(self, trade: TradeState, partition: int) -> None:
        """Add the next trade of its partition."""
        fill = trade.fill
        for name, length_ms in _LENGTHS_MS.items():
            key = partition, trade.taker.symbol, name, trade.time // length_ms * length_ms
            cents = fill.price * fill.quantity
            drawn = self._sums.candles.get(key)
            if drawn is None:
                ends = [fill.price] * 4
                sums = [fill.quantity, cents, 1, fill.sequence, fill.sequence]
                self._sums.candles[key] = ends + sums
                continue
            first, _, low, high, shares, value, trades, sequence, _ = drawn
            self._sums.candles[key] = [
                first,
                fill.price,
                min(low, fill.price),
                max(high, fill.price),
                shares + fill.quantity,
                value + cents,
                trades + 1,
                sequence,
                fill.sequence,
            ]

    def compare(self) -> None:
        """Compare all candles with their rows, at the end."""
        self._invariant.checked += len(self._sums.candles)
        with self._connection.cursor("candles") as cursor:
            cursor.itersize = _PORTION_ROWS
            cursor.execute(_SELECT_CANDLES)
            for partition, symbol, interval, start, stored in cursor:
                key = partition, symbol, interval, int(start)
                wanted = self._sums.candles.pop(key, None)
                if wanted != stored:
                    self._invariant.fail(f"candle {key} is {stored}, expected {wanted}")
        for key in sorted(self._sums.candles):
            self._invariant.fail(f"candle {key} is missing")
