"""Trades of a symbol and fills of a broker: pages while trades arrive, are stored and forgotten."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from msgspec import to_builtins

from services.reader import parameters
from services.reader.tape import KEPT_PER_SYMBOL
from services.runtime.kafka.execution_filter import Batch
from tests.support.growing_market import GrowingMarket
from tests.support.reader_api import ReaderApi
from tests.support.reader_outcomes import ALICE, BOB, CAROL, batch, fill, limit, sweep
from tests.support.sizes import sized
from tests.support.view_comparison import known_symbols


@pytest.fixture
def api() -> ReaderApi:
    return ReaderApi()


def every_fill(market: GrowingMarket, broker_id: str) -> list[dict[str, Any]]:
    market.store_all()
    fills = market.api.stored.fills_by_broker.get(broker_id, [])
    return sorted((to_builtins(f) for f in fills), key=lambda f: str(f["fill_id"]))


def known(market: GrowingMarket, path: str, name: str, broker_id: str) -> list[str]:
    key = "fill_id" if name == "fills" else "trade_id"
    return [entry[key] for entry in market.api.pages(path, name, broker_id)]


@pytest.mark.parametrize("seed", range(sized(1, 3)))
@pytest.mark.parametrize("sort", ["newest", "oldest"])
@pytest.mark.parametrize("filtered", [False, True])
def test_fills_in_pages_neither_skip_nor_repeat_while_the_market_goes_on(
    monkeypatch: pytest.MonkeyPatch, seed: int, sort: str, filtered: bool
) -> None:
    monkeypatch.setattr(parameters, "SCAN_MAX", 9)
    market = GrowingMarket(seed)
    market.step(40)
    broker_id = market.random.choice(market.brokers)
    symbol = market.random.choice(sorted(known_symbols(market.api.views)))
    more = f"&symbol={symbol}" if filtered else ""
    at_first = known(market, f"/fills?limit=500{more}", "fills", broker_id)
    assert at_first, f"seed {seed}: no fills"
    path = f"/fills?sort={sort}&limit=5{more}"
    found = market.api.pages(path, "fills", broker_id, between=market.step)
    ids = [entry["fill_id"] for entry in found]
    assert ids == sorted(set(ids), reverse=sort == "newest"), f"seed {seed}"
    assert set(at_first) <= set(ids), f"seed {seed}"
    naive = {entry["fill_id"]: entry for entry in every_fill(market, broker_id)}
    assert [naive[entry["fill_id"]] for entry in found] == found, f"seed {seed}"


@pytest.mark.parametrize("seed", range(sized(1, 3)))
def test_trades_in_pages_neither_skip_nor_repeat_while_the_market_goes_on(seed: int) -> None:
    market = GrowingMarket(seed)
    market.step(60)
    symbols = sorted(known_symbols(market.api.views))
    symbol = market.random.choice(symbols)
    path = f"/stocks/{symbol}/trades?limit=5"
    newest = market.api.get(f"/stocks/{symbol}", market.brokers[0])["trade_sequence"]
    assert newest > 5, f"seed {seed}: few trades"
    backwards = market.api.pages(path, "trades", market.brokers[0], between=market.step)
    sequences = [trade["sequence"] for trade in backwards]
    assert sequences == list(range(newest, 0, -1)), f"seed {seed}"
    upwards = market.api.pages(path + "&after=0", "trades", market.brokers[0], between=market.step)
    assert upwards[:newest] == backwards[::-1], f"seed {seed}"
    partition = market.api.views.partition(symbol)
    assert partition is not None
    market.store_all()
    stored = market.api.stored.trades_by_symbol[partition, symbol]
    assert upwards == [to_builtins(trade.resource()) for trade in islice(stored, len(upwards))]


def test_trade_stays_in_memory_until_its_command_is_stored(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    assert not api.views.tape.forget(0, 2)
    assert len(list(api.views.tape.fills(CAROL))) == 2
    assert not api.views.tape.forget(0, 3)
    assert list(api.views.tape.fills(CAROL)) == []


def test_own_sides_of_a_trade_are_fills_and_no_others(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    (alice,) = api.get("/fills", ALICE)["fills"]
    assert (alice["side"], alice["role"], alice["quantity"]) == ("ask", "maker", 100)
    assert (alice["counterparty_broker"], alice["sequence"]) == (CAROL, 1)
    carol = api.get("/fills", CAROL)["fills"]
    assert [(f["role"], f["side"], f["price"]) for f in carol] == [
        ("taker", "bid", 1010),
        ("taker", "bid", 1000),
    ]
    assert {f["fill_id"] for f in carol} == {f"{f['trade_id']}-bid" for f in carol}


def test_trade_with_itself_is_two_fills_of_the_broker(api: ReaderApi) -> None:
    one = batch(
        limit(1, ALICE, "ask", 5, 10),
        limit(
            2,
            ALICE,
            "bid",
            5,
            10,
            left=0,
            closed="filled",
            book=2,
            fills=(fill(1, 1, ALICE, 10, 5, 0),),
        ),
    )
    api.reader.apply(one)
    for sort, sides in (("newest", ["bid", "ask"]), ("oldest", ["ask", "bid"])):
        path = f"/fills?limit=1&sort={sort}"
        assert [f["side"] for f in api.pages(path, "fills", ALICE)] == sides
        assert {f["counterparty_broker"] for f in api.pages(path, "fills", ALICE)} == {ALICE}
    api.stored.store(one)
    api.forget()
    assert list(api.views.tape.fills(ALICE)) == []
    assert [f["side"] for f in api.pages("/fills?limit=1", "fills", ALICE)] == ["bid", "ask"]


def test_fills_after_one_are_those_that_are_newer(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    newer, older = api.get("/fills", CAROL)["fills"]
    assert api.get(f"/fills?after={older['fill_id']}", CAROL)["fills"] == [newer]
    assert api.get(f"/fills?after={newer['fill_id']}&sort=oldest", CAROL)["fills"] == []


def test_fills_of_an_order_are_its_own(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    (alice,) = api.get("/fills", ALICE)["fills"]
    path = f"/fills?order_id={alice['order_id']}"
    assert api.get(path, ALICE)["fills"] == [alice]
    assert api.get(path, BOB)["fills"] == []


@pytest.mark.parametrize(
    ("path", "pointers"),
    [
        ("/fills?limit=501", ["/limit"]),
        ("/fills?sort=up", ["/sort"]),
        ("/fills?symbol=petr4", ["/symbol"]),
        ("/fills?order_id=7", ["/order_id"]),
        ("/fills?after=7", ["/after"]),
        ("/fills?cursor=7", ["/cursor"]),
        ("/fills?side=bid", ["/side"]),
        ("/stocks/PETR4/trades?limit=0", ["/limit"]),
        ("/stocks/PETR4/trades?after=-1", ["/after"]),
        ("/stocks/PETR4/trades?after=01", ["/after"]),
        ("/stocks/PETR4/trades?cursor=0", ["/cursor"]),
        ("/stocks/PETR4/trades?cursor=" + "9" * 19, ["/cursor"]),
        ("/stocks/petr4/trades?sort=oldest", ["/sort"]),
        ("/stocks/petr4/trades?cursor=x", ["/symbol", "/cursor"]),
    ],
)
def test_lists_of_trades_with_an_unacceptable_query_are_422(
    api: ReaderApi, path: str, pointers: list[str]
) -> None:
    assert api.faults(path) == pointers


def test_lists_without_trades_are_empty(api: ReaderApi) -> None:
    api.reader.apply(batch(limit(1, ALICE, "ask", 5, 10)))
    for symbol in ("PETR4", "VALE3"):
        for query in ("", "?after=0", "?after=9", "?cursor=9"):
            path = f"/stocks/{symbol}/trades{query}"
            assert api.get(path) == {"trades": [], "next_cursor": None}
    assert api.get("/fills") == {"fills": [], "next_cursor": None}


def much(count: int) -> Iterator[Batch]:
    yield batch(limit(1, ALICE, "ask", count, 10, book=1))
    for number in range(1, count + 1):
        yield batch(
            limit(
                1 + number,
                BOB,
                "bid",
                1,
                10,
                left=0,
                closed="filled",
                book=1 + number,
                fills=(fill(number, 1, ALICE, 10, 1, count - number),),
            ),
            first=number,
        )


def test_newest_trades_stay_in_memory_after_they_are_stored(api: ReaderApi) -> None:
    count = KEPT_PER_SYMBOL + 30
    for each in much(count):
        api.reader.apply(each)
        api.stored.store(each)
    api.forget()
    api.stored.away = True
    path = f"/stocks/PETR4/trades?limit={KEPT_PER_SYMBOL}"
    trades = api.get(path)["trades"]
    assert [t["sequence"] for t in trades] == list(range(count, count - KEPT_PER_SYMBOL, -1))
    assert api.answer(f"{path}&cursor=31").status == 503
    api.stored.away = False
    assert [t["sequence"] for t in api.get(f"{path}&cursor=31")["trades"]] == list(range(30, 0, -1))


@pytest.mark.parametrize("path", ["/fills", "/stocks/PETR4/trades?after=0"])
def test_lists_are_503_when_postgresql_lacks_what_it_had(api: ReaderApi, path: str) -> None:
    for each in much(KEPT_PER_SYMBOL + 5):
        api.reader.apply(each)
        api.stored.store(each)
    api.forget()
    api.stored.__init__()  # type: ignore[misc]
    assert api.answer(path).status == 503
    api.stored.away = True
    assert api.answer(path).status == 503


def test_trades_that_were_deleted_are_left_out_of_both_directions(api: ReaderApi) -> None:
    count = KEPT_PER_SYMBOL + 30
    for each in much(count):
        api.reader.apply(each)
        api.stored.store(each)
    api.forget()
    # Kept is the trade of an order that is open.
    trades = api.stored.trades_by_symbol[0, "PETR4"]
    trades[:] = [trade for trade in trades if trade.sequence > 20 or trade.sequence == 5]
    expected = [5, *range(21, count + 1)]
    upwards = api.pages("/stocks/PETR4/trades?after=0&limit=4", "trades")
    assert [trade["sequence"] for trade in upwards] == expected
    page = api.get(f"/stocks/PETR4/trades?limit={KEPT_PER_SYMBOL}&cursor=31")
    assert [trade["sequence"] for trade in page["trades"]] == [*range(30, 20, -1), 5]
    assert api.get("/stocks/PETR4/trades?limit=4&cursor=5") == {"trades": [], "next_cursor": None}


def test_trades_that_left_memory_during_the_query_are_asked_for_again(api: ReaderApi) -> None:
    flow = list(much(KEPT_PER_SYMBOL + 5))
    for each in flow:
        api.reader.apply(each)
    honest: dict[str, Callable[..., Any]] = {
        "stock_trades": api.stored.stock_trades,
        "fills": api.stored.fills,
    }

    def late(name: str) -> Callable[..., Any]:
        async def ask(*asked: Any) -> Any:
            answer = await honest[name](*asked)
            if api.views.tape._partitions[0].waiting:
                for each in flow:
                    api.stored.store(each)
                positions = await api.stored.positions()
                api.reader._forgotten.update(positions)
                while api.views.forget_stored(0, positions[0]):
                    pass
            return answer

        return ask

    api.stored.fills = late("fills")  # type: ignore[method-assign]
    assert len(api.get("/fills?limit=500", BOB)["fills"]) == KEPT_PER_SYMBOL + 5
