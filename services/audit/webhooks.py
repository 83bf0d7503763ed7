"""Compares the webhook outbox with the ledger: one row per side of a stored trade whose broker has
a URL, and no other rows. The results of sending are not checked.

Senders delete old rows and count them: exactly that many rows of a broker may be missing, all below
the recorded id.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import Connection

from schemas.brokers import Broker
from services.audit.ledger import TradeState
from services.audit.report import AuditReport
from services.audit.stored_sums import StoredSums

_SELECT: LiteralString = (
    "SELECT d.broker_id::text, d.event_id::text, d.kind, d.order_remaining_quantity"
    " FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS wanted (broker_id, event_id, kind)"
    " JOIN webhook_deliveries d USING (broker_id, event_id, kind)"
)
_COUNT: LiteralString = (
    "SELECT count(*) FROM webhook_deliveries WHERE kind <> 'test' AND broker_id = ANY(%s::uuid[])"
)
_PRUNED: LiteralString = (
    "SELECT broker_id::text, before::text, sides FROM webhook_pruned"
    " WHERE broker_id = ANY(%s::uuid[])"
)

# Broker, trade, side.
Side = tuple[str, str, str]


class StoredWebhooks:
    """The check on the database's connection, in its snapshot."""

    def __init__(self, connection: Connection, report: AuditReport, sums: StoredSums) -> None:
        self._sums = sums
        self._connection = connection
        self._invariant = report["stored_webhooks"]
        self._brokers: list[str] = []
        self._hooked: set[str] = set()
        self._queued_from: dict[int, int] = {}
        # By broker: the id below which senders have deleted, and how many rows.
        self._before: dict[str, str] = {}
        self._pruned: dict[str, int] = {}

    def begin(self, brokers: Sequence[Broker]) -> None:
        """Load brokers and counts before the first trade, when the snapshot is taken."""
        self._brokers = [broker.broker_id for broker in brokers]
        self._hooked = {broker.broker_id for broker in brokers if broker.webhook_url is not None}
        rows = self._connection.execute("SELECT partition, queued_from FROM log_positions")
        self._queued_from = dict(rows.fetchall())
        if any(self._queued_from.values()):
            self._invariant.remark("some trades were stored before there was an outbox")
        for broker_id, before, sides in self._connection.execute(_PRUNED, [self._brokers]):
            self._before[broker_id] = before
            self._pruned[broker_id] = sides
        if any(self._pruned.values()):
            told = f"{sum(self._pruned.values()):,} old ones were deleted and counted"
            self._invariant.remark(told)

    def compare(self, trades: Sequence[TradeState], partition: int) -> None:
        """Compare the webhooks of these trades with their rows."""
        since = self._queued_from.get(partition, 0)
        wanted: dict[Side, int] = {}
        for trade in trades:
            if trade.offset >= since:
                wanted |= self._sides(trade)
        if not wanted:
            return
        columns = [list(column) for column in zip(*wanted, strict=True)]
        found = {
            (broker_id, event_id, kind): left
            for broker_id, event_id, kind, left in self._connection.execute(_SELECT, columns)
        }
        self._sums.webhooks += len(found)
        self._invariant.checked += len(wanted)
        for side, left in wanted.items():
            if side not in found and side[1] < self._before.get(side[0], ""):
                absent = self._sums.webhooks_absent
                absent[side[0]] = absent.get(side[0], 0) + 1
            elif found.get(side) != left:
                is_ = f"leaves {found[side]}" if side in found else "is missing"
                self._invariant.fail(f"{' '.join(side)}: {is_}, expected to leave {left}")

    def _sides(self, trade: TradeState) -> dict[Side, int]:
        fill, taker = trade.fill, trade.taker
        other = "ask" if taker.side == "bid" else "bid"
        sides = {
            (taker.broker_id, fill.trade_id, taker.side): trade.taker_remaining,
            (fill.maker_broker_id, fill.trade_id, other): fill.maker_remaining_quantity,
        }
        return {side: left for side, left in sides.items() if side[0] in self._hooked}

    def no_row_too_many(self) -> None:
        """Report rows too many or too few. Webhooks of a deleted broker are not examined."""
        row = self._connection.execute(_COUNT, [self._brokers]).fetchone()
        extra = (row[0] if row else 0) - self._sums.webhooks
        # Where the audit begins in the middle of the log, older trades have webhooks too.
        is_partial = bool(self._sums.first)
        if extra and not is_partial:
            self._invariant.fail(f"{extra} webhooks that no trade of the log brought", extra)
        all_absent = self._sums.webhooks_absent
        for broker_id in sorted(self._pruned.keys() | all_absent.keys()):
            absent, pruned = all_absent.get(broker_id, 0), self._pruned.get(broker_id, 0)
            if absent > pruned or (absent < pruned and not is_partial):
                self._invariant.fail(
                    f"{broker_id}: {absent} old webhooks are missing, {pruned} were deleted",
                    abs(absent - pruned),
                )
