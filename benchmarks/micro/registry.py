"""All benchmarks by name in execution order: those without servers first."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from benchmarks.micro import (
    applied,
    bare_book,
    codec,
    edge,
    engine,
    kafka,
    matcher,
    peers,
    reader,
    sink,
    snapshots,
    trip,
)
from benchmarks.micro.context import Context
from benchmarks.micro.harness import Benchmark, Scale


class BenchmarkEntry(Struct, frozen=True):
    """A registered benchmark. `quick`: also a part of the short run."""

    name: str
    title: str
    make: Callable[[Context], Benchmark]
    quick: bool = True


def _alone(name: str, title: str, make: Callable[[Scale], Benchmark]) -> BenchmarkEntry:
    return BenchmarkEntry(name, title, lambda context: make(context.scale))


PEERS: Final = "engine.peers"
ENTRIES: Final = (
    _alone("engine.place", "a passive order, by the depth of its book", engine.place_by_depth),
    _alone("engine.orders", "place and cancel, by open orders", engine.by_open_orders),
    _alone("engine.symbols", "place and cancel, by symbols", engine.by_symbols),
    _alone("engine.cancel", "cancel, by the queue at its price", engine.cancel_by_place),
    _alone("engine.cross", "an order that trades, per fill", engine.cross),
    _alone("engine.expire", "a tick when orders are due, per order", engine.expire),
    _alone("engine.mixed", "a market's flow with client order ids", engine.mixed),
    _alone("engine.conditions", "that flow with conditions and replacements", engine.conditions),
    BenchmarkEntry("engine.bare", "beside a bare order book, with equal fills", bare_book.beside),
    BenchmarkEntry(
        PEERS, "beside others, with equal fills; no client ids, no validity", peers.beside
    ),
    _alone("codec.decode", "a message from bytes, each kind", codec.decoding),
    _alone("codec.encode", "a message to bytes, each kind", codec.encoding),
    _alone("codec.outcomes", "execution records, per outcome", codec.outcome_records),
    _alone("matcher", "commands to outcomes and public records, no Kafka", matcher.handling),
    _alone("matcher.replay", "commands whose outcomes are known, no Kafka", matcher.replaying),
    _alone("follower", "which outcomes count, with their decoding", reader.following),
    _alone("reader.fold", "outcomes into views", reader.folding),
    _alone("reader.order", "query of an order", reader.order_query),
    _alone("reader.price", "query of a price", reader.price_query),
    _alone("reader.book", "query of a book", reader.book_query),
    _alone("reader.balance", "query of a balance", reader.balance_query),
    _alone("snapshot", "save and restore; ten client ids an order", snapshots.saving),
    _alone("edge", "each call of the gateway, no Kafka", edge.calls),
    _alone("gateway.idle", "outcomes in a gateway without requests, no Kafka", applied.applying),
    BenchmarkEntry("sink.rows", "outcomes into PostgreSQL", sink.storing),
    BenchmarkEntry("kafka.matcher", "the matcher's process works off a log", kafka.matching),
    BenchmarkEntry("kafka.recovery", "a matcher replays its log", kafka.recovering),
    BenchmarkEntry("kafka.ack", "from due to acknowledged", kafka.acknowledging),
    BenchmarkEntry(
        "trip.process",
        "order to answer and to trade event, durability process",
        partial(trip.tripping, "process"),
    ),
    BenchmarkEntry(
        "trip.fsync",
        "order to answer and to trade event, durability fsync",
        partial(trip.tripping, "fsync"),
        quick=False,
    ),
)


def chosen(only: Sequence[str], *, quick: bool, peers: bool) -> list[BenchmarkEntry]:
    """The benchmarks with these names or name prefixes, or all. Raises ValueError if none matches.

    A named benchmark also runs when the short run would omit it.
    """
    found = [
        entry
        for entry in ENTRIES
        if (any(_named(entry.name, name) for name in only) if only else entry.quick or not quick)
        and (peers or entry.name != PEERS)
    ]
    unknown = [n for n in only if not any(_named(entry.name, n) for entry in ENTRIES)]
    if unknown:
        raise ValueError(f"there is no benchmark {', '.join(unknown)}; --list names them")
    return found


def _named(entry: str, name: str) -> bool:
    return entry == name or entry.startswith(f"{name}.")
