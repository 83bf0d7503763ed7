"""Open orders as rows of a snapshot, and orders restored from them. Pure.

What the book does not show of an order has a list of its own, so that plain orders keep their row.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import astuple

from schemas.snapshots import IcebergRow, OrderRow
from services.matcher.book import Book, IcebergOrder, Order

_FIELDS = len(OrderRow.__struct_fields__)


def order_fields(books: Iterable[Book]) -> list[tuple[Any, ...]]:
    """The fields of a row for each order of these books, in priority order."""
    return [astuple(order)[:_FIELDS] for book in books for order in book.all_orders()]


def order_rows(books: Iterable[Book]) -> tuple[OrderRow, ...]:
    """All orders of these books, in priority order."""
    return tuple(OrderRow(*fields) for fields in order_fields(books))


def iceberg_rows(books: Iterable[Book]) -> tuple[IcebergRow, ...]:
    """The iceberg orders of these books, by order id."""
    orders = (order for book in books for order in book.all_orders())
    rows = [
        IcebergRow(order.order_id, order.display, order.hidden)
        for order in orders
        if isinstance(order, IcebergOrder)
    ]
    return tuple(sorted(rows, key=lambda row: row.order_id))


def restored_orders(orders: Iterable[OrderRow], icebergs: Iterable[IcebergRow]) -> Iterator[Order]:
    """The orders that these rows stand for."""
    of_icebergs = {row.order_id: row for row in icebergs}
    for row in orders:
        iceberg = of_icebergs.get(row.order_id)
        if iceberg is None:
            yield Order(*astuple(row))
        else:
            display, hidden = iceberg.display_quantity, iceberg.hidden_quantity
            yield IcebergOrder(*(*astuple(row), display, hidden))
