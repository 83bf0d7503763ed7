"""Client order ids that an engine remembers, so that a retried request makes no second order.

Pure. Bounded by log time and by count; an id outside the window would make a new order. A million
ids are kept as text in blocks: a full block is immutable, so a snapshot need not copy it.
"""

from collections import deque
from collections.abc import Iterable

from schemas.commands import PlaceOrder
from schemas.snapshots import ClientIdBlock, ClientIdRow


class ClientIdWindow:
    """Blocks of ids, oldest first. New ids are added to the last one, the open block.

    A block is dropped when its newest id is `window_ms` old. It is also dropped, unless it is the
    open one, when there are more than `ids_max` ids in all.
    """

    __slots__ = (
        "_block_commands",
        "_full",
        "_ids_max",
        "_known",
        "_number",
        "_rows",
        "_time",
        "_window_ms",
    )

    def __init__(self, ids_max: int, window_ms: int, block_commands: int) -> None:
        self._ids_max = ids_max
        self._window_ms = window_ms
        self._block_commands = block_commands
        self._known: dict[str, ClientIdRow] = {}
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
        while len(self._known) > self._ids_max and self._full:
            self._forget(self._full.popleft().rows)

    def blocks(self) -> tuple[ClientIdBlock, ...]:
        """All blocks as an immutable value."""
        if not self._rows:
            return tuple(self._full)
        return (*self._full, ClientIdBlock(self._number, self._time, tuple(self._rows)))

    def restore(self, blocks: Iterable[ClientIdBlock]) -> None:
        """Load blocks that `blocks` returned."""
        self._full = deque(blocks)
        self._known = {row.client_id: row for block in self._full for row in block.rows}
        if self._full:
            block = self._full.pop()
            self._number, self._time, self._rows = block.number, block.time, list(block.rows)

    def _forget(self, rows: Iterable[ClientIdRow]) -> None:
        for row in rows:
            del self._known[row.client_id]

    def __len__(self) -> int:
        return len(self._known)


def client_id_of(command: PlaceOrder) -> str:
    """Key of a client order id, which is unique per broker and symbol."""
    return f"{command.broker_id} {command.symbol} {command.client_order_id}"


def content_of(command: PlaceOrder) -> str:
    """The fields of an order that a retry must repeat."""
    return (
        f"{command.side} {command.order_type} {command.price} {command.quantity} "
        f"{command.valid_until} {command.document_number}"
    )
