"""Compares the numbers of own events in PostgreSQL with the outcomes of the log."""

from typing import LiteralString

from psycopg import Connection

from schemas.executions import CommandRefused, OrderCancelled, OrderRepeated, Outcome
from schemas.outcome_steps import MakerPrevented, Taking, steps_of
from services.audit.report import AuditReport
from services.audit.stored_sums import StoredSums

_SELECT_NUMBERS: LiteralString = "SELECT partition, broker_id::text, events FROM broker_events"


class OwnEventNumbers:
    """The own events of the outcomes so far, by partition and broker."""

    def __init__(self, connection: Connection, report: AuditReport, sums: StoredSums) -> None:
        self._connection = connection
        self._invariant = report["stored_events"]
        self._wanted = sums.own_events

    def add(self, outcome: Outcome, partition: int) -> None:
        """Add the outcome of the next command of its partition."""
        orders = [(each.broker_id, each.order_id) for each in outcome.expired]
        for step, trades in steps_of(outcome):
            if isinstance(step, CommandRefused):
                of_cancel = step.code in ("order_not_open", "not_owner")
                if step.broker_id is not None and step.request is None and not of_cancel:
                    orders.append((step.broker_id, f"refused {step.order_id}"))
            elif isinstance(step, OrderRepeated):
                orders.append((step.broker_id, f"repeated {step.order_id}"))
            elif isinstance(step, Taking | OrderCancelled | MakerPrevented):
                orders.append((step.broker_id, step.order_id))
            orders += [(each.fill.maker_broker_id, each.fill.maker_order_id) for each in trades]
        # An order has one event for each command.
        for broker_id, _ in set(orders):
            key = partition, broker_id
            self._wanted[key] = self._wanted.get(key, 0) + 1

    def compare(self, uncounted: int) -> None:
        """Compare all numbers with their rows, at the end. `uncounted`: commands that PostgreSQL
        has not counted."""
        if uncounted:
            self._invariant.note = "the sink has not counted earlier ones yet"
            return
        found = {
            (partition, broker_id): events
            for partition, broker_id, events in self._connection.execute(_SELECT_NUMBERS)
        }
        for key in sorted(self._wanted.keys() | found.keys()):
            self._invariant.checked += 1
            stored, wanted = found.get(key, 0), self._wanted.get(key, 0)
            if stored != wanted:
                self._invariant.fail(f"own events of {key} are {stored}, expected {wanted}")
