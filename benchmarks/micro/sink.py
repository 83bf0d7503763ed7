"""Sink benchmarks: execution records to rows and into a real PostgreSQL, by batch size."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial

from benchmarks.micro.context import Context
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement
from benchmarks.micro.outcomes import EPOCH, follow, outcomes_of, records
from services.runtime.kafka.execution_filter import FilterPosition
from services.sink.copy_format import change_line, order_line, trade_line
from services.sink.migrate import migrate
from services.sink.rows import Rows
from services.sink.store import Move, Store

# Outcomes per record, as a matcher under load writes them.
OUTCOMES_A_RECORD = 100


def storing(context: Context) -> Benchmark:
    """Measure decode, apply, COPY and commit, and separately the same without the database."""
    values = records(outcomes_of(context.scale), OUTCOMES_A_RECORD)

    def measure(size: int) -> Iterable[Measurement]:
        yield Measurement("decode, fold, lines", _without(values, size), "rows/s")
        url = context.servers.database()
        migrate(url)
        with closing(Store(url)) as store:
            store.positions(1)
            yield Measurement("into PostgreSQL", _into(store, values, size), "rows/s")

    sizes = (100, 1_000, 5_000)
    return Benchmark(
        [CurvePoint(size, partial(measure, size)) for size in sizes], "outcomes at once"
    )


def _gathered(values: Sequence[bytes], size: int) -> Iterator[Rows]:
    rows = Rows()
    for batch in follow(values):
        rows.add(batch)
        if rows.outcomes >= size:
            yield rows
            rows = Rows()
    if rows.outcomes:
        yield rows


def _without(values: Sequence[bytes], size: int) -> float:
    count, start_s = 0, time.perf_counter()
    for rows in _gathered(values, size):
        "".join(map(order_line, rows.new.values()))
        "".join(map(trade_line, rows.trades))
        "".join(change_line(order_id, change) for order_id, change in rows.changed.items())
        count += _count(rows)
    return count / (time.perf_counter() - start_s)


def _into(store: Store, values: Sequence[bytes], size: int) -> float:
    count, stored, start_s = 0, 0, time.perf_counter()
    for rows in _gathered(values, size):
        end = stored + rows.outcomes
        store.write(rows, {0: Move(stored, FilterPosition(end + 1, EPOCH, end))})
        stored = end
        count += _count(rows)
    return count / (time.perf_counter() - start_s)


def _count(rows: Rows) -> int:
    return len(rows.new) + len(rows.changed) + len(rows.trades)
