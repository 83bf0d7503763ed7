"""View of orders: all open orders, and closed ones until PostgreSQL has stored them.

Pure. A closed order is queued once and forgotten once, so forgetting costs O(1) per order. The
orders of a broker are sorted from its first query on, and indexed by client order id from the first
search by one: most brokers never ask.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from sys import intern

from sortedcontainers import SortedDict

from schemas.executions import OrderAccepted
from schemas.ids import origin_of
from schemas.orders import OrderRecord
from services.reader.overlay import Span
from services.runtime.errors import BrokenLogError

# A few milliseconds of work, so that requests in between see no delay.
FORGET_MAX = 2_000


class Orders:
    """Orders by id. Every closed one waits in its partition's queue, in log order."""

    def __init__(self) -> None:
        self._records: dict[str, OrderRecord] = {}
        # By broker and id: a dict, or a SortedDict after the broker's first query.
        self._own: dict[str, dict[str, OrderRecord]] = {}
        # By broker, then symbol and client order id: the newest. Of brokers that asked for one.
        self._named: dict[str, dict[tuple[str, str], OrderRecord]] = {}
        self._closed: dict[int, deque[tuple[int, OrderRecord]]] = {}
        # Open orders whose ids have an origin.
        self._by_origin: dict[str, dict[str, OrderRecord]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def open_count(self) -> int:
        """Number of open orders."""
        return len(self._records) - sum(map(len, self._closed.values()))

    def get(self, order_id: str) -> OrderRecord | None:
        """The order; None when unknown or forgotten."""
        return self._records.get(order_id)

    def accept(self, event: OrderAccepted, time: int) -> OrderRecord:
        """Add a new order in its state after its own command."""
        record = OrderRecord.accepted(event, time)
        self.remember(record)
        return record

    def remember(self, record: OrderRecord) -> None:
        """Add an order. Raises BrokenLogError if its id is present."""
        if record.order_id in self._records:
            raise BrokenLogError(f"order {record.order_id} was accepted twice")
        # The same few thousand symbols and brokers occur in millions of orders. The interpreter
        # frees interned texts that are no longer used: brokers make symbols up.
        record.symbol = intern(record.symbol)
        record.broker_id = intern(record.broker_id)
        self._records[record.order_id] = record
        own = self._own.get(record.broker_id)
        if own is None:
            own = self._own[record.broker_id] = {}
        own[record.order_id] = record
        named = self._named.get(record.broker_id)
        if named is not None:
            _add_name(named, record)
        origin = origin_of(record.order_id)
        if origin is not None:
            self._by_origin.setdefault(origin, {})[record.order_id] = record

    def open(self, order_id: str) -> OrderRecord:
        """An order that rests in a book. Raises BrokenLogError if there is none."""
        record = self._records.get(order_id)
        if record is None or record.closed_reason is not None:
            state = "unknown" if record is None else "closed"
            raise BrokenLogError(
                f"an outcome requires order {order_id} to be open, but it is {state}"
            )
        return record

    def closed(self, record: OrderRecord, partition: int, command: int) -> None:
        """Mark the order as closed by this command; it may be forgotten once that is stored."""
        queue = self._closed.get(partition)
        if queue is None:
            queue = self._closed[partition] = deque()
        queue.append((command, record))
        origin = origin_of(record.order_id)
        if origin is not None:
            own = self._by_origin[origin]
            del own[record.order_id]
            if not own:
                del self._by_origin[origin]

    def forget(self, partition: int, next_command: int, closed_by: int) -> bool:
        """Forget orders closed by a command below `next_command`, at `closed_by` or before.

        At most FORGET_MAX at once; True: there may be more.
        """
        queue = self._closed.get(partition)
        for _ in range(FORGET_MAX):
            if not queue or queue[0][0] >= next_command or queue[0][1].updated_at > closed_by:
                return False
            self._forget(queue.popleft()[1])
        return True

    def _forget(self, record: OrderRecord) -> None:
        del self._records[record.order_id]
        own = self._own[record.broker_id]
        del own[record.order_id]
        if not own:
            del self._own[record.broker_id]
            self._named.pop(record.broker_id, None)
        elif named := self._named.get(record.broker_id):
            name = (record.symbol, record.client_order_id or "")
            if named.get(name) is record:
                del named[name]

    def by_origin(self) -> Mapping[str, Mapping[str, OrderRecord]]:
        """Open orders that end with their session, by origin and id."""
        return self._by_origin

    def named(self, broker_id: str, symbol: str, client_order_id: str) -> OrderRecord | None:
        """The broker's newest order in memory of a symbol with this client order id."""
        named = self._named.get(broker_id)
        if named is None:
            own = self._own.get(broker_id)
            if own is None:
                return None
            named = self._named[broker_id] = {}
            for record in own.values():
                _add_name(named, record)
        return named.get((symbol, client_order_id))

    def of_broker(self, broker_id: str, span: Span) -> Iterator[tuple[str, OrderRecord]]:
        """The broker's orders in memory between the bounds of the span, by id, in its order."""
        own = self._own.get(broker_id)
        if own is None:
            return
        if not isinstance(own, SortedDict):
            own = self._own[broker_id] = SortedDict(own)
        between = own.irange(
            span.after, span.before, inclusive=(False, False), reverse=span.newest_first
        )
        for order_id in between:
            yield order_id, own[order_id]


def _add_name(named: dict[tuple[str, str], OrderRecord], record: OrderRecord) -> None:
    if record.client_order_id is not None:
        name = (record.symbol, record.client_order_id)
        held = named.get(name)
        if held is None or held.order_id < record.order_id:
            named[name] = record
