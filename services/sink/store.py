"""The sink's SQL. Rows and log position commit together or not at all.

`write`: 1. fence: move each position, only from the one this sink expects. 2. copy new orders,
trades and webhooks. 3. change earlier orders. 4. move sums, candles and numbers of own events. The
fence comes first: its row lock makes a second sink wait, and then reports that it was overtaken
before it has written.
Commits are synchronous, because readers forget orders by the position, which must never go back.
"""

import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from msgspec import Struct, structs
from psycopg import Connection, Cursor

from schemas.brokers import Broker
from schemas.codec import encode
from schemas.units import rfc3339
from services.runtime.errors import BrokenLogError
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.topic_identity import LogIdentity
from services.runtime.postgres.connection import connect
from services.runtime.postgres.errors import line_of
from services.runtime.postgres.watchdog import LastResponse, Watchdog, cut
from services.sink.copy_format import (
    CHANGE_COLUMNS,
    DELIVERY_COLUMNS,
    ORDER_COLUMNS,
    TRADE_COLUMNS,
    array,
    change_line,
    delivery_lines,
    order_line,
    trade_line,
)
from services.sink.errors import ForeignDatabaseError, OvertakenError
from services.sink.instrument_rows import instrument_changes
from services.sink.rows import Rows

log = logging.getLogger(__name__)

# Brokers of one transaction.
BROKERS_MAX = 1_000
# No statement takes so long unless the server is stuck.
_STATEMENT_TIMEOUT_MS = 30_000
# A running server ends a statement before this, however slow its disk, so a longer silence means
# that it is gone.
SILENCE_S_MAX = 40.0
# A batch changes a few thousand orders of millions. PostgreSQL has no statistics of the temporary
# table and would scan all orders, so every plan but look-ups by id is switched off.
SESSION = {
    "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
    "jit": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Readers forget orders by the position, which must never go back.
    "synchronous_commit": "on",
}


_QUARANTINE: LiteralString = (
    "INSERT INTO quarantine (source, item, reason) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
)


class Move(Struct, frozen=True):
    """Moves a partition's position from the command `expected` to `target`."""

    expected: int
    target: FilterPosition


class SinkSession(Struct, frozen=True):
    """The server process of a connection. Its start time is included: process ids are reused."""

    pid: int
    started: str


class Store:
    """One connection. After a psycopg.Error from any call, open another.

    A call without an answer for `silence_s_max` loses the connection as well.
    """

    def __init__(self, database_url: str, silence_s_max: float = SILENCE_S_MAX) -> None:
        self._connection: Connection = connect(database_url, SESSION)
        self._last_response = LastResponse(silence_s_max)
        self._watchdog = Watchdog(self._last_response, self._abort)
        try:
            self._execute(
                "CREATE TEMPORARY TABLE order_changes (id uuid, remaining_quantity bigint,"
                " filled_value numeric, trades_count bigint, closed_reason text,"
                " updated_at timestamptz, price bigint, quantity bigint, valid_until timestamptz,"
                " triggered_at timestamptz, stop_price bigint,"
                " display_quantity bigint, displayed_quantity bigint) ON COMMIT DELETE ROWS"
            )
            row = self._execute(
                "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            ).fetchone()
            self.session = SinkSession(*row or (0, ""))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._watchdog.close()
        self._connection.close()

    def cut(self) -> None:
        """Abort, from another thread, a call that waits for a silent server."""
        cut(self._connection)

    def _abort(self) -> None:
        log.warning("PostgreSQL was silent for %g s: connection aborted", self._last_response.max_s)
        self.cut()

    def _execute(
        self, query: LiteralString, parameters: Sequence[object] = ()
    ) -> Cursor[tuple[Any, ...]]:
        with self._last_response.asking():
            return self._connection.execute(query, parameters)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._last_response.asking(), self._connection.transaction():
            yield
            # The commit is a separate round trip with its own time limit.
            self._last_response.heard()

    def end(self, session: SinkSession) -> None:
        """End the server process of a connection that was aborted, because it still holds locks.

        It may not notice the lost connection, and no time-out applies in the middle of a COPY.
        """
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE (pid, backend_start::text) = (%s, %s)",
            [session.pid, session.started],
        )

    def bind(self, identity: LogIdentity) -> None:
        """Bind the database to this log. Raises ForeignDatabaseError."""
        self._execute(
            "INSERT INTO log_identity (cluster_id, topic, topic_id) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [identity.cluster_id, identity.topic, identity.topic_id],
        )
        row = self._execute("SELECT cluster_id, topic, topic_id FROM log_identity").fetchone()
        if row is None or LogIdentity(*row) != identity:
            raise ForeignDatabaseError(
                f"the database was filled from another log ({row}), not from {identity}; "
                f"use the database of this exchange, or an empty one"
            )

    def positions(self, partitions: int) -> dict[int, FilterPosition]:
        """The stored position of each partition; the beginning where nothing is stored."""
        for partition in range(partitions):
            self._execute(
                "INSERT INTO log_positions VALUES (%s, 0, 0, -1) ON CONFLICT DO NOTHING",
                [partition],
            )
        rows = self._execute(
            "SELECT partition, next_record, epoch, next_command FROM log_positions"
        )
        return {partition: FilterPosition(*position) for partition, *position in rows}

    def write(
        self, rows: Rows, moves: Mapping[int, Move], with_webhook: Container[str] = frozenset()
    ) -> int:
        """Store a run and return the number of webhooks queued, for brokers in `with_webhook`.

        Raises OvertakenError: nothing was written; BrokenLogError: the rows contradict the tables.
        """
        try:
            with self._transaction():
                for partition in sorted(moves):
                    self._fence(partition, moves[partition], rows.clocks[partition])
                self._copy("orders", ORDER_COLUMNS, map(order_line, rows.new.values()))
                self._copy("trades", TRADE_COLUMNS, map(trade_line, rows.trades))
                deliveries = list(delivery_lines(rows.trades, with_webhook))
                self._copy("webhook_deliveries", DELIVERY_COLUMNS, deliveries)
                self._change(rows)
                self._sum(rows)
                for statement, values in instrument_changes(rows):
                    self._execute(statement, values)
                self._draw(rows)
                self._number(rows.own_events)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise BrokenLogError(
                f"PostgreSQL refuses rows made from executions: {error}"
            ) from error
        return len(deliveries)

    def _fence(self, partition: int, move: Move, clock: int) -> None:
        to = move.target
        moved = self._execute(
            "UPDATE log_positions SET next_command = %s, next_record = %s, epoch = %s, clock = %s"
            " WHERE partition = %s AND next_command = %s",
            [
                to.next_command,
                to.next_record,
                to.epoch,
                rfc3339(clock),
                partition,
                move.expected,
            ],
        )
        if moved.rowcount != 1:
            raise OvertakenError(f"partition {partition} is not at command {move.expected}")

    def _copy(self, table: LiteralString, columns: LiteralString, lines: Iterable[str]) -> None:
        text = "".join(lines)
        if not text:
            return
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy,
        ):
            copy.write(text)

    def _change(self, rows: Rows) -> None:
        if not rows.changed:
            return
        lines = (change_line(order_id, change) for order_id, change in rows.changed.items())
        self._copy("order_changes", CHANGE_COLUMNS, lines)
        changed = self._execute(
            "UPDATE orders o SET remaining_quantity = c.remaining_quantity,"
            " filled_value = o.filled_value + c.filled_value,"
            # NULL stays: of an earlier version's order the trades are counted.
            " trades_count = o.trades_count + c.trades_count,"
            " closed_reason = c.closed_reason, updated_at = c.updated_at,"
            " price = coalesce(c.price, o.price), quantity = coalesce(c.quantity, o.quantity),"
            " valid_until = coalesce(c.valid_until, o.valid_until),"
            " triggered_at = coalesce(c.triggered_at, o.triggered_at),"
            " stop_price = coalesce(c.stop_price, o.stop_price),"
            " display_quantity = coalesce(c.display_quantity, o.display_quantity),"
            " displayed_quantity = CASE WHEN c.closed_reason IS NULL"
            " THEN coalesce(c.displayed_quantity, o.displayed_quantity) END"
            " FROM order_changes c WHERE o.id = c.id"
        )
        if changed.rowcount != len(rows.changed):
            missing = len(rows.changed) - changed.rowcount
            raise BrokenLogError(
                f"{missing} orders changed by executions are missing in the database"
            )

    def _sum(self, rows: Rows) -> None:
        # Sorted, so that two sinks on two partitions never deadlock.
        sequences = sorted(rows.book_sequences.items())
        self._execute(
            "INSERT INTO symbols (partition, symbol, book_sequence)"
            " SELECT * FROM unnest(%s::integer[], %s::text[], %s::bigint[])"
            " ON CONFLICT (partition, symbol) DO UPDATE SET book_sequence = excluded.book_sequence",
            [
                array(partition for (partition, _), _ in sequences),
                array(symbol for (_, symbol), _ in sequences),
                array(sequence for _, sequence in sequences),
            ],
        )
        keys = sorted(rows.balances)
        changes = [rows.balances[key] for key in keys]
        self._execute(
            "INSERT INTO balances AS b (broker_id, symbol, quantity, value)"
            " SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bigint[], %s::numeric[])"
            " ON CONFLICT (broker_id, symbol) DO UPDATE"
            " SET quantity = b.quantity + excluded.quantity, value = b.value + excluded.value",
            [
                array(broker_id for broker_id, _ in keys),
                array(symbol for _, symbol in keys),
                array(change.quantity for change in changes),
                array(change.value for change in changes),
            ],
        )

    def _draw(self, rows: Rows) -> None:
        candles = rows.candles()
        if not candles:
            return
        # Sorted, so that two sinks on two partitions never deadlock.
        keys = sorted(candles)
        columns = zip(*(structs.astuple(candles[key])[1:] for key in keys), strict=True)
        self._execute(
            "INSERT INTO candles AS c (partition, symbol, interval, start, open, high, low, close,"
            " volume, value, trades, first_sequence, last_sequence)"
            " SELECT p, s, i, to_timestamp(t / 1000), o, h, l, e, v, a, n, f, z FROM unnest("
            "%s::integer[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[],"
            " %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::bigint[], %s::bigint[],"
            " %s::bigint[]) AS r (p, s, i, t, o, h, l, e, v, a, n, f, z)"
            " ON CONFLICT (partition, symbol, interval, start) DO UPDATE SET"
            " high = greatest(c.high, excluded.high), low = least(c.low, excluded.low),"
            " close = excluded.close, volume = c.volume + excluded.volume,"
            " value = c.value + excluded.value, trades = c.trades + excluded.trades,"
            " last_sequence = excluded.last_sequence",
            [*map(array, zip(*keys, strict=True)), *map(array, columns)],
        )

    def _number(self, own_events: Mapping[tuple[int, str], int]) -> None:
        # Sorted, so that two sinks on two partitions never deadlock.
        keys = sorted(own_events)
        self._execute(
            "INSERT INTO broker_events AS e (partition, broker_id, events)"
            " SELECT * FROM unnest(%s::integer[], %s::uuid[], %s::bigint[])"
            " ON CONFLICT (partition, broker_id) DO UPDATE SET events = e.events + excluded.events",
            [*map(array, zip(*keys, strict=True)), array(own_events[key] for key in keys)]
            if keys
            else ["{}"] * 3,
        )

    def uncounted(self) -> dict[int, int]:
        """Partitions whose own events were not all counted, with the first record behind those."""
        rows = self._execute(
            "SELECT partition, next_record FROM log_positions WHERE events_from > 0"
        )
        return dict(rows.fetchall())

    def count_anew(self, partition: int, own_events: Mapping[str, int], next_record: int) -> None:
        """Set the numbers of own events by broker, of all records below the stored position.

        Raises OvertakenError: nothing was written.
        """
        with self._transaction():
            moved = self._execute(
                "UPDATE log_positions SET events_from = 0"
                " WHERE partition = %s AND next_record = %s",
                [partition, next_record],
            )
            if moved.rowcount != 1:
                raise OvertakenError(f"partition {partition} is not at record {next_record}")
            self._execute(
                "INSERT INTO broker_events (partition, broker_id, events)"
                " SELECT %s, * FROM unnest(%s::uuid[], %s::bigint[])"
                " ON CONFLICT (partition, broker_id) DO UPDATE SET events = excluded.events",
                [partition, array(own_events), array(own_events.values())],
            )

    def quarantine(self, source: str, item: str, reason: str) -> None:
        """List a record that was passed over. Safe to repeat."""
        # PostgreSQL's texts have no NUL.
        self._execute(_QUARANTINE, [source, item, reason.replace("\0", "?")])

    def upsert_brokers(self, brokers: Sequence[Broker]) -> dict[str, str]:
        """Store brokers; the newest record of each counts. Safe to repeat.

        Returns the reason for each broker id that PostgreSQL refuses; the others are stored.
        """
        refused: dict[str, str] = {}
        for first in range(0, len(brokers), BROKERS_MAX):
            portion = brokers[first : first + BROKERS_MAX]
            try:
                self._upsert_brokers(portion)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                if len(portion) == 1:
                    refused[portion[0].broker_id] = line_of(error)
                    continue
                for broker in portion:
                    refused |= self.upsert_brokers([broker])
        return refused

    def _upsert_brokers(self, brokers: Sequence[Broker]) -> None:
        with_webhook = [b for b in brokers if b.webhook_url is not None]
        with self._transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO brokers (id, name, api_key_hash, webhook_url, created_at)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
                " api_key_hash = excluded.api_key_hash, webhook_url = excluded.webhook_url,"
                " created_at = excluded.created_at",
                [
                    (b.broker_id, b.name, b.api_key_hash, b.webhook_url, rfc3339(b.created_at))
                    for b in brokers
                ],
            )
            cursor.executemany(
                "INSERT INTO webhook_endpoints AS e (broker_id, url, secrets) VALUES (%s, %s, %s)"
                " ON CONFLICT (broker_id) DO UPDATE"
                " SET url = excluded.url, secrets = excluded.secrets"
                # Repeated at each start: an unchanged row is not written, so no sender waits.
                " WHERE (e.url, e.secrets) IS DISTINCT FROM (excluded.url, excluded.secrets)",
                [
                    (b.broker_id, b.webhook_url, encode(b.webhook_secrets).decode())
                    for b in with_webhook
                ],
            )
