"""The views stored in PostgreSQL, so that a starting reader need not read the whole log.

Blocking, for one thread at a time; `cut` from any. One repeatable-read transaction makes
positions, orders, trades and sums consistent. Rows come in portions, never all at once.
"""

from collections.abc import Collection, Iterator
from typing import Any, LiteralString

from msgspec import structs
from psycopg import Connection

from schemas.candles import Candle
from schemas.instruments import InstrumentRules
from schemas.orders import OrderRecord, OrderTrade
from schemas.tables import SCHEMA_VERSION
from services.reader.archive import SELECT_ORDERS
from services.reader.errors import ArchiveUnavailableError, ViewsNotStoredError
from services.reader.instruments import InstrumentView
from services.reader.prices import TRADES_MAX
from services.reader.views import Views
from services.runtime.kafka.execution_filter import FilterPosition
from services.runtime.kafka.topic_identity import LogIdentity
from services.runtime.postgres.connection import connect
from services.runtime.postgres.watchdog import LastResponse, cut

# The longest silence between two portions of rows; the whole load may take longer.
SILENCE_S_MAX = 10.0
# Bounds the memory of a portion, and the time between two signs of progress.
PORTION_ROWS = 2_000
# Symbols per query, each with up to TRADES_MAX prices.
PORTION_SYMBOLS = 50
# A freshly filled database has no statistics, and PostgreSQL would scan whole tables: every plan
# but look-ups is switched off.
SESSION = {
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "repeatable read",
    "jit": "off",
    "enable_seqscan": "off",
    # Orders come in the order of their index; a sort of millions would keep the reader waiting.
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

_IDENTITY: LiteralString = """
    SELECT FROM log_identity WHERE (cluster_id, topic, topic_id) = (%s, %s, %s)
"""
_POSITIONS: LiteralString = """
    SELECT partition, next_record, epoch, next_command,
        (extract(epoch FROM clock) * 1000)::bigint, summed_from, events_from
    FROM log_positions WHERE next_command > 0
"""
_SYMBOLS: LiteralString = """
    SELECT symbol, partition, book_sequence FROM symbols ORDER BY partition, symbol
"""
_INSTRUMENTS: LiteralString = """
    SELECT symbol, phase, reference_price, trade_sequence, tick_size, lot_size, quantity_max,
        value_max, price_min, price_max, band_ppm, band_action
    FROM instruments ORDER BY partition, symbol
"""
_OPEN_ORDERS = SELECT_ORDERS + " WHERE closed_reason IS NULL ORDER BY partition, command_offset"
_ORDERS_BY_ID = SELECT_ORDERS + " WHERE id = ANY(%s::uuid[])"
# Trades of each open order, on either side of it.
_OPEN_TRADES: LiteralString = """
    SELECT t.order_id::text, t.id::text, t.price, t.quantity, t.counterparty::text,
        (extract(epoch FROM t.executed_at) * 1000)::bigint
    FROM orders AS o CROSS JOIN LATERAL (
        SELECT *, buy_order_id AS order_id, sell_broker_id AS counterparty
        FROM trades WHERE buy_order_id = o.id
        UNION ALL
        SELECT *, sell_order_id AS order_id, buy_broker_id AS counterparty
        FROM trades WHERE sell_order_id = o.id
    ) AS t
    WHERE o.closed_reason IS NULL AND o.remaining_quantity < o.quantity
    ORDER BY t.partition, t.command_offset, t.index
"""
_PRICES: LiteralString = """
    SELECT symbol, prices, sequence
    FROM symbols AS s CROSS JOIN LATERAL (
        SELECT array_agg(price ORDER BY sequence) AS prices, max(sequence) AS sequence
        FROM (
            SELECT price, sequence FROM trades
            WHERE partition = s.partition AND symbol = s.symbol
            ORDER BY sequence DESC LIMIT %s
        ) AS newest
    ) AS last
    WHERE sequence IS NOT NULL ORDER BY s.partition, symbol
"""
_NEWEST_CANDLES: LiteralString = """
    SELECT s.partition, s.symbol, w.interval, (extract(epoch FROM c.start) * 1000)::bigint, open,
        high, low, close, volume, value::bigint, trades, first_sequence, last_sequence
    FROM symbols AS s CROSS JOIN (VALUES ('1m'), ('5m'), ('1h'), ('1d')) AS w (interval)
    CROSS JOIN LATERAL (
        SELECT * FROM candles
        WHERE partition = s.partition AND symbol = s.symbol AND interval = w.interval
        ORDER BY start DESC LIMIT 1
    ) AS c
    ORDER BY s.partition, s.symbol
"""
# The five-minute candles of the day before each partition's clock, without the newest.
_DAY_CANDLES: LiteralString = """
    SELECT s.partition, s.symbol, (extract(epoch FROM c.start) * 1000)::bigint, open, high, low,
        close, volume, value::bigint, trades, first_sequence, last_sequence
    FROM log_positions AS p JOIN symbols AS s USING (partition)
    CROSS JOIN LATERAL (
        SELECT * FROM candles
        WHERE partition = s.partition AND symbol = s.symbol AND interval = '5m'
            AND start > p.clock - interval '24 hours 5 minutes'
        ORDER BY start DESC OFFSET 1
    ) AS c
    ORDER BY s.partition, s.symbol, c.start
"""
_BROKER_EVENTS: LiteralString = "SELECT broker_id::text, partition, events FROM broker_events"
_BALANCES: LiteralString = "SELECT broker_id::text, symbol, quantity, value FROM balances"


class StoredViews:
    """Queries, to be called in the order of the methods. psycopg.Error from any of them: give up.

    `rows` counts the rows read; `last_response` lets a watchdog see a silent server.
    """

    def __init__(
        self, database_url: str, identity: LogIdentity, silence_s_max: float = SILENCE_S_MAX
    ) -> None:
        self._url = database_url
        self._identity = identity
        self._connection: Connection | None = None
        self._clocks: dict[int, int] = {}
        self.rows = 0
        self.last_response = LastResponse(silence_s_max)

    def positions(self) -> dict[int, FilterPosition]:
        """The position of each partition with stored outcomes. Raises ViewsNotStoredError."""
        self._connection = connection = connect(self._url, SESSION, autocommit=False)
        self.last_response.heard()
        row = connection.execute("SELECT max(version) FROM schema_migrations").fetchone()
        version = row[0] if row else None
        if version != SCHEMA_VERSION:
            raise ViewsNotStoredError(f"has tables of version {version}, not {SCHEMA_VERSION}")
        if connection.execute(_IDENTITY, structs.astuple(self._identity)).fetchone() is None:
            raise ViewsNotStoredError("was not filled from this log")
        held = {}
        for row in connection.execute(_POSITIONS):
            partition, *position, clock, summed_from, events_from = row
            if summed_from != 0:
                raise ViewsNotStoredError("was filled in part before it stored sums")
            if events_from != 0:
                # The sink counts them from the log when it starts.
                raise ArchiveUnavailableError("has not counted own events yet")
            held[partition] = FilterPosition(*position)
            self._clocks[partition] = clock
        if not held:
            raise ViewsNotStoredError("is empty")
        self.last_response.heard()
        return held

    def views(self, positions: dict[int, FilterPosition]) -> Views:
        """Load the views at the positions that `positions` returned."""
        views = Views()
        for partition, at in positions.items():
            views.restore_partition(partition, at.next_command, self._clocks[partition])
        for row in self._rows("symbols", _SYMBOLS):
            views.restore_symbol(*row)
        for symbol, phase, reference, trades, *rules in self._rows("instruments", _INSTRUMENTS):
            view = InstrumentView(InstrumentRules(*rules), phase, reference, trades)
            views.instruments.restore(symbol, view)
        for row in self._rows("orders", _OPEN_ORDERS):
            fields = [*row, []]
            views.restore_order(OrderRecord(*fields))
        for order_id, *trade in self._rows("trades", _OPEN_TRADES):
            views.restore_trade(order_id, OrderTrade(*trade))
        self._load_sums(views)
        return views

    def _load_sums(self, views: Views) -> None:
        for row in self._rows("prices", _PRICES, [TRADES_MAX], PORTION_SYMBOLS):
            views.restore_prices(*row)
        for partition, symbol, *fields in self._rows("day", _DAY_CANDLES):
            views.candles.restore_day(partition, symbol, Candle(*fields))
        for partition, symbol, interval, *fields in self._rows("candles", _NEWEST_CANDLES):
            views.candles.restore(partition, symbol, interval, Candle(*fields))
        for broker_id, symbol, quantity, value in self._rows("balances", _BALANCES):
            views.restore_balance(broker_id, symbol, quantity, int(value))
        for broker_id, partition, events in self._rows("events", _BROKER_EVENTS):
            views.own_events.restore(broker_id, partition, events)

    def orders(self, order_ids: Collection[str]) -> dict[str, OrderRecord]:
        """Orders by id, without their trades, at the positions that `positions` returned."""
        found = {}
        for row in self._rows("closed", _ORDERS_BY_ID, [sorted(order_ids)]):
            fields = [*row, []]
            record = OrderRecord(*fields)
            found[record.order_id] = record
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def cut(self) -> None:
        """Abort, from another thread, a query that waits for a silent server."""
        cut(self._connection)

    def _rows(
        self,
        name: str,
        query: LiteralString,
        parameters: list[object] | None = None,
        portion: int = PORTION_ROWS,
    ) -> Iterator[tuple[Any, ...]]:
        if self._connection is None:
            raise ViewsNotStoredError("has returned no positions yet")
        with self._connection.cursor(f"stored_{name}", binary=True) as cursor:
            cursor.execute(query, parameters)
            while rows := cursor.fetchmany(portion):
                self.rows += len(rows)
                self.last_response.heard()
                yield from rows
