"""Quotas of one broker in one partition: open orders, books, client order ids. They come from the
command log."""

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class Quotas(Struct, frozen=True, gc=False):
    """Bounds per broker and partition.

    `open_orders_max`: orders in the books. `symbols_max`: symbols whose book this broker opened by
    its first resting order. `client_order_ids_max`: client order ids of the last hour.
    """

    open_orders_max: Count
    symbols_max: Count
    client_order_ids_max: Count
