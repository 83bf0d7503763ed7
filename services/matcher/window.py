"""Ids that an engine remembers, so that a repeated request or record makes no second order.

Pure. Both windows keep ids as text in blocks: a full block is immutable, so a snapshot need not
copy it.
"""

from collections import Counter, deque
from collections.abc import Iterable

from schemas.commands import PlaceOrder
from schemas.ids import created_ms
from schemas.snapshots import ClientIdBlock, ClientIdRow, OrderIdBlock


class ClientIdWindow:
    """Blocks of ids, oldest first. New ids are added to the last one, the open block.

    A block is dropped when its newest id is `window_ms` old. It is also dropped, unless it is the
    open one, when there are more than `ids_max` ids in all, as long as that bound is set. An id
    outside the window would make a new order.
    """

    __slots__ = (
        "_block_commands",
        "_by_broker",
        "_full",
        "_known",
        "_number",
        "_rows",
        "_time",
        "_window_ms",
        "ids_max",
    )

    def __init__(self, ids_max: int | None, window_ms: int, block_commands: int) -> None:
        self.ids_max = ids_max
        self._window_ms = window_ms
        self._block_commands = block_commands
        self._known: dict[str, ClientIdRow] = {}
        self._by_broker: dict[str, int] = {}
        self._full: deque[ClientIdBlock] = deque()
        # The open block.
        self._number = -1
        self._time = 0
        self._rows: list[ClientIdRow] = []

    def find(self, client_id: str, clock: int) -> ClientIdRow | None:
        """The order that used this id, if the window still contains it."""
        full, out_of_time = self._full, clock - self._window_ms
        while full and full[0].time <= out_of_time:
            self._forget(full.popleft().rows)
        if not full and self._rows and self._time <= out_of_time:
            self._forget(self._rows)
            self._rows = []
        return self._known.get(client_id)

    def remember(self, row: ClientIdRow, offset: int, clock: int) -> None:
        """Add an id, which is not in the window, used by the command at `offset`."""
        number = offset // self._block_commands
        if number != self._number:
            if self._rows:
                self._full.append(ClientIdBlock(self._number, self._time, tuple(self._rows)))
                self._rows = []
            self._number = number
        self._time = clock
        self._rows.append(row)
        self._known[row.client_id] = row
        broker = broker_of(row)
        self._by_broker[broker] = self._by_broker.get(broker, 0) + 1
        ids_max = self.ids_max
        while ids_max is not None and len(self._known) > ids_max and self._full:
            self._forget(self._full.popleft().rows)

    def count(self, broker_id: str) -> int:
        """Number of ids of this broker in the window, as of the last `find`."""
        return self._by_broker.get(broker_id, 0)

    def blocks(self) -> tuple[ClientIdBlock, ...]:
        """All blocks as an immutable value."""
        if not self._rows:
            return tuple(self._full)
        return (*self._full, ClientIdBlock(self._number, self._time, tuple(self._rows)))

    def restore(self, blocks: Iterable[ClientIdBlock]) -> None:
        """Load blocks that `blocks` returned."""
        self._full = deque(blocks)
        self._known = {row.client_id: row for block in self._full for row in block.rows}
        self._by_broker = dict(Counter(map(broker_of, self._known.values())))
        if self._full:
            block = self._full.pop()
            self._number, self._time, self._rows = block.number, block.time, list(block.rows)

    def _forget(self, rows: Iterable[ClientIdRow]) -> None:
        by_broker = self._by_broker
        for row in rows:
            del self._known[row.client_id]
            broker = broker_of(row)
            left = by_broker[broker] - 1
            if left:
                by_broker[broker] = left
            else:
                del by_broker[broker]

    def __len__(self) -> int:
        return len(self._known)


class OrderIdWindow:
    """Ids of all orders whose creation time is within `window_ms` of the partition's clock.

    An id is kept for twice that after its command: its own time may be ahead of the clock by the
    window, and is out of the window once it is behind by it.
    """

    __slots__ = ("_block_commands", "_full", "_ids", "_known", "_number", "_time", "_window_ms")

    def __init__(self, window_ms: int, block_commands: int) -> None:
        self._window_ms = window_ms
        self._block_commands = block_commands
        self._known: set[str] = set()
        self._full: deque[OrderIdBlock] = deque()
        # The open block.
        self._number = -1
        self._time = 0
        self._ids: list[str] = []

    def is_current(self, order_id: str, clock: int) -> bool:
        """True if the id was created within the window, so that a repeat would be noticed."""
        return -self._window_ms < clock - created_ms(order_id) < self._window_ms

    def add(self, order_id: str, offset: int, clock: int) -> bool:
        """Remember a current id; False if it is remembered already."""
        full, out_of_time = self._full, clock - 2 * self._window_ms
        while full and full[0].time <= out_of_time:
            self._known.difference_update(full.popleft().ids)
        if order_id in self._known:
            return False
        number = offset // self._block_commands
        if number != self._number:
            if self._ids:
                full.append(OrderIdBlock(self._number, self._time, tuple(self._ids)))
                self._ids = []
            self._number = number
        self._time = clock
        self._ids.append(order_id)
        self._known.add(order_id)
        return True

    def blocks(self) -> tuple[OrderIdBlock, ...]:
        """All blocks as an immutable value."""
        if not self._ids:
            return tuple(self._full)
        return (*self._full, OrderIdBlock(self._number, self._time, tuple(self._ids)))

    def restore(self, blocks: Iterable[OrderIdBlock]) -> None:
        """Load blocks that `blocks` returned."""
        self._full = deque(blocks)
        self._known = {order_id for block in self._full for order_id in block.ids}
        if self._full:
            block = self._full.pop()
            self._number, self._time, self._ids = block.number, block.time, list(block.ids)

    def __len__(self) -> int:
        return len(self._known)


def broker_of(row: ClientIdRow) -> str:
    """The broker of a client order id."""
    return row.client_id.partition(" ")[0]


def client_id_of(command: PlaceOrder) -> str:
    """Key of a client order id, which is unique per broker and symbol."""
    return f"{command.broker_id} {command.symbol} {command.client_order_id}"


def content_of(command: PlaceOrder) -> str:
    """The fields of an order that a retry must repeat."""
    return (
        f"{command.side} {command.order_type} {command.price} {command.quantity} "
        f"{command.valid_until} {command.document_number}"
    )
