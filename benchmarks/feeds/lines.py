"""One function for each line of the budgets; each starts its own exchange."""

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import mean
from typing import Final

from msgspec import structs

from benchmarks.feeds.arrivals import FLUSHED, OWN, RAW, Arrivals, delays_us, stored_us
from benchmarks.feeds.child import beside
from benchmarks.feeds.figures import FeedFigure, ratio, share_at, times
from benchmarks.feeds.idle_streams import IdleStreams
from benchmarks.feeds.market import GATEWAY, FeedsRun, LoadedMarket, MarketTurn, market, orders_of
from benchmarks.feeds.queries import CANDLES, ORDERS, Queries, make_up_candles
from benchmarks.feeds.stalled import stalled_reader
from loadgen.client.streams import streams
from loadgen.workload.profiles import B3
from services.runtime.progress import Progress

CANDLES_KEPT: Final = 600
# For what a stalled reader still has to wait for once the market has ended.
ENDED_S_MAX: Final = 30.0
_KIB, _MIB = 1024, 1024 * 1024
# So few brokers that each soon has as many orders as a batch.
ORDERS_ONLY: Final = structs.replace(
    B3, brokers=10, reads_per_53_orders=0, cancels_per_53_orders=0, bursts=None
)


def standard_streams(wanted: FeedsRun, progress: Progress) -> list[FeedFigure]:
    """CPU, orders and slices of flushes with standard streams, in turns with and without."""
    line, without, beside_them = "streams", list[MarketTurn](), list[MarketTurn]()
    slices: dict[float, float] = {}
    with market(wanted, 100.0, progress, streams_max=wanted.streams + 500) as here:
        for _ in range(wanted.rounds):
            without.append(here.run("without streams"))
            with streams(here.session.streams(here.flow, wanted.streams)):
                before = here.flushes()
                beside_them.append(here.run(f"{wanted.streams:,} streams"))
                for bound, count in here.flushes().items():
                    slices[bound] = slices.get(bound, 0.0) + count - before.get(bound, 0.0)
    calm, busy = orders_of(line, "without", without), orders_of(line, "with streams", beside_them)
    added = mean(t.gateway_share for t in beside_them) - mean(t.gateway_share for t in without)
    more = FeedFigure(line, "orders p50, more", busy[0].value - calm[0].value, "ms", 1.0)
    held_ms = share_at(sorted(slices.items()), 0.999) * 1_000
    return [
        FeedFigure(line, "CPU of the gateway, more", added, "% of a core", 25.0),
        *calm,
        *busy,
        more,
        # Or 5 ms more, whichever is larger.
        ratio(busy[1], calm[1], "x without", max(1.25, 1 + 5 / max(calm[1].value, 0.001))),
        FeedFigure(line, "slice of a flush, p99.9 at most", held_ms, "ms", 5.0),
    ]


def events(wanted: FeedsRun, progress: Progress) -> list[FeedFigure]:
    """Time from the record of an outcome to its message at a client."""
    with market(wanted, 100.0, progress) as here:
        delays = _delays(here, "events")
    return [
        *times("events", OWN, delays[OWN], {500: None, 990: None}),
        *times("events", FLUSHED, delays[FLUSHED], {500: 60.0, 990: 150.0}),
        *times("events", RAW, delays[RAW], {500: None, 990: 10.0}),
    ]


def _delays(here: LoadedMarket, what: str) -> dict[str, list[int]]:
    with beside(Arrivals(here.stack.url, here.keys, here.symbols)) as report:
        here.run(what)
        arrived = report()
    stored = stored_us(here.session.target.settings, here.stack.operator.partitions)
    return {kind: delays_us(found, stored) for kind, found in arrived.items()}


def idle(wanted: FeedsRun, progress: Progress) -> list[FeedFigure]:
    """Memory and CPU of streams in which nothing happens, and orders beside them."""
    line = "idle"
    with market(wanted, 100.0, progress, streams_max=wanted.idle + 500) as here:
        # A symbol of its own, without orders.
        work = IdleStreams(here.stack.url, wanted.idle, "IDLE")
        calm = here.run("without idle streams")
        before = _memory(here)
        alone = _idle_share(here, wanted.seconds)
        with beside(work) as report:
            after = _memory(here)
            kept = _idle_share(here, wanted.seconds)
            busy = here.run(f"{wanted.idle:,} idle streams")
            found = report()
    without, orders = orders_of(line, "without", [calm]), orders_of(line, "with them", [busy])
    each = (after - before) / _KIB / max(1, found.opened)
    return [
        FeedFigure(line, "streams, opened", found.opened, "streams"),
        FeedFigure(line, "streams, lost until the end", found.opened - found.kept, "streams", 0),
        FeedFigure(line, "memory of a stream", each, "KiB", 25.0),
        FeedFigure(line, "CPU of the gateway without orders", kept - alone, "% of a core", 5.0),
        *without,
        *orders,
        ratio(orders[1], without[1], "x without", 1.25),
    ]


def _memory(here: LoadedMarket) -> int:
    return here.meter().spent()[GATEWAY].memory_bytes


def _idle_share(here: LoadedMarket, seconds: int) -> float:
    meter = here.meter()
    time.sleep(seconds)
    return meter.spent()[GATEWAY].cpu_s / seconds * 100


def stalled(wanted: FeedsRun, progress: Progress) -> list[FeedFigure]:
    """A reader that stalls at three times the load, in turns with and without: it is closed, and
    others notice nothing."""
    line = "stalled"
    calm, busy = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    more_bytes, ended = list[int](), list[float | None]()
    with market(wanted, 300.0, progress) as here:
        for _ in range(wanted.rounds):
            memory = [_memory(here)]
            _collect(calm, _delays(here, "without"))
            memory.append(_memory(here))
            with stalled_reader(here.stack.url, here.keys[-1], here.symbols) as reader:
                _collect(busy, _delays(here, "a stalled reader"))
                memory.append(_memory(here))
                ended.append(reader.ended_after_s(ENDED_S_MAX))
            # Orders take memory too, the same in both turns.
            more_bytes.append(memory[2] - 2 * memory[1] + memory[0])
    stayed, more = sum(each is None for each in ended), mean(more_bytes) / _MIB
    figures = [
        FeedFigure(line, "stayed open", stayed, "readers", 0),
        FeedFigure(line, "closed after, at most", max(each or 0.0 for each in ended), "s"),
        FeedFigure(line, "memory of the gateway, more than without", more, "MiB", 2.0),
    ]
    for kind in (OWN, FLUSHED, RAW):
        without = times(line, f"{kind} without", calm[kind], {990: None})
        others = times(line, f"{kind} of others", busy[kind], {990: None})
        figures += [*without, *others]
        figures += [ratio(others[0], without[0], "x without", 1.1)] if without and others else []
    return figures


def _collect(every: dict[str, list[int]], found: dict[str, list[int]]) -> None:
    """Add the delays of one turn, by kind."""
    for kind, delays in found.items():
        every[kind] += delays


def queries(wanted: FeedsRun, progress: Progress) -> list[FeedFigure]:
    """Pages of own orders and of candles, ten of each a second."""
    line = "queries"
    with market(wanted, 100.0, progress) as here:
        symbol = here.symbols[0]
        made = make_up_candles(here.stack.operator.database_url or "", symbol, CANDLES_KEPT)
        with beside(Queries(here.stack.url, here.keys, symbol)) as report:
            turn = here.run("queries")
            found = report()
    return [
        *times(line, ORDERS, found.times_us[ORDERS], {500: None, 990: 20.0}),
        *times(line, CANDLES, found.times_us[CANDLES], {500: None, 990: 20.0}),
        FeedFigure(line, "largest page of orders", found.bytes_max[ORDERS] / _KIB, "KiB"),
        FeedFigure(line, "largest page of candles", found.bytes_max[CANDLES] / _KIB, "KiB"),
        FeedFigure(line, "candles made up", made, "candles"),
        FeedFigure(line, "answers that were no 200", found.failed, "answers", 0),
        *orders_of(line, "meanwhile", [turn]),
    ]


def sessions(wanted: FeedsRun, progress: Progress) -> list[FeedFigure]:
    """Orders over sessions and in batches of 20 against single calls, in turns.

    All three wait for the outcome of each order, and sessions receive responses only, no own
    events. What the gateway uses without orders is part of each cost; "beyond idle" is the rest.
    """
    line = "sessions"
    with market(wanted, 100.0, progress, profile=ORDERS_ONLY) as here:
        ways = {
            "by REST": here.by("http"),
            "by session": here.by("session"),
            # Each order waits until 20 of its broker are due.
            "in batches of 20": here.by("http", 20),
        }
        idle_share = here.idle_share()
        turns: dict[str, list[MarketTurn]] = {name: [] for name in ways}
        for _ in range(wanted.rounds):
            for name, session in ways.items():
                turns[name].append(here.run(name, session))
    figures = [FeedFigure(line, "CPU of the idle gateway", idle_share * 100, "%")]
    costs: dict[str, FeedFigure] = {}
    beyond: dict[str, FeedFigure] = {}
    for name, found in turns.items():
        what = f"CPU of the gateway an order, {name}"
        cost = mean(turn.gateway_us for turn in found)
        rest = mean(turn.gateway_us_beyond(idle_share) for turn in found)
        costs[name] = FeedFigure(line, what, cost, "us")
        beyond[name] = FeedFigure(line, f"{what}, beyond idle", rest, "us")
        figures += [costs[name], beyond[name], *orders_of(line, name, found)]
    for name, limit in {"by session": 0.6, "in batches of 20": 0.3}.items():
        figures.append(ratio(costs[name], costs["by REST"], "x REST", limit))
        figures.append(ratio(beyond[name], beyond["by REST"], "x REST", None))
    return figures


LINES: Final[dict[str, Callable[[FeedsRun, Progress], list[FeedFigure]]]] = {
    "streams": standard_streams,
    "events": events,
    "idle": idle,
    "stalled": stalled,
    "queries": queries,
    "sessions": sessions,
}
