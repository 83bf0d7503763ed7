"""Counts open orders, books and ids of each broker in one partition, and applies the quotas.

Pure. Order ids are remembered, so that a repeated record of a closed order makes no second one.
"""

from collections.abc import Iterable

from schemas.commands import PlaceOrder
from schemas.executions import RefusalCode
from schemas.quotas import Quotas
from schemas.snapshots import OpenerRow, OrderIdBlock
from services.matcher.incoming import is_stop, may_rest
from services.matcher.window import OrderIdWindow


class BrokerQuotas:
    """Counts by broker. `quotas`: the present ones, which a later command may replace."""

    def __init__(self, quotas: Quotas, order_ids: OrderIdWindow) -> None:
        self.quotas = quotas
        self._order_ids = order_ids
        # Broker by symbol, in the order in which the books were opened.
        self._openers: dict[str, str] = {}
        self._symbols: dict[str, int] = {}
        self._open_orders: dict[str, int] = {}

    def refusal(
        self, command: PlaceOrder, offset: int, clock: int, client_ids: int, has_book: bool
    ) -> RefusalCode | None:
        """Refusal of an order whose id was used before, or that exceeds a limit of its broker.

        `client_ids`: client order ids of this broker, needed only for an order that has one.
        Remembers the order id whatever happens to the order: a repeat of a refused one is refused
        too. Orders that neither rest nor wait need no room.
        """
        code = self._order_ids.refusal(command.order_id, offset, clock)
        if code is not None:
            return code
        quotas = self.quotas
        if command.client_order_id is not None and client_ids >= quotas.client_order_ids_max:
            return "too_many_client_order_ids"
        if not may_rest(command) and not is_stop(command):
            return None
        if self._open_orders.get(command.broker_id, 0) >= quotas.open_orders_max:
            return "too_many_open_orders"
        if not has_book and self._symbols.get(command.broker_id, 0) >= quotas.symbols_max:
            return "too_many_symbols"
        return None

    def rested(self, broker_id: str) -> None:
        """Count an order of this broker that entered a book."""
        self._open_orders[broker_id] = self._open_orders.get(broker_id, 0) + 1

    def left(self, broker_id: str) -> None:
        """Count an order of this broker that left its book."""
        remaining = self._open_orders[broker_id] - 1
        if remaining:
            self._open_orders[broker_id] = remaining
        else:
            # Brokers without open orders take no memory.
            del self._open_orders[broker_id]

    def opened(self, symbol: str, broker_id: str) -> None:
        """Count a book that this broker's order has opened."""
        self._openers[symbol] = broker_id
        self._symbols[broker_id] = self._symbols.get(broker_id, 0) + 1

    def openers(self) -> tuple[OpenerRow, ...]:
        """All openers as an immutable value, by symbol."""
        return tuple(OpenerRow(symbol, self._openers[symbol]) for symbol in sorted(self._openers))

    def order_ids(self) -> tuple[OrderIdBlock, ...]:
        """The remembered order ids as an immutable value."""
        return self._order_ids.blocks()

    def restore(self, openers: Iterable[OpenerRow], order_ids: Iterable[OrderIdBlock]) -> None:
        """Load what `openers` and `order_ids` returned."""
        for row in openers:
            self.opened(row.symbol, row.broker_id)
        self._order_ids.restore(order_ids)


def quota_state(
    quotas: BrokerQuotas | None,
) -> tuple[Quotas | None, tuple[OpenerRow, ...], tuple[OrderIdBlock, ...]]:
    """Quotas, openers and order ids as immutable values; None and nothing without quotas."""
    if quotas is None:
        return None, (), ()
    return quotas.quotas, quotas.openers(), quotas.order_ids()
