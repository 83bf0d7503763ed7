"""Orders and cancels of V2 and V3, applied to the market in memory."""

import secrets
from abc import ABC, abstractmethod

import msgspec

from benchmarks.designs.design import Cancelled, Placed
from benchmarks.designs.market import DesignMarket, DesignOrder, content_of
from schemas import ids
from schemas.conditions import order_type_of
from schemas.rest import OrderRequest, OrderResource
from schemas.units import milliseconds
from services.runtime.clock import now_ms

_encode = msgspec.json.Encoder().encode


class MemoryOrders(ABC):
    """Places and cancels orders; reads an order in whichever store its design uses."""

    def __init__(self) -> None:
        self._market = DesignMarket()

    @abstractmethod
    async def order(self, broker_id: str, order_id: str) -> bytes | None:
        """An OrderResource; None when the broker has no order with this id."""

    async def place(self, broker_id: str, wanted: OrderRequest) -> Placed:
        """Match the order."""
        moment = now_ms()
        order = _order(broker_id, wanted, moment)
        if wanted.client_order_id is not None:
            key = (broker_id, wanted.symbol, wanted.client_order_id)
            known = self._market.client_ids.get(key)
            if known is not None:
                same = known.content == content_of(order)
                body = await self.order(broker_id, known.order_id)
                return Placed("repeated" if same else "reused", body or b"")
        self._market.place(order, moment)
        return Placed("placed", _encode(order.resource()))

    async def cancel(self, broker_id: str, order_id: str) -> Cancelled | None:
        """Cancel the order; None when the broker has no order with this id."""
        order = self._market.orders.get(order_id)
        if order is None or order.broker_id != broker_id:
            body = await self.order(broker_id, order_id)
            if body is None:
                return None
            resource = msgspec.json.decode(body, type=OrderResource)
            return Cancelled(str(resource.closed_reason), body)
        self._market.cancel(order, now_ms())
        return Cancelled(str(order.closed_reason), _encode(order.resource()))


def _order(broker_id: str, wanted: OrderRequest, moment: int) -> DesignOrder:
    until = wanted.valid_until
    return DesignOrder(
        order_id=ids.order_id(moment, 0, secrets.randbits(62)),
        broker_id=broker_id,
        document_number=wanted.document_number,
        symbol=wanted.symbol,
        side=wanted.side,
        order_type=order_type_of(wanted.order_type),
        quantity=wanted.quantity,
        remaining_quantity=wanted.quantity,
        filled_value=0,
        created_at=moment,
        updated_at=moment,
        price=wanted.price,
        valid_until=None if until is None else milliseconds(until),
        client_order_id=wanted.client_order_id,
        closed_reason=None,
        time_in_force=None,
        post_only=False,
        minimum_quantity=None,
        stop_price=None,
        triggered_at=None,
        display_quantity=None,
        displayed_quantity=None,
        self_trade_prevention=None,
        trades_count=0,
        trades=[],
        arrival=0,
    )
