"""The open orders of each broker, so that a cancel of all of them costs no look at other orders.

Pure. Closed orders, which have `remaining` 0, are dropped later: leaving costs nothing.
"""

from collections.abc import Iterable

from services.matcher.book import Order

# Closed orders that a broker's list may hold in addition to a quarter of as many as open ones.
_SLACK = 16


class _Own:
    __slots__ = ("drop_at", "orders")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.drop_at = _SLACK


class OwnOrders:
    """By broker id; begins with these open orders."""

    __slots__ = ("_of",)

    def __init__(self, orders: Iterable[Order]) -> None:
        self._of: dict[str, _Own] = {}
        for order in orders:
            self.add(order)

    def add(self, order: Order) -> None:
        """Add an open order."""
        own = self._of.get(order.broker_id)
        if own is None:
            own = self._of[order.broker_id] = _Own()
        own.orders.append(order)
        if len(own.orders) >= own.drop_at:
            own.orders = [each for each in own.orders if each.remaining]
            own.drop_at = len(own.orders) * 5 // 4 + _SLACK

    def of(self, broker_id: str) -> list[Order]:
        """The broker's open orders, oldest first."""
        own = self._of.get(broker_id)
        if own is None:
            return []
        # By age, because a restored engine adds its orders in another order.
        return sorted(
            (each for each in own.orders if each.remaining), key=lambda each: each.accepted_at
        )
