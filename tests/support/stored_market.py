"""The rows of PostgreSQL as plain lists in memory: the naive form of the reader's queries."""

from msgspec import structs

from schemas.candles import INTERVALS_MS, Candle, Interval, start_of
from schemas.executions import Fill
from schemas.orders import OrderRecord, OrderTrade
from schemas.outcome_steps import trades_of
from schemas.queries import FillResource, fill_id
from schemas.units import Side, rfc3339
from services.reader.errors import ArchiveUnavailableError
from services.reader.list_archive import CandleSpan, StoredCandles, StoredFills, StoredOrders
from services.reader.overlay import Span
from services.reader.tape import TapeTrade
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch


class StoredMarket:
    """Everything up to the position of each partition. `away` makes every read fail."""

    def __init__(self) -> None:
        self.away = False
        self.reads = 0
        self.records: dict[str, OrderRecord] = {}
        self.fills_by_broker: dict[str, list[FillResource]] = {}
        self.trades_by_symbol: dict[tuple[int, str], list[TapeTrade]] = {}
        self._positions: dict[int, int] = {}
        self._views = Views()

    def store(self, batch: Batch) -> None:
        """Store a batch."""
        self._views.apply(batch)
        self.records = self._views._orders._records
        self._positions[batch.partition] = batch.first_command + len(batch.outcomes)
        for outcome in batch.outcomes:
            for trade in trades_of(outcome):
                self._traded(trade.fill, trade.taker.order_id, batch.partition, outcome.time)

    def _traded(self, fill: Fill, taker_id: str, partition: int, time: int) -> None:
        taker = self.records[taker_id]
        trades = self.trades_by_symbol.setdefault((partition, taker.symbol), [])
        trades.append(
            TapeTrade(fill.sequence, fill.trade_id, fill.price, fill.quantity, taker.side, time)
        )
        maker = self.records[fill.maker_order_id]
        sides: tuple[tuple[Side, str, str | None, str, str], ...] = (
            (taker.side, taker.order_id, taker.client_order_id, taker.broker_id, "taker"),
            (maker.side, maker.order_id, maker.client_order_id, maker.broker_id, "maker"),
        )
        for (side, order_id, named, broker_id, role), other in zip(
            sides, (maker.broker_id, taker.broker_id), strict=True
        ):
            self.fills_by_broker.setdefault(broker_id, []).append(
                FillResource(
                    fill_id(fill.trade_id, side),
                    fill.trade_id,
                    order_id,
                    named,
                    taker.symbol,
                    side,
                    "taker" if role == "taker" else "maker",
                    fill.price,
                    fill.quantity,
                    other,
                    fill.sequence,
                    rfc3339(time),
                )
            )

    def _read(self) -> None:
        self.reads += 1
        if self.away:
            raise ArchiveUnavailableError("away")

    async def order(self, order_id: str) -> OrderRecord | None:
        """As the archive."""
        self._read()
        return self.records.get(order_id)

    async def trades(self, order_id: str, before: str | None, limit: int) -> list[OrderTrade]:
        """As the archive."""
        self._read()
        found = [t for t in self.records[order_id].trades if not before or t.trade_id < before]
        return found[::-1][:limit]

    async def positions(self) -> dict[int, int]:
        """As the archive."""
        self._read()
        return dict(self._positions)

    async def stock_trades(
        self, partition: int, symbol: str, low: int, high: int
    ) -> list[TapeTrade]:
        """As the archive."""
        self._read()
        trades = self.trades_by_symbol.get((partition, symbol), [])
        return [trade for trade in trades if low <= trade.sequence <= high]

    async def orders(self, broker_id: str, client_order_id: str | None, span: Span) -> StoredOrders:
        """As the archive."""
        self._read()
        found = [
            structs.replace(order, trades=[])
            for order in self.records.values()
            if order.broker_id == broker_id
            and span.contains(order.order_id)
            and client_order_id in (None, order.client_order_id)
        ]
        found.sort(key=lambda order: order.order_id, reverse=span.newest_first)
        return StoredOrders(found[: span.scan], dict(self._positions))

    def every_candle(self, partition: int, symbol: str, interval: Interval) -> list[Candle]:
        """All candles of the symbol, each from the list of its trades."""
        trades: dict[int, list[TapeTrade]] = {}
        for trade in self.trades_by_symbol.get((partition, symbol), []):
            trades.setdefault(start_of(trade.time, INTERVALS_MS[interval]), []).append(trade)
        return [
            Candle(
                start,
                of[0].price,
                max(trade.price for trade in of),
                min(trade.price for trade in of),
                of[-1].price,
                sum(trade.quantity for trade in of),
                sum(trade.price * trade.quantity for trade in of),
                len(of),
                of[0].sequence,
                of[-1].sequence,
            )
            for start, of in sorted(trades.items())
        ]

    async def candles(
        self, partition: int, symbol: str, interval: Interval, span: CandleSpan
    ) -> StoredCandles:
        """As the archive."""
        self._read()
        found = span.of(self.every_candle(partition, symbol, interval))
        return StoredCandles(found, dict(self._positions))

    async def fills(self, broker_id: str, order_id: str | None, span: Span) -> StoredFills:
        """As the archive."""
        self._read()
        found = [
            fill
            for fill in self.fills_by_broker.get(broker_id, [])
            if span.contains(fill.fill_id) and order_id in (None, fill.order_id)
        ]
        found.sort(key=lambda fill: fill.fill_id, reverse=span.newest_first)
        return StoredFills(found[: span.scan], dict(self._positions))
