"""The client order ids an engine remembers, so that a retried request makes no second order.

Pure. Bounded by log time and by count; what falls out of the window would be a new order.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.commands import PlaceOrder
from schemas.snapshots import ClientIdRow
from schemas.units import OrderType, Side


class ClientId(NamedTuple):
    """A client order id is the broker's own within one symbol."""

    broker_id: str
    symbol: str
    client_order_id: str


class Content(NamedTuple):
    """What must be the same for a request to be the same request."""

    side: Side
    order_type: OrderType
    price: int | None
    quantity: int
    valid_until: int | None
    document_number: str


class Remembered(NamedTuple):
    """An accepted order and the clock when it was accepted."""

    order_id: str
    content: Content
    time: int


class ClientIdWindow:
    """Oldest first; `time` never decreases along it."""

    __slots__ = ("_entries", "_ids_max", "_window_ms")

    def __init__(self, ids_max: int, window_ms: int) -> None:
        self._ids_max = ids_max
        self._window_ms = window_ms
        self._entries: OrderedDict[ClientId, Remembered] = OrderedDict()

    def find(self, client_id: ClientId, clock: int) -> Remembered | None:
        """The order that used this id, if the window still holds it."""
        entries = self._entries
        while entries:
            oldest = next(iter(entries))
            if entries[oldest].time + self._window_ms > clock:
                break
            del entries[oldest]
        return entries.get(client_id)

    def remember(self, client_id: ClientId, command: PlaceOrder, clock: int) -> None:
        """The id now names this order."""
        self._entries[client_id] = Remembered(command.order_id, content_of(command), clock)
        if len(self._entries) > self._ids_max:
            self._entries.popitem(last=False)

    def entries(self) -> Iterator[tuple[ClientId, Remembered]]:
        """Everything remembered, oldest first."""
        return iter(self._entries.items())

    def rows(self) -> Iterator[ClientIdRow]:
        """Everything remembered as it is saved, oldest first."""
        for client_id, known in self._entries.items():
            content = known.content
            yield ClientIdRow(
                client_id.broker_id,
                client_id.symbol,
                client_id.client_order_id,
                known.order_id,
                content.side,
                content.order_type,
                content.price,
                content.quantity,
                content.valid_until,
                content.document_number,
                known.time,
            )

    def restore(self, rows: Iterable[ClientIdRow]) -> None:
        """Remember what `rows` gave."""
        for row in rows:
            client_id = ClientId(row.broker_id, row.symbol, row.client_order_id)
            content = Content(
                row.side,
                row.order_type,
                row.price,
                row.quantity,
                row.valid_until,
                row.document_number,
            )
            self._entries[client_id] = Remembered(row.order_id, content, row.time)

    def __len__(self) -> int:
        return len(self._entries)


def content_of(command: PlaceOrder) -> Content:
    """The part of an order that a retry repeats."""
    return Content(
        command.side,
        command.order_type,
        command.price,
        command.quantity,
        command.valid_until,
        command.document_number,
    )
