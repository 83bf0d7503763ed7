"""A sink in steps, with tables in memory that are written atomically and fenced like PostgreSQL's.

The execution filter, rows and moves are the product's. A crash loses what was read but not stored.
"""

import random

from msgspec import Struct

from schemas.units import ClosedReason
from services.runtime.kafka.execution_filter import ExecutionFilter, FilterPosition
from services.runtime.kafka.execution_place import placed
from services.sink.errors import OvertakenError
from services.sink.rows import Rows
from services.sink.store import Move
from tests.simulation.matcher import COMMAND_LOG, EXECUTION_LOG, NUMBER
from tests.simulation.memory_log import MemoryLog


class StoredOrder(Struct):
    """Those columns of an order that change."""

    remaining_quantity: int
    filled_value: int
    trades_count: int
    closed_reason: ClosedReason | None
    updated_at: int


class Tables:
    """The content of PostgreSQL."""

    def __init__(self) -> None:
        self.position = FilterPosition()
        # Every position that was stored: a backup of the tables has any of them.
        self.history = [self.position]
        self.orders: dict[str, StoredOrder] = {}
        self.trades: dict[str, int] = {}

    def write(self, rows: Rows, move: Move) -> None:
        """Write rows and position in one step.

        Raises OvertakenError if another sink wrote first, and AssertionError where PostgreSQL would
        refuse a row.
        """
        self._fence(move)
        for order_id, new in rows.new.items():
            assert order_id not in self.orders, f"order {order_id} is stored twice"
            record = new.record
            self.orders[order_id] = StoredOrder(
                record.remaining_quantity,
                record.filled_value,
                record.trades_count,
                record.closed_reason,
                record.updated_at,
            )
        for trade in rows.trades:
            assert trade.fill.trade_id not in self.trades, "a trade is stored twice"
            self.trades[trade.fill.trade_id] = trade.fill.quantity
        for order_id, change in rows.changed.items():
            assert order_id in self.orders, f"order {order_id} changes and is not stored"
            order = self.orders[order_id]
            order.remaining_quantity = change.remaining_quantity
            order.filled_value += change.filled_value
            order.trades_count += change.trades_count
            order.closed_reason = change.closed_reason
            order.updated_at = change.updated_at

    def _fence(self, move: Move) -> None:
        if self.position.next_command != move.expected:
            raise OvertakenError(f"not at {move.expected}")
        self.position = move.target
        self.history.append(move.target)


class SimulatedSink:
    """Reads outcomes from the stored position on."""

    def __init__(self, log: MemoryLog, tables: Tables, rng: random.Random) -> None:
        self._log = log
        self._tables = tables
        self._rng = rng
        self.restart()

    def restart(self) -> None:
        """Restart at the stored position; what was read but not stored is lost."""
        self._cuts_before = self._log.cuts
        self._stored = placed(self._log, EXECUTION_LOG, COMMAND_LOG, self._tables.position)
        self._filter = ExecutionFilter({NUMBER: self._stored})
        self._rows = Rows()

    def step(self, records_max: int = 6) -> None:
        """Read some records, or store what was read."""
        at = self._filter.position(NUMBER)
        if self._log.has_lost(EXECUTION_LOG, at.next_record, self._cuts_before):
            # What was read may be stored before the loss is noticed.
            self._store(at)
            self.restart()
            return
        if self._rng.random() < 0.5:
            end = min(at.next_record + records_max, self._log.range(EXECUTION_LOG).end)
            for record in self._log.read(EXECUTION_LOG, at.next_record, end):
                batch = self._filter.accept(NUMBER, record.offset(), record.value())
                if batch is not None:
                    self._rows.add(batch)
        else:
            self._store(at)

    def _store(self, at: FilterPosition) -> None:
        if at.next_command == self._stored.next_command:
            return
        try:
            self._tables.write(self._rows, Move(self._stored.next_command, at))
        except OvertakenError:
            self.restart()
        else:
            self._stored, self._rows = at, Rows()

    @property
    def idle(self) -> bool:
        """True if every record is read and stored."""
        at = self._filter.position(NUMBER)
        read = at.next_record == self._log.range(EXECUTION_LOG).end
        return read and at.next_command == self._stored.next_command
