"""Open orders as rows of a snapshot, and orders restored from them. Pure.

Hidden quantities are in a separate list, so that plain orders keep the form of their row.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import astuple

from schemas.snapshots import IcebergRow, OrderRow, OrderTermsRow, PreventionRow
from services.matcher.book import Book, IcebergOrder, Order
from services.matcher.state import EngineState

_FIELDS = len(OrderRow.__struct_fields__)


def order_fields(books: Iterable[Book]) -> list[tuple[Any, ...]]:
    """The fields of a row for each order of these books, in priority order."""
    return [astuple(order)[:_FIELDS] for order in _orders(books)]


def order_rows(books: Iterable[Book]) -> tuple[OrderRow, ...]:
    """All orders of these books, in priority order."""
    return tuple(OrderRow(*fields) for fields in order_fields(books))


def iceberg_rows(books: Iterable[Book]) -> tuple[IcebergRow, ...]:
    """The iceberg orders of these books, by order id."""
    rows = [
        IcebergRow(order.order_id, order.display, order.hidden)
        for order in _orders(books)
        if isinstance(order, IcebergOrder)
    ]
    return tuple(sorted(rows, key=lambda row: row.order_id))


def terms_rows(books: Iterable[Book]) -> tuple[OrderTermsRow, ...]:
    """The orders of these books that entered symbols with instruments, by order id."""
    rows = [
        OrderTermsRow(order.order_id, order.document_number)
        for order in _orders(books)
        if order.document_number
    ]
    return tuple(sorted(rows, key=lambda row: row.order_id))


def prevention_rows(books: Iterable[Book]) -> tuple[PreventionRow, ...]:
    """The orders of these books that have a self-trade prevention, by order id."""
    rows = [
        PreventionRow(order.order_id, order.self_trade_prevention)
        for order in _orders(books)
        if order.self_trade_prevention is not None
    ]
    return tuple(sorted(rows, key=lambda row: row.order_id))


def _orders(books: Iterable[Book]) -> Iterator[Order]:
    return (order for book in books for order in book.all_orders())


def restored_orders(state: EngineState) -> Iterator[Order]:
    """The orders of the books of a state."""
    documents = {row.order_id: row.document_number for row in state.terms}
    modes = {row.order_id: row.mode for row in state.preventions}
    icebergs = {row.order_id: row for row in state.icebergs}
    for row in state.orders:
        order_id, iceberg = row.order_id, icebergs.get(row.order_id)
        fields = (*astuple(row), documents.get(order_id, ""), modes.get(order_id))
        if iceberg is None:
            yield Order(*fields)
        else:
            yield IcebergOrder(*(*fields, iceberg.display_quantity, iceberg.hidden_quantity))
