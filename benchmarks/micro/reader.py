"""Reader benchmarks: consuming records, applying outcomes to views, and each query."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from benchmarks.micro.engine import MIDDLE, EngineMarket, price_at
from benchmarks.micro.harness import Benchmark, CurvePoint, Measurement, Scale, ns_each
from benchmarks.micro.outcomes import batches, follow, outcomes_of, records
from loadgen.commands import broker_id
from loadgen.workload.tickers import tickers
from schemas.commands import Command
from schemas.executions import Outcome
from services.api.messages import encode
from services.matcher.engine import EnginePosition
from services.reader.views import Views
from services.runtime.kafka.execution_filter import Batch

BATCHES = (1, 10, 100, 500)
SYMBOL = tickers(1)[0]


def following(scale: Scale) -> Benchmark:
    """The validity rule including decoding, per outcome."""
    outcomes = outcomes_of(scale)

    def measure(size: int) -> Iterable[Measurement]:
        values = records(outcomes, size)
        yield Measurement("follow", ns_each(partial(_drain, values), len(outcomes)), "ns/outcome")

    return Benchmark([CurvePoint(s, partial(measure, s)) for s in BATCHES], "outcomes a record")


def folding(scale: Scale) -> Benchmark:
    """Apply outcomes to orders, prices, books and balances."""
    outcomes = outcomes_of(scale)

    def measure(size: int) -> Iterable[Measurement]:
        work = partial(_apply, Views(), batches(outcomes, size))
        yield Measurement("fold", ns_each(work, len(outcomes)), "ns/outcome")

    return Benchmark([CurvePoint(s, partial(measure, s)) for s in BATCHES], "outcomes a batch")


def order_query(scale: Scale) -> Benchmark:
    """`GET /orders/{id}` of an order with n fills, from the views to the body's bytes."""

    def point(fills: int) -> CurvePoint:
        market = EngineMarket()
        taker = market.order("bid", price_at("ask", 0), quantity=100 * fills)
        makers = [market.order("ask", price_at("ask", 0)) for _ in range(fills)]
        views = views_of(market, [*makers, taker])
        return _query(fills, scale, lambda: _order(views, taker.order_id))

    return Benchmark([point(fills) for fills in scale.up_to(1_000)], "fills of the order")


def price_query(scale: Scale) -> Benchmark:
    """`GET /stocks/{symbol}/price` over n trades."""
    market = EngineMarket()
    views = views_of(
        market,
        [market.order(side, MIDDLE) for _ in range(1_000) for side in ("ask", "bid")],
    )
    return Benchmark(
        [
            _query(trades, scale, partial(views.price, SYMBOL, trades, 0))
            for trades in scale.up_to(1_000)
        ],
        "trades averaged",
    )


def book_query(scale: Scale) -> Benchmark:
    """`GET /stocks/{symbol}/book` to depth n, of a book of 1,000 levels per side."""
    market = EngineMarket()
    views = views_of(
        market,
        [
            market.order(side, price_at(side, level))
            for level in range(1_000)
            for side in ("bid", "ask")
        ],
    )
    return Benchmark(
        [_query(d, scale, partial(views.book, SYMBOL, d, 0)) for d in (1, 10, 50)],
        "depth",
    )


def balance_query(scale: Scale) -> Benchmark:
    """`GET /balance` of a broker with n positions."""

    def point(positions: int) -> CurvePoint:
        views = Views()
        for number, symbol in enumerate(tickers(positions)):
            views.restore_balance(broker_id(0), symbol, number + 1, -number)
        return _query(positions, scale, lambda: views.balance(broker_id(0), "A broker"))

    return Benchmark([point(positions) for positions in scale.up_to(1_000)], "positions")


def views_of(market: EngineMarket, given: Sequence[Command]) -> Views:
    """Views with the complete history of a market applied."""
    views = Views()
    outcomes: list[Outcome] = [
        market.engine.apply(command, EnginePosition(0, number, market.clock))
        for number, command in enumerate(given)
    ]
    for batch in batches(outcomes, 500):
        views.apply(batch)
    return views


def _order(views: Views, order_id: str) -> object:
    record = views.order(order_id)
    return None if record is None else record.resource()


def _query(x: int, scale: Scale, ask: Callable[[], object]) -> CurvePoint:
    times = max(10, scale.operations // 10)

    def measure() -> Iterable[Measurement]:
        yield Measurement("query and encode", ns_each(partial(_ask, ask, times), times), "ns")

    return CurvePoint(x, measure)


def _ask(ask: Callable[[], object], times: int) -> None:
    for _ in range(times):
        encode(ask())


def _drain(values: Sequence[bytes]) -> None:
    for _ in follow(values):
        pass


def _apply(views: Views, outcomes: Iterable[Batch]) -> None:
    for batch in outcomes:
        views.apply(batch)
