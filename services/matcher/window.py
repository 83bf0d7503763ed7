"""Ids that an engine remembers, so that a repeated request or record makes no second order.

Pure. Both windows keep ids as text in blocks: a full block is immutable, so a snapshot need not
copy it.
"""

from collections import Counter, deque
from collections.abc import Iterable

from schemas.commands import EnterOrder, PlaceOrder
from schemas.executions import RefusalCode
from schemas.ids import created_ms, time_text
from schemas.snapshots import ClientIdBlock, ClientIdRow, OrderIdBlock

# Time for which the bounds of current order ids are kept, far below the window itself.
_BOUNDS_MS = 1_000


class ClientIdWindow:
    """Blocks of ids, oldest first. New ids are added to the last one, the open block.

    A block is dropped when its newest id is `window_ms` old. It is also dropped, unless it is the
    open one, when there are more than `ids_max` ids in all, until ids are counted by broker. An id
    outside the window would make a new order.
    """

    __slots__ = (
        "_block_commands",
        "_by_broker",
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
        # None until they are needed: counting costs time with every order.
        self._by_broker: dict[str, int] | None = None
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

    def remember(self, row: ClientIdRow, broker_id: str, offset: int, clock: int) -> None:
        """Add an id of this broker, which is not in the window, used by the command at `offset`."""
        number = offset // self._block_commands
        if number != self._number:
            if self._rows:
                self._full.append(ClientIdBlock(self._number, self._time, tuple(self._rows)))
                self._rows = []
            self._number = number
        self._time = clock
        self._rows.append(row)
        self._known[row.client_id] = row
        if self._by_broker is not None:
            self._by_broker[broker_id] = self._by_broker.get(broker_id, 0) + 1
            return
        while len(self._known) > self._ids_max and self._full:
            self._forget(self._full.popleft().rows)

    def count_by_broker(self) -> None:
        """From here on each broker's ids are counted, and bounded by refusing orders: no other
        broker's are dropped. Replaces `ids_max`."""
        if self._by_broker is None:
            self._by_broker = dict(Counter(map(broker_of, self._known.values())))

    def count(self, broker_id: str) -> int:
        """Number of ids of this broker in the window, as of the last `find`; 0 while they are not
        counted."""
        return self._by_broker.get(broker_id, 0) if self._by_broker else 0

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
        by_broker = self._by_broker
        for row in rows:
            del self._known[row.client_id]
            if by_broker is None:
                continue
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

    __slots__ = (
        "_after",
        "_before",
        "_block_commands",
        "_block_end",
        "_full",
        "_ids",
        "_known",
        "_number",
        "_renewal_due",
        "_time",
        "_window_ms",
    )

    def __init__(self, window_ms: int, block_commands: int) -> None:
        self._window_ms = window_ms
        self._block_commands = block_commands
        # When ids go out of time, or the bounds have to be set anew.
        self._renewal_due = 0
        self._after = self._before = ""
        self._known: set[str] = set()
        self._full: deque[OrderIdBlock] = deque()
        # The open block, and the first offset behind it.
        self._number = -1
        self._block_end = 0
        self._time = 0
        self._ids: list[str] = []

    def refusal(self, order_id: str, offset: int, clock: int) -> RefusalCode | None:
        """Remember an id; the refusal of one that is remembered already, or is out of the window,
        so that a repeat would not be noticed. Offsets and clock only grow."""
        if clock >= self._renewal_due:
            self._renew(clock)
        if not self._after < order_id < self._before and not self._is_current(order_id, clock):
            return "stale_order_id"
        if order_id in self._known:
            return "duplicate_order_id"
        if offset >= self._block_end:
            self._begin_block(offset)
        self._time = clock
        self._ids.append(order_id)
        self._known.add(order_id)
        return None

    def _renew(self, clock: int) -> None:
        """Forget ids that are out of time, and set the bounds of ids that surely are current."""
        full, out_of_time = self._full, clock - 2 * self._window_ms
        while full and full[0].time <= out_of_time:
            self._known.difference_update(full.popleft().ids)
        due = clock + _BOUNDS_MS
        self._renewal_due = min(due, full[0].time + 2 * self._window_ms) if full else due
        # Ids begin with their time, and texts compare as times do: much cheaper than reading the
        # time of each id. Ids between the bounds are in the window until `due`.
        self._after = time_text(max(0, due - self._window_ms))
        self._before = time_text(clock + self._window_ms)

    def _is_current(self, order_id: str, clock: int) -> bool:
        return -self._window_ms < clock - created_ms(order_id) < self._window_ms

    def _begin_block(self, offset: int) -> None:
        number = offset // self._block_commands
        if self._ids:
            self._full.append(OrderIdBlock(self._number, self._time, tuple(self._ids)))
            self._ids = []
            # The block may be the first one, and become due before the bounds do.
            self._renewal_due = min(self._renewal_due, self._full[0].time + 2 * self._window_ms)
        self._number = number
        self._block_end = (number + 1) * self._block_commands

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
            self._block_end = (block.number + 1) * self._block_commands

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
    # By `!s`, because a format looks for a method of None and of truth values.
    content = (
        f"{command.side} {command.order_type} {command.price!s} {command.quantity} "
        f"{command.valid_until!s} {command.document_number}"
    )
    if type(command) is not EnterOrder:
        return content
    # The sign keeps it from being equal to that of an order without conditions.
    content = (
        f"+{content} {command.time_in_force!s} {command.post_only!s} {command.minimum_quantity!s}"
    )
    # Texts of orders without these conditions stay as they were.
    if command.stop_price is not None:
        content += f" stop {command.stop_price}"
    if command.display_quantity is not None:
        content += f" display {command.display_quantity}"
    if command.self_trade_prevention is not None:
        content += f" prevention {command.self_trade_prevention}"
    return content
