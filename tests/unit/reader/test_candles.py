"""Candles of a symbol: equality with the naive fold, flat ones, bounds, and PostgreSQL away."""

from typing import Any

import pytest
from msgspec import to_builtins

from schemas.candles import INTERVALS_MS, Candle, Interval
from schemas.executions import Outcome
from schemas.units import rfc3339
from services.reader.candles import resource
from services.runtime.kafka.execution_filter import Batch
from tests.support.growing_market import GrowingMarket
from tests.support.reader_api import ReaderApi
from tests.support.reader_outcomes import ALICE, BOB, fill, limit
from tests.support.sizes import sized

MINUTE = INTERVALS_MS["1m"]
# Of a day in UTC.
T0 = 1_794_960_000_000
SLOWER = 60_000


@pytest.fixture
def api() -> ReaderApi:
    return ReaderApi()


def traded_at(*times: int) -> Batch:
    """Orders at prices 1, 2, 3..., each of one share, that are taken at these times."""
    numbers = range(1, 1 + len(times))
    events = [limit(50 + n, ALICE, "ask", 1, n) for n in numbers]
    events += [
        limit(
            n, BOB, "bid", 1, n, left=0, closed="filled", fills=(fill(n, 50 + n, ALICE, n, 1, 0),)
        )
        for n in numbers
    ]
    outcomes = zip((*[times[0]] * len(times), *times), events, strict=True)
    return Batch(0, 0, tuple(Outcome(time, event) for time, event in outcomes))


def shown(candles: list[Candle], interval: Interval, clock: int) -> list[Any]:
    return [to_builtins(resource(each, INTERVALS_MS[interval], clock)) for each in candles]


@pytest.mark.parametrize("seed", range(sized(1, 3)))
def test_candles_equal_the_fold_of_all_trades_wherever_they_are(seed: int) -> None:
    market = GrowingMarket(seed, SLOWER)
    api, broker = market.api, market.brokers[0]
    applied = GrowingMarket(seed, SLOWER)
    for _ in range(15):
        market.step()
        symbol = market.random.choice(["PETR4.0", "PETR4.1"])
        interval = market.random.choice(list(INTERVALS_MS))
        partition, clock = int(symbol[-1]), api.reader.as_of(symbol)
        applied.follow(market)
        wanted = shown(
            applied.api.stored.every_candle(partition, symbol, interval), interval, clock
        )
        path = f"/stocks/{symbol}/candles?interval={interval}"
        assert api.get(f"{path}&limit=1000", broker)["candles"] == wanted[-1000:], f"seed {seed}"
        assert api.get(f"{path}&limit=3", broker)["candles"] == wanted[-3:], f"seed {seed}"
        if len(wanted) > 4:
            first, last = wanted[1]["start"], wanted[-1]["start"]
            between = api.get(f"{path}&from={first}&to={last}", broker)["candles"]
            assert between == wanted[1:-1][:100], f"seed {seed}"
    assert len(wanted) > 1, f"seed {seed}"


def test_candle_is_closed_when_the_clock_reaches_its_end(api: ReaderApi) -> None:
    api.reader.apply(traded_at(T0 + 1, T0 + MINUTE - 1))
    path = "/stocks/PETR4/candles?limit=2"
    (candle,) = api.get(path)["candles"]
    assert candle == {
        "start": rfc3339(T0),
        "open": 1,
        "high": 2,
        "low": 1,
        "close": 2,
        "volume": 2,
        "value": 3,
        "trades": 2,
        "first_sequence": 1,
        "last_sequence": 2,
        "closed": False,
    }
    api.reader.apply(Batch(0, 4, (Outcome(T0 + MINUTE, limit(9, BOB, "bid", 1, 1)),)))
    answer = api.get(path)
    assert [each["closed"] for each in answer["candles"]] == [True]
    assert (answer["symbol"], answer["interval"]) == ("PETR4", "1m")
    assert answer["as_of"] == rfc3339(T0 + MINUTE)


def test_flat_candles_fill_gaps_from_the_first_trade_to_the_clock(api: ReaderApi) -> None:
    api.reader.apply(traded_at(T0 + 5 * MINUTE, T0 + 8 * MINUTE))
    api.reader.apply(Batch(0, 4, (Outcome(T0 + 10 * MINUTE + 1, limit(9, BOB, "bid", 1, 1)),)))

    def closes(query: str) -> list[tuple[int, int, int]]:
        starts = {rfc3339(T0 + n * MINUTE): n for n in range(30)}
        candles = api.get(f"/stocks/PETR4/candles?fill=previous{query}")["candles"]
        assert all(c["first_sequence"] is None for c in candles if not c["trades"])
        return [(starts[c["start"]], c["close"], c["trades"]) for c in candles]

    every = [(5, 1, 1), (6, 1, 0), (7, 1, 0), (8, 2, 1), (9, 2, 0), (10, 2, 0)]
    assert closes("") == every
    assert closes("&limit=2") == every[-2:]
    assert closes(f"&from={rfc3339(T0)}") == every
    assert closes(f"&from={rfc3339(T0 + 6 * MINUTE)}&limit=2") == every[1:3]
    assert (
        closes(f"&from={rfc3339(T0 + 6 * MINUTE + 1)}&to={rfc3339(T0 + 8 * MINUTE)}") == every[2:3]
    )
    assert closes(f"&to={rfc3339(T0 + 9 * MINUTE)}&limit=2") == every[2:4]
    assert closes(f"&from={rfc3339(T0 + 11 * MINUTE)}") == []
    assert closes(f"&to={rfc3339(T0 + 5 * MINUTE)}") == []


def test_newest_candle_needs_no_postgresql_and_others_are_503_without(api: ReaderApi) -> None:
    whole = traded_at(T0, T0 + MINUTE, T0 + 2 * MINUTE)
    api.reader.apply(whole)
    api.stored.store(whole)
    api.forget()
    api.stored.away = True
    (candle,) = api.get("/stocks/PETR4/candles?limit=1")["candles"]
    assert candle["start"] == rfc3339(T0 + 2 * MINUTE)
    for query in ("?limit=3", f"?from={rfc3339(T0)}", "?fill=previous"):
        assert api.answer(f"/stocks/PETR4/candles{query}").status == 503
    api.stored.away = False
    assert len(api.get("/stocks/PETR4/candles")["candles"]) == 3
    # Restored to an earlier moment.
    api.stored.__init__()  # type: ignore[misc]
    assert api.answer("/stocks/PETR4/candles").status == 503


def test_symbol_without_trades_has_an_empty_list(api: ReaderApi) -> None:
    api.reader.apply(Batch(0, 0, (Outcome(T0, limit(1, ALICE, "ask", 1, 1)),)))
    for symbol in ("PETR4", "NEW"):
        for fills in ("none", "previous"):
            path = f"/stocks/{symbol}/candles?fill={fills}"
            assert api.get(path)["candles"] == []


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("interval=2m", ["/interval"]),
        ("limit=1001", ["/limit"]),
        ("limit=0&fill=flat", ["/fill", "/limit"]),
        ("from=today", ["/from"]),
        ("to=2026-01-01", ["/to"]),
        ("cursor=1", ["/cursor"]),
    ],
)
def test_candles_with_an_unacceptable_query_are_422(
    api: ReaderApi, query: str, pointers: list[str]
) -> None:
    assert api.faults(f"/stocks/PETR4/candles?{query}") == pointers
