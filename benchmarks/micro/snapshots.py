"""Snapshot benchmarks: the matching pause, writing the chunks, and restoring an engine."""

from collections.abc import Iterable
from functools import partial

from benchmarks.micro.engine import EngineMarket, cancel, price_at
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, Scale, ns_each
from schemas.snapshots import SnapshotCommit
from schemas.units import Side
from services.matcher.engine import Engine
from services.matcher.snapshot import (
    SnapshotChecksum,
    SnapshotImage,
    SnapshotPosition,
    restore,
    save,
)

SYMBOLS = 50
# Most orders have closed while their client order ids are still remembered.
CLIENT_IDS_PER_ORDER = 10
AT = SnapshotPosition("a log", 0, 0, 0)


def saving(scale: Scale) -> Benchmark:
    """Snapshots of n open orders and ten times as many client order ids."""
    return Benchmark([_point(orders) for orders in scale.sizes[2:]], "open orders")


def _point(orders: int) -> CurvePoint:
    # Created at the first measurement: the largest takes seconds.
    made: list[Engine] = []

    def measure() -> Iterable[Measurement]:
        if not made:
            made.append(engine_with(orders))
        (engine,) = made
        yield Measurement("pause: copy", ns_each(partial(save, engine, AT), 1), "ns")
        saved = save(engine, AT)
        yield Measurement("encode and seal", ns_each(partial(written, saved), 1), "ns")
        commit, chunks = written(saved)
        yield Measurement("restore", ns_each(partial(restore, commit, chunks), 1), "ns")

    return CurvePoint(orders, measure)


def engine_with(orders: int) -> Engine:
    """An engine with this many open orders, and the client order ids of closed ones."""
    market = EngineMarket(SYMBOLS)
    for number in range(orders * CLIENT_IDS_PER_ORDER):
        side: Side = "bid" if number % 2 else "ask"
        order = market.order(
            side,
            price_at(side, number % 40),
            symbol=number % SYMBOLS,
            client_order_id=f"1-{number}",
        )
        market.apply([order])
        if number % CLIENT_IDS_PER_ORDER:
            market.apply([cancel(order)])
    return market.engine


def written(saved: SnapshotImage) -> tuple[SnapshotCommit, list[bytes]]:
    """All records of the snapshot."""
    seal, chunks = SnapshotChecksum(), []
    for chunk in saved.chunks():
        seal.add(chunk)
        chunks.append(chunk)
    return seal.commit(saved, 0), chunks
