"""View of trades: those that PostgreSQL may not have yet, and the newest of each symbol.

Pure. Each partition's trades wait in log order until PostgreSQL has stored them, so that a query
finds every trade there or here. Forgetting costs O(1) per trade.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from schemas.executions import Fill
from schemas.orders import OrderRecord
from schemas.queries import FillResource, StockTradeResource, fill_id
from schemas.units import Side, rfc3339

# Trades of a symbol that stay after they were stored.
KEPT_PER_SYMBOL = 250
# A few milliseconds of work, so that requests in between see no delay.
FORGET_MAX = 2_000


class TapeTrade(Struct, frozen=True, gc=False):
    """One trade as all may see it; `time` in milliseconds."""

    sequence: int
    trade_id: str
    price: int
    quantity: int
    aggressor_side: Side
    time: int

    def resource(self) -> StockTradeResource:
        """The trade as the API returns it."""
        return StockTradeResource(
            sequence=self.sequence,
            trade_id=self.trade_id,
            price=self.price,
            quantity=self.quantity,
            aggressor_side=self.aggressor_side,
            executed_at=rfc3339(self.time),
        )


class _RecentTrade(Struct, frozen=True, gc=False):
    # A trade that may not be stored, with both orders. `command` brought it.
    command: int
    trade: TapeTrade
    taker: OrderRecord
    maker: OrderRecord

    def resource(self, own: OrderRecord) -> FillResource:
        other = self.maker if own is self.taker else self.taker
        trade = self.trade
        return FillResource(
            fill_id=fill_id(trade.trade_id, own.side),
            trade_id=trade.trade_id,
            order_id=own.order_id,
            client_order_id=own.client_order_id,
            symbol=own.symbol,
            side=own.side,
            role="taker" if own is self.taker else "maker",
            price=trade.price,
            quantity=trade.quantity,
            counterparty_broker=other.broker_id,
            sequence=trade.sequence,
            executed_at=rfc3339(trade.time),
        )


class _PartitionTape:
    def __init__(self) -> None:
        self.symbols: dict[str, deque[TapeTrade]] = {}
        self.waiting: deque[_RecentTrade] = deque()
        # The waiting trades of each broker; one with itself is there once.
        self.brokers: dict[str, deque[_RecentTrade]] = {}

    def add(self, waiting: _RecentTrade) -> None:
        symbol = waiting.taker.symbol
        trades = self.symbols.get(symbol)
        if trades is None:
            trades = self.symbols[symbol] = deque()
        trades.append(waiting.trade)
        self.waiting.append(waiting)
        one, other = waiting.taker.broker_id, waiting.maker.broker_id
        self._of(one).append(waiting)
        if other != one:
            self._of(other).append(waiting)

    def _of(self, broker_id: str) -> deque[_RecentTrade]:
        trades = self.brokers.get(broker_id)
        if trades is None:
            trades = self.brokers[broker_id] = deque()
        return trades

    def forget(self, next_command: int) -> bool:
        for _ in range(FORGET_MAX):
            if not self.waiting or self.waiting[0].command >= next_command:
                return False
            stored = self.waiting.popleft()
            for order in (stored.taker, stored.maker):
                order.forget_trades(stored.trade.trade_id)
            for broker_id in {stored.taker.broker_id, stored.maker.broker_id}:
                trades = self.brokers[broker_id]
                trades.popleft()
                if not trades:
                    del self.brokers[broker_id]
            newest = self.symbols[stored.taker.symbol]
            while len(newest) > KEPT_PER_SYMBOL and newest[0].sequence <= stored.trade.sequence:
                newest.popleft()
        return True


class Tape:
    """Trades by partition, in log order."""

    def __init__(self) -> None:
        self._partitions: dict[int, _PartitionTape] = {}

    def traded(
        self, fill: Fill, taker: OrderRecord, maker: OrderRecord, at: tuple[int, int]
    ) -> None:
        """Add a trade; `at`: partition and command."""
        partition, command = at
        tape = self._partitions.get(partition)
        if tape is None:
            tape = self._partitions[partition] = _PartitionTape()
        trade = TapeTrade(
            fill.sequence, fill.trade_id, fill.price, fill.quantity, taker.side, taker.updated_at
        )
        tape.add(_RecentTrade(command, trade, taker, maker))

    def forget(self, partition: int, next_command: int) -> bool:
        """Forget trades of commands below `next_command`, which PostgreSQL has.

        At most FORGET_MAX at once; True: there may be more.
        """
        tape = self._partitions.get(partition)
        return tape is not None and tape.forget(next_command)

    def trades(self, partition: int, symbol: str, low: int, high: int) -> list[TapeTrade]:
        """The symbol's trades that are in memory, of sequences from `low` to `high`, oldest first.

        They are its newest ones, without a gap.
        """
        tape = self._partitions.get(partition)
        trades = None if tape is None else tape.symbols.get(symbol)
        if not trades:
            return []
        oldest = trades[0].sequence
        return list(islice(trades, max(0, low - oldest), max(0, high + 1 - oldest)))

    def fills(self, broker_id: str) -> Iterator[FillResource]:
        """The broker's fills that PostgreSQL may not have, in no certain order."""
        for tape in self._partitions.values():
            for waiting in tape.brokers.get(broker_id, ()):
                for own in (waiting.taker, waiting.maker):
                    if own.broker_id == broker_id:
                        yield waiting.resource(own)
