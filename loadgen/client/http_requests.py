"""Encodes a planned action as an HTTP/1.1 request. Pure: the time is an argument."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from loadgen.workload.orderflow import Plan, PlannedOrder, PlannedReplace
from schemas.conditions import kind_of
from schemas.units import rfc3339


class OrderBody(Struct, frozen=True, omit_defaults=True):
    """Body of `POST /orders`."""

    document_number: str
    side: str
    symbol: str
    quantity: int
    order_type: str
    client_order_id: str
    price: int | None = None
    valid_until: str | None = None
    time_in_force: str | None = None
    post_only: bool = False
    minimum_quantity: int | None = None
    stop_price: int | None = None
    display_quantity: int | None = None
    self_trade_prevention: str | None = None


class ReplaceBody(Struct, frozen=True, omit_defaults=True):
    """Body of `POST /orders/{id}/replace`."""

    quantity: int | None = None
    price: int | None = None


_encode = msgspec.json.Encoder().encode


def order_body(plan: Plan, order: PlannedOrder, tag: str, now_ms: int) -> bytes:
    """The request. `tag` distinguishes the client order ids of one run from those of another."""
    until = None if order.valid_ms is None else rfc3339(now_ms + order.valid_ms)
    return _encode(
        OrderBody(
            document_number=f"{order.broker:011d}",
            side=order.side,
            symbol=plan.symbols[order.symbol],
            quantity=order.quantity,
            order_type=kind_of(order.order_type, order.stop_price),
            client_order_id=tag + order.client_order_id,
            price=order.price,
            valid_until=until,
            time_in_force=order.time_in_force,
            post_only=order.post_only,
            minimum_quantity=order.minimum_quantity,
            stop_price=order.stop_price,
            display_quantity=order.display_quantity,
            self_trade_prevention=order.self_trade_prevention,
        )
    )


def replace_body(values: PlannedReplace) -> bytes:
    """The new values of an order."""
    return _encode(ReplaceBody(values.quantity, values.price))


class RequestEncoder:
    """Requests of each broker; the part that all of them share is encoded once."""

    def __init__(self, url: str, api_keys: Sequence[str], *, respond_async: bool) -> None:
        parts = urlsplit(url)
        self._path = parts.path.rstrip("/").encode()
        # After the request line; the length of a body and the empty line follow.
        prefer = "Prefer: respond-async\r\n" if respond_async else ""
        heads = [
            f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            for key in api_keys
        ]
        self._get = [f"{head}\r\n".encode() for head in heads]
        self._order = [
            b"POST %s/orders" % self._path
            + f"{head}Content-Type: application/json\r\n{prefer}Content-Length: ".encode()
            for head in heads
        ]
        self._batch = [
            order.replace(b"/orders HTTP", b"/orders/batch HTTP", 1) for order in self._order
        ]
        self._cancel = [f"{head}{prefer}Content-Length: 0\r\n\r\n".encode() for head in heads]

    def order(self, broker: int, body: bytes) -> bytes:
        """`POST /orders`."""
        return b"%s%d\r\n\r\n%s" % (self._order[broker], len(body), body)

    def batch(self, broker: int, body: bytes) -> bytes:
        """`POST /orders/batch`."""
        return b"%s%d\r\n\r\n%s" % (self._batch[broker], len(body), body)

    def replace(self, broker: int, order_id: str, body: bytes) -> bytes:
        """`POST /orders/{id}/replace`."""
        path = f"/orders/{order_id}/replace HTTP".encode()
        head = self._order[broker].replace(b"/orders HTTP", path, 1)
        return b"%s%d\r\n\r\n%s" % (head, len(body), body)

    def cancel(self, broker: int, order_id: str) -> bytes:
        """`POST /orders/{id}/cancel`."""
        path = f"/orders/{order_id}/cancel".encode()
        return b"POST %s%s%s" % (self._path, path, self._cancel[broker])

    def get(self, broker: int, path: str) -> bytes:
        """`GET`, of a path within the exchange."""
        return b"GET %s%s%s" % (self._path, path.encode(), self._get[broker])
