"""Candles in PostgreSQL: written by the sink in any portions, and filled by the migration."""

import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.runtime.kafka.execution_filter import Batch, FilterPosition
from services.sink.migrate import DIRECTORY, migrate
from services.sink.rows import Rows
from services.sink.store import Move, Store
from tests.support.servers import DatabaseServer
from tests.unit.sink.test_candle_rows import naive, slow_market

_CANDLES = (
    "SELECT partition, symbol, interval, (extract(epoch FROM start) * 1000)::bigint, open, high,"
    " low, close, volume, value::bigint, trades, first_sequence, last_sequence FROM candles"
)


def wanted(flow: list[Batch]) -> set[tuple[Any, ...]]:
    return {
        (
            *key,
            c.open,
            c.high,
            c.low,
            c.close,
            c.volume,
            c.value,
            c.trades,
            c.first_sequence,
            c.last_sequence,
        )
        for key, c in naive(flow).items()
    }


def stored(url: str) -> set[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(_CANDLES.encode()).fetchall())


def store_all(url: str, flow: list[Batch], at_once: int) -> None:
    store = Store(url)
    store.positions(2)
    for first in range(0, len(flow), at_once):
        rows = Rows()
        part = flow[first : first + at_once]
        for batch in part:
            rows.add(batch)
        end = part[-1].first_command + len(part[-1].outcomes)
        rows_move = Move(part[0].first_command, FilterPosition(end, 0, end))
        store.write(rows, {flow[0].partition: rows_move})
    store.close()


@pytest.mark.parametrize("at_once", [1, 9, 10_000])
def test_candles_of_all_portions_equal_the_fold_of_the_trades(
    postgres: DatabaseServer, at_once: int
) -> None:
    url = postgres.create_database(f"candles_{at_once}")
    migrate(url)
    flow = slow_market(0, 1)
    store_all(url, flow, at_once)
    assert stored(url) == wanted(flow)


def test_migration_fills_the_candles_of_stored_trades(
    postgres: DatabaseServer, tmp_path: Path
) -> None:
    url = postgres.create_database("candles_migrated")
    migrate(url)
    flow = slow_market(0, 2)
    store_all(url, flow, 50)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE candles")
        connection.execute("DELETE FROM schema_migrations WHERE version >= 10")
    for path in DIRECTORY.glob("*.sql"):
        # Later ones found their tables changed already.
        if path.name <= "0010_candles.sql":
            shutil.copy(path, tmp_path)
    assert migrate(url, tmp_path) == ["0010_candles.sql"]
    assert stored(url) == wanted(flow)
