"""Compares PostgreSQL with the ledger: every row, all columns, no row too many. Only reads.

One repeatable-read snapshot serves the whole comparison, so rows and positions are consistent.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, LiteralString

import msgspec
from psycopg import Connection, IsolationLevel
from psycopg.sql import SQL
from psycopg.sql import Literal as SqlLiteral

from schemas.brokers import Broker, WebhookSecret
from services.audit.candles import CandleRows
from services.audit.expected_rows import Row, Value, carried_row, order_row, trade_row
from services.audit.ledger import OrderState, TradeState
from services.audit.own_events import OwnEventNumbers
from services.audit.report import AuditReport, Invariant
from services.audit.stored_sums import StoredSums
from services.audit.webhooks import StoredWebhooks
from services.runtime.postgres.connection import connect_or_fail

BATCH_ROWS = 2_000

# The columns of the first three are those of `expected_rows`, in this order.
_SELECT_ORDERS: LiteralString = (
    "SELECT id::text, broker_id::text, document_number, client_order_id, symbol, side,"
    " order_type, price, quantity, remaining_quantity, filled_value,"
    " extract(epoch FROM valid_until) * 1000 AS valid_until, status, closed_reason,"
    " extract(epoch FROM created_at) * 1000 AS created_at,"
    " extract(epoch FROM updated_at) * 1000 AS updated_at,"
    " partition, command_offset, time_in_force, post_only, minimum_quantity, stop_price,"
    " display_quantity, extract(epoch FROM triggered_at) * 1000 AS triggered_at,"
    " displayed_quantity, self_trade_prevention, coalesce(trades_count,"
    " (SELECT count(*) FROM trades WHERE buy_order_id = orders.id)"
    " + (SELECT count(*) FROM trades WHERE sell_order_id = orders.id)) AS trades_count FROM orders"
)
_SELECT_TRADES: LiteralString = (
    "SELECT id::text, buy_order_id::text, sell_order_id::text, buy_broker_id::text,"
    " sell_broker_id::text, symbol, price, quantity, aggressor_side, sequence,"
    " extract(epoch FROM executed_at) * 1000 AS executed_at, partition, command_offset, index"
    " FROM trades"
)
# Of an order that is open where the audit begins, a snapshot has only this.
_SELECT_CARRIED: LiteralString = (
    "SELECT id::text, broker_id::text, symbol, side, price,"
    " extract(epoch FROM valid_until) * 1000 AS valid_until, remaining_quantity, closed_reason,"
    " partition, command_offset FROM orders"
)
_SELECT_TRIMMED: LiteralString = "SELECT table_name, before::text, rows FROM trimmed"
# Rows of commands before the audit's beginning are not examined.
_EXAMINED: LiteralString = (
    " WHERE NOT EXISTS (SELECT FROM unnest(%s::integer[], %s::bigint[]) AS b (partition, first)"
    " WHERE b.partition = r.partition AND r.command_offset < b.first)"
)
_SELECT_SYMBOLS: LiteralString = "SELECT symbol, book_sequence FROM symbols WHERE partition = %s"
_SELECT_INSTRUMENTS: LiteralString = (
    "SELECT symbol, phase, reference_price, trade_sequence, tick_size, lot_size, quantity_max,"
    " value_max, price_min, price_max, band_ppm, band_action FROM instruments"
    " WHERE partition = %s"
)
_SELECT_CLOCK: LiteralString = (
    "SELECT 'clock', extract(epoch FROM clock) * 1000 FROM log_positions WHERE partition = %s"
)
_SELECT_BALANCES: LiteralString = (
    "SELECT broker_id::text || ' ' || symbol, ARRAY[quantity, value] FROM balances"
)
_SELECT_BROKERS: LiteralString = (
    "SELECT id::text, name, api_key_hash, webhook_url,"
    " extract(epoch FROM created_at) * 1000 AS created_at"
    " FROM brokers"
)

_SELECT_ENDPOINTS: LiteralString = (
    "SELECT broker_id::text, url, secrets::text FROM webhook_endpoints"
)
_secrets = msgspec.json.Decoder(tuple[WebhookSecret, ...])

# Webhook URL and secrets of a broker.
Endpoint = tuple[str, tuple[WebhookSecret, ...]]


class Database:
    """The tables at one moment, in a snapshot of another connection if `snapshot` names one.

    Raises UnavailableError, AccessError.
    """

    def __init__(self, database_url: str, report: AuditReport, snapshot: str = "") -> None:
        self._url = database_url
        self._report = report
        self._connection = self._connect()
        self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        if snapshot:
            self._connection.execute(
                SQL("SET TRANSACTION SNAPSHOT {}").format(SqlLiteral(snapshot))
            )
        self.sums = StoredSums({"orders": 0, "trades": 0}, {"orders": 0, "trades": 0})
        # Rows that were trimmed by the counts of PostgreSQL, by table.
        self._trimmed: dict[str, tuple[str, int]] = {}
        self._summed_from = self._uncounted = 0
        self.webhooks = StoredWebhooks(self._connection, report, self.sums)
        self._candles = CandleRows(self._connection, report, self.sums)
        self.own_events = OwnEventNumbers(self._connection, report, self.sums)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _connect(self) -> Connection:
        return connect_or_fail(self._url)

    def fresh_positions(self) -> dict[int, int]:
        """Next command by partition, in a snapshot that lasts from now until the next call."""
        self._connection.rollback()
        return self.positions()

    def shared_snapshot(self) -> str:
        """The name of this snapshot for other connections, while this one lasts."""
        row = self._connection.execute("SELECT pg_export_snapshot()").fetchone()
        return str(row[0]) if row else ""

    def positions(self) -> dict[int, int]:
        """Next command by partition."""
        rows = self._connection.execute(
            "SELECT partition, next_command, summed_from, events_from FROM log_positions"
        ).fetchall()
        self._summed_from = max((row[2] for row in rows), default=0)
        self._uncounted = max((row[3] for row in rows), default=0)
        self._trimmed = {
            table: (before, count)
            for table, before, count in self._connection.execute(_SELECT_TRIMMED)
        }
        return {partition: next_command for partition, next_command, *_ in rows}

    def begins_at(self, partition: int, first: int) -> None:
        """Examine only rows of this command and later ones."""
        self.sums.first[partition] = first
        text = f"partition {partition} from command {first:,} on, the log before it was trimmed"
        for invariant in self._report.of_the_log():
            invariant.remark(text)

    def compare_orders(self, states: Sequence[OrderState], partition: int) -> None:
        """Compare these orders with their rows."""
        rows = [order_row(state, partition) for state in states if not state.carried]
        query = _SELECT_ORDERS + " WHERE id = ANY(%s::uuid[])"
        self.sums.present["orders"] += self._compare("orders", query, rows)
        carried = [carried_row(state, partition) for state in states if state.carried]
        self._compare("orders", _SELECT_CARRIED + " WHERE id = ANY(%s::uuid[])", carried)

    def compare_trades(self, trades: Sequence[TradeState], partition: int) -> None:
        """Compare these trades with their rows."""
        rows = [trade_row(trade, partition) for trade in trades]
        query = _SELECT_TRADES + " WHERE id = ANY(%s::uuid[])"
        self.sums.present["trades"] += self._compare("trades", query, rows)
        self.webhooks.compare(trades, partition)
        for trade in trades:
            self._candles.add(trade, partition)
            taker, maker = trade.taker.broker_id, trade.fill.maker_broker_id
            buyer, seller = (taker, maker) if trade.taker.side == "bid" else (maker, taker)
            quantity = trade.fill.quantity
            value = trade.fill.price * quantity
            for broker, shares, cents in ((buyer, quantity, -value), (seller, -quantity, value)):
                sums = self.sums.balances.setdefault(f"{broker} {trade.taker.symbol}", [0, 0])
                sums[0] += shares
                sums[1] += cents

    def compare_books(self, sequences: Mapping[str, int], clock: int, partition: int) -> None:
        """Compare each book's number of changes, and the clock, at PostgreSQL's position."""
        # An order that neither traded nor rested adds its symbol, but no change of a book.
        self._compare_sums(_SELECT_SYMBOLS, sequences, [partition], absent=0)
        self._compare_sums(_SELECT_CLOCK, {"clock": clock}, [partition])

    def compare_instruments(self, wanted: Mapping[str, tuple[object, ...]], partition: int) -> None:
        """Compare the instruments that were set since the audit's beginning."""
        invariant = self._report["stored_sums"]
        rows = self._connection.execute(_SELECT_INSTRUMENTS, [partition])
        found = {symbol: tuple(fields) for symbol, *fields in rows}
        # Without the log's beginning older ones may be there too.
        symbols = wanted.keys() if self.sums.first else wanted.keys() | found.keys()
        for symbol in sorted(symbols):
            invariant.checked += 1
            if found.get(symbol) != wanted.get(symbol):
                invariant.fail(
                    f"instrument of {symbol} is {found.get(symbol)}, expected {wanted.get(symbol)}"
                )

    def compare_brokers(self, brokers: Sequence[Broker]) -> list[str]:
        """Compare brokers in a fresh snapshot, because they arrive on a separate topic."""
        wanted: dict[Value, Row] = {
            b.broker_id: (b.broker_id, b.name, b.api_key_hash, b.webhook_url, b.created_at)
            for b in brokers
        }
        with self._connect() as connection:
            found = {row[0]: row for row in connection.execute(_SELECT_BROKERS)}
            endpoints: dict[str, Endpoint] = {
                broker_id: (url, _secrets.decode(secrets))
                for broker_id, url, secrets in connection.execute(_SELECT_ENDPOINTS)
            }
        connection.close()
        differences = [f"broker {name} is missing" for name in wanted.keys() - found.keys()]
        differences += [f"broker {name} is too many" for name in found.keys() - wanted.keys()]
        differences += [
            f"broker {name}: {found[name]}, expected {wanted[name]}"
            for name in wanted.keys() & found.keys()
            if wanted[name] != found[name]
        ]
        hooked: dict[str, Endpoint] = {
            b.broker_id: (b.webhook_url, b.webhook_secrets)
            for b in brokers
            if b.webhook_url is not None
        }
        # Secrets are compared and never printed.
        differences += [
            f"broker {name}: where its webhooks go is another"
            for name in hooked.keys() | endpoints.keys()
            if hooked.get(name) != endpoints.get(name)
        ]
        return sorted(differences)

    def no_row_too_many(self) -> None:
        """Check at the end that no rows are left over and that balances are complete."""
        if self.sums.first:
            self._report["stored_sums"].note = "balances need a whole log and are left out"
            self._report["stored_candles"].note = "candles need a whole log and are left out"
            self._report["stored_events"].note = "numbers need a whole log and are left out"
        else:
            self._compare_sums(_SELECT_BALANCES, self.sums.balances, [])
            self._candles.compare()
            self.own_events.compare(self._uncounted)
        self.webhooks.no_row_too_many()
        self._count("orders", "SELECT count(*) FROM orders r")
        self._count("trades", "SELECT count(*) FROM trades r")

    def _count(self, table: Literal["orders", "trades"], query: LiteralString) -> None:
        invariant = self._invariant(table)
        _, trimmed = self._trimmed.get(table, ("", 0))
        absent = self.sums.absent[table]
        if trimmed:
            told = f"{trimmed:,} old ones were trimmed and counted"
            invariant.remark(told)
        # Those from before the audit's beginning are counted, but not missed.
        if absent > trimmed or (absent < trimmed and not self.sums.first):
            invariant.fail(f"{table}: {absent} old rows are missing, {trimmed} were trimmed")
        bounds = [list(self.sums.first), list(self.sums.first.values())]
        row = self._connection.execute(query + _EXAMINED, bounds).fetchone()
        extra = (row[0] if row else 0) - self.sums.present[table]
        if extra:
            invariant.fail(f"{table}: {extra} rows that no command of the log brought", extra)

    def _compare_sums(
        self,
        query: LiteralString,
        wanted: Mapping[str, object],
        parameters: list[int],
        absent: object = None,
    ) -> None:
        invariant = self._report["stored_sums"]
        if self._summed_from:
            invariant.remark("filled in part before it kept sums")
            return
        found: dict[str, object] = dict(self._connection.execute(query, parameters).fetchall())
        for key in sorted(wanted.keys() | found.keys()):
            invariant.checked += 1
            is_, should = found.get(key), wanted.get(key, absent)
            if is_ != should:
                invariant.fail(f"{key} is {is_}, expected {should}")

    def _invariant(self, table: Literal["orders", "trades"]) -> Invariant:
        return self._report["stored_orders" if table == "orders" else "stored_trades"]

    def _compare(
        self, table: Literal["orders", "trades"], query: LiteralString, wanted: list[Row]
    ) -> int:
        invariant = self._invariant(table)
        before, _ = self._trimmed.get(table, ("", 0))
        present = 0
        for first in range(0, len(wanted), BATCH_ROWS):
            batch = wanted[first : first + BATCH_ROWS]
            cursor = self._connection.execute(query, [[row[0] for row in batch]])
            columns = [column.name for column in cursor.description or ()]
            found = {row[0]: row for row in cursor}
            present += len(found)
            for row in batch:
                if row[0] not in found and str(row[0]) < before:
                    invariant.checked += 1
                    self.sums.absent[table] += 1
                    continue
                _compare_row(invariant, row, found.get(row[0]), columns)
        return present


def _compare_row(
    invariant: Invariant, wanted: Row, found: Row | None, columns: Sequence[str]
) -> None:
    invariant.checked += 1
    if found is None:
        invariant.fail(f"{wanted[0]} is missing")
    elif found != wanted:
        wrong = ", ".join(
            f"{column} is {is_}, expected {should}"
            for column, is_, should in zip(columns, found, wanted, strict=True)
            if is_ != should
        )
        invariant.fail(f"{wanted[0]}: {wrong}")
