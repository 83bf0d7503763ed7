"""Counts of what each broker keeps in one partition; refuses orders that exceed the quotas.

Pure. Order ids are remembered, so that a repeated record of a closed order makes no second one.
"""

from collections.abc import Iterable

from schemas.commands import PlaceOrder
from schemas.executions import RefusalCode
from schemas.quotas import Quotas
from schemas.snapshots import OpenerRow, OrderIdBlock
from services.matcher.window import OrderIdWindow


class BrokerQuotas:
    """Counts by broker. `quotas`: the present ones, which a later command may replace."""

    def __init__(self, quotas: Quotas, order_ids: OrderIdWindow) -> None:
        self.quotas = quotas
        self._order_ids = order_ids
        # Broker by symbol, in the order in which the books were opened.
        self._openers: dict[str, str] = {}
        self._symbols: dict[str, int] = {}

    def repeated(self, command: PlaceOrder, offset: int, clock: int) -> RefusalCode | None:
        """Refusal of an order whose id was used before, or could not be compared.

        Remembers the id whatever happens to the order: a repeat of a refused one is refused too.
        """
        if not self._order_ids.is_current(command.order_id, clock):
            return "stale_order_id"
        if not self._order_ids.add(command.order_id, offset, clock):
            return "duplicate_order_id"
        return None

    def exceeded(
        self, command: PlaceOrder, *, open_orders: int, client_ids: int, has_book: bool
    ) -> RefusalCode | None:
        """Refusal of an order that exceeds a limit of its broker. `open_orders` and `client_ids`:
        numbers of this broker.

        Market orders never rest, so they need no room in a book.
        """
        quotas = self.quotas
        if command.client_order_id is not None and client_ids >= quotas.client_order_ids_max:
            return "too_many_client_order_ids"
        if command.price is None:
            return None
        if open_orders >= quotas.open_orders_max:
            return "too_many_open_orders"
        if not has_book and self._symbols.get(command.broker_id, 0) >= quotas.symbols_max:
            return "too_many_symbols"
        return None

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
