"""Tickers: equality with the naive fold, the window of 24 hours, restoring, lists of tickers."""

from typing import Any

import pytest
from msgspec import structs

from schemas.candles import INTERVALS_MS, start_of
from schemas.executions import Outcome
from schemas.units import rfc3339
from services.reader.candles import DAY_MS, Candles
from services.runtime.kafka.execution_filter import Batch
from tests.support.growing_market import GrowingMarket
from tests.support.reader_api import ReaderApi
from tests.support.reader_outcomes import BOB, limit, sweep
from tests.support.sizes import sized
from tests.unit.reader.test_candles import SLOWER, T0, traded_at

STEP = INTERVALS_MS["5m"]


@pytest.fixture
def api() -> ReaderApi:
    return ReaderApi()


def naive(market: GrowingMarket, symbol: str, clock: int) -> list[Any]:
    """Open, high, low, shares, cents and trades from the list of all trades."""
    start = start_of(clock - DAY_MS, STEP)
    every = market.api.stored.trades_by_symbol.get((int(symbol[-1]), symbol), [])
    day = [trade for trade in every if trade.time >= start]
    prices = [trade.price for trade in day]
    value = sum(trade.price * trade.quantity for trade in day)
    ends = [prices[0], max(prices), min(prices)] if day else [None] * 3
    return [*ends, sum(trade.quantity for trade in day), value, len(day)]


@pytest.mark.parametrize("seed", range(sized(1, 3)))
def test_ticker_equals_the_fold_of_all_trades(seed: int) -> None:
    market, applied = GrowingMarket(seed, SLOWER), GrowingMarket(seed, SLOWER)
    names = ("open", "high", "low", "volume", "value", "trades")
    seen = set()
    for _ in range(15):
        market.step()
        applied.follow(market)
        for symbol in ("PETR4.0", "PETR4.1"):
            clock = market.api.reader.as_of(symbol)
            found = market.api.get(f"/stocks/{symbol}/ticker", market.brokers[0])
            wanted = naive(applied, symbol, clock)
            assert [found[name] for name in names] == wanted, f"seed {seed}"
            assert found["window_start"] == rfc3339(start_of(clock - DAY_MS, STEP))
            seen.add(found["trades"] < found["sequence"])
    assert seen == {True, False}, f"seed {seed}: the window never moved"


def test_ticker_without_a_trade_in_24_hours_keeps_the_last_price(api: ReaderApi) -> None:
    api.reader.apply(traded_at(T0))

    def at(time: int, command: int) -> dict[str, Any]:
        order = limit(10 + command, BOB, "bid", 3, 5, book=command)
        api.reader.apply(Batch(0, command, (Outcome(time, order),)))
        found: dict[str, Any] = api.get("/stocks/PETR4/ticker")
        return found

    # The window begins at the boundary of five minutes before.
    assert at(T0 + DAY_MS + STEP - 1, 2)["trades"] == 1
    found = at(T0 + DAY_MS + STEP, 3)
    assert (found["last"], found["sequence"], found["trades"], found["volume"]) == (1, 1, 0, 0)
    assert (found["open"], found["high"], found["low"], found["value"]) == (None, None, None, 0)
    assert (found["bid"], found["bid_quantity"], found["ask"]) == (5, 6, None)
    assert found["as_of"] == rfc3339(T0 + DAY_MS + STEP)


def test_ticker_of_an_unknown_symbol_is_empty(api: ReaderApi) -> None:
    found = api.get("/stocks/NEW/ticker")
    names = {"symbol", "phase", "window_start", "as_of"}
    assert {name for name, value in found.items() if value} == names


def test_restored_candles_have_the_same_day() -> None:
    market = GrowingMarket(1, SLOWER)
    market.step(150)
    views = market.api.views
    restored = Candles()
    for partition, held in views.candles._partitions.items():
        for symbol, candles in held.symbols.items():
            newest = views.candles.held(partition, symbol, "5m")[-1]
            for candle in candles.window:
                if candle.start < newest.start:
                    restored.restore_day(partition, symbol, structs.replace(candle))
            for interval in INTERVALS_MS:
                series = views.candles.held(partition, symbol, interval)
                restored.restore(partition, symbol, interval, structs.replace(series[-1]))
            clock = views.clock(symbol, 0)
            assert restored.day(partition, symbol, clock) == views.candles.day(
                partition, symbol, clock
            )
            # One object, so that later trades count in both.
            loaded = restored._partitions[partition].symbols[symbol]
            assert loaded.window[-1] is loaded.series["5m"][-1]


def test_tickers_are_those_asked_for_by_symbol(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    api.reader.apply(
        Batch(0, 8, (Outcome(T0, structs.replace(limit(9, BOB, "bid", 3, 5), symbol="A")),))
    )

    def symbols(query: str) -> list[str]:
        return [each["symbol"] for each in api.pages(f"/tickers?{query}", "tickers")]

    assert symbols("symbols=*") == ["A", "PETR4"]
    assert symbols("symbols=*&limit=1") == ["A", "PETR4"]
    assert symbols("symbols=X,PETR4,B,X&limit=2") == ["B", "PETR4", "X"]
    many = api.get("/tickers?symbols=" + ",".join(f"S{number}" for number in range(500)))
    assert (len(many["tickers"]), many["next_cursor"]) == (500, None)
    (found,) = api.get("/tickers?symbols=PETR4")["tickers"]
    assert found == api.get("/stocks/PETR4/ticker")


@pytest.mark.parametrize(
    ("path", "pointers"),
    [
        ("/tickers", ["/symbols"]),
        ("/tickers?symbols=", ["/symbols"]),
        ("/tickers?symbols=A,,B", ["/symbols"]),
        ("/tickers?symbols=A,*", ["/symbols"]),
        ("/tickers?symbols=*&limit=501", ["/limit"]),
        ("/tickers?symbols=*&cursor=a", ["/cursor"]),
        ("/tickers?symbols=*&depth=1", ["/depth"]),
        ("/stocks/petr4/ticker", ["/symbol"]),
        ("/stocks/PETR4/ticker?window=1h", ["/window"]),
    ],
)
def test_tickers_with_an_unacceptable_query_are_422(
    api: ReaderApi, path: str, pointers: list[str]
) -> None:
    assert api.faults(path) == pointers
