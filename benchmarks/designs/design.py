"""The interface between `app` and a design. Bodies are JSON, ready to be sent."""

from typing import Literal, Protocol

from msgspec import Struct

from schemas.brokers import Broker
from schemas.rest import OrderRequest


class Placed(Struct, frozen=True):
    """`repeated`: the first order again. `reused`: another order has the client order id."""

    verdict: Literal["placed", "repeated", "reused"]
    order: bytes


class Cancelled(Struct, frozen=True):
    """The reason why the order is closed, now or earlier, and its state if it was filled."""

    reason: str
    order: bytes


class Design(Protocol):
    """One way to build an exchange. Opened before the first call, closed after the last one."""

    async def open(self) -> None:
        """Connect, and load the required state from the database."""

    async def close(self) -> None:
        """Write what is not written yet."""

    async def place(self, broker_id: str, wanted: OrderRequest) -> Placed:
        """Match the order."""

    async def cancel(self, broker_id: str, order_id: str) -> Cancelled | None:
        """Cancel the order; None when the broker has no order with this id."""

    async def order(self, broker_id: str, order_id: str) -> bytes | None:
        """An OrderResource; None when the broker has no order with this id."""

    async def price(self, symbol: str, trades: int) -> bytes | None:
        """A PriceResource; None before the first trade."""

    async def book(self, symbol: str, depth: int) -> bytes:
        """A BookResource."""

    async def balance(self, broker: Broker) -> bytes:
        """A BalanceResource."""
