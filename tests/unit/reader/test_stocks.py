"""Stocks: symbols of listings and books, in pages, with their newest figures."""

import pytest
from msgspec.structs import replace

from schemas.executions import InstrumentSet, PhaseSet
from schemas.instruments import InstrumentRules
from schemas.partitions import default_partition
from services.reader.views import Views
from tests.support.reader_api import PARTITIONS, ReaderApi
from tests.support.reader_outcomes import ALICE, batch, limit, sweep


@pytest.fixture
def api() -> ReaderApi:
    return ReaderApi()


def test_stock_shows_its_listing_and_newest_figures(api: ReaderApi) -> None:
    elsewhere = 1 - default_partition("PETR4", PARTITIONS)
    api.list_symbol("PETR4", elsewhere)
    api.reader.apply(sweep())
    assert api.get("/stocks/PETR4") == {
        "symbol": "PETR4",
        "listed": True,
        "partition": elsewhere,
        "currency": "BRL",
        "price_scale": 2,
        "tick_size": 1,
        "lot_size": 1,
        "last_price": 1010,
        "trade_sequence": 2,
        "book_sequence": 8,
        "phase": "continuous",
        "instrument": None,
    }


def test_stock_that_was_never_traded_is_unlisted_and_empty(api: ReaderApi) -> None:
    stock = api.get("/stocks/NEW.1")
    assert (stock["listed"], stock["last_price"]) == (False, None)
    assert (stock["trade_sequence"], stock["book_sequence"]) == (0, 0)
    assert stock["partition"] == default_partition("NEW.1", PARTITIONS)


def test_stock_shows_its_phase_and_the_change_of_its_book(api: ReaderApi) -> None:
    api.reader.apply(
        batch(
            InstrumentSet("PETR4", "0" * 16, InstrumentRules(), 1_000, "continuous", 0, 0),
            PhaseSet("PETR4", "1" * 16, "continuous", "halted", 1),
        )
    )
    stock = api.get("/stocks/PETR4")
    assert (stock["phase"], stock["book_sequence"]) == ("halted", 1)
    assert stock["instrument"]["reference_price"] == 1_000


def test_stock_with_an_instrument_shows_it_with_the_last_trades_price(api: ReaderApi) -> None:
    rules = InstrumentRules(tick_size=5, quantity_max=100)
    api.reader.apply(batch(InstrumentSet("PETR4", "0" * 16, rules, 1_000, "continuous", 0, 0)))
    stock = api.get("/stocks/PETR4")
    assert (stock["phase"], stock["tick_size"], stock["last_price"]) == ("continuous", 5, None)
    assert stock["instrument"] == {
        "reference_price": 1_000,
        "tick_size": 5,
        "lot_size": 1,
        "quantity_max": 100,
        "value_max": None,
        "price_min": None,
        "price_max": None,
        "band_ppm": None,
        "band_action": "cancel",
    }
    api.reader.apply(sweep())
    assert api.get("/stocks/PETR4")["instrument"]["reference_price"] == 1_010
    again = InstrumentSet("PETR4", "0" * 16, rules, 900, "continuous", 8, 2)
    api.reader.apply(batch(again, first=9))
    assert api.get("/stocks/PETR4")["instrument"]["reference_price"] == 900
    assert [one["symbol"] for one in api.get("/stocks")["stocks"]] == ["PETR4"]


def opened(*symbols: str) -> object:
    return [
        replace(limit(number, ALICE, "bid", 1, 10, book=1), symbol=symbol)
        for number, symbol in enumerate(symbols, 1)
    ]


@pytest.mark.parametrize("limit_", [1, 2, 3, 5, 500])
def test_stocks_in_pages_are_each_symbol_once_and_sorted(api: ReaderApi, limit_: int) -> None:
    listed = ["B", "C", "PETR4", "Z9"]
    for symbol in listed:
        api.list_symbol(symbol, 0)
    open_books = ["A", "C", "X", "Z9"]
    api.reader.apply(batch(*opened(*open_books)))  # type: ignore[misc]
    path = f"/stocks?limit={limit_}"

    def symbols(more: str = "") -> list[str]:
        return [stock["symbol"] for stock in api.pages(path + more, "stocks")]

    assert symbols() == sorted({*listed, *open_books})
    assert symbols("&listed=true") == listed
    assert symbols("&listed=false") == ["A", "X"]


def test_stocks_of_a_new_exchange_are_an_empty_list(api: ReaderApi) -> None:
    assert api.get("/stocks") == {"stocks": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=501", ["/limit"]),
        ("listed=yes", ["/listed"]),
        ("cursor=petr4", ["/cursor"]),
        ("cursor=A%0A", ["/cursor"]),
        ("limit=x&cursor=", ["/limit", "/cursor"]),
        ("sort=oldest", ["/sort"]),
        ("limit=1&limit=2", ["/limit"]),
        ("a=1&b=2&limit=0", ["/a", "/b"]),
    ],
)
def test_stocks_with_an_unacceptable_query_are_422(
    api: ReaderApi, query: str, pointers: list[str]
) -> None:
    assert api.faults(f"/stocks?{query}") == pointers


@pytest.mark.parametrize("symbol", ["petr4", "A" * 11, "A%0A", "%C3%84", "..."[:2], "A%2FB"])
def test_stock_with_an_invalid_symbol_is_422(api: ReaderApi, symbol: str) -> None:
    assert api.faults(f"/stocks/{symbol}") == ["/symbol"]


def test_stocks_before_the_views_are_complete_are_503(api: ReaderApi) -> None:
    api.is_ready = False
    for path in ("/stocks", "/stocks/PETR4"):
        assert api.answer(path).status == 503


def test_views_restored_from_stored_symbols_have_the_same_stocks(api: ReaderApi) -> None:
    views = Views()
    views.restore_symbol("B", 0, 4)
    views.restore_symbol("A", 1, 3)
    views.restore_prices("A", [7, 9], 2)
    api.reader.restore(views)
    stocks = api.get("/stocks")["stocks"]
    assert [stock["symbol"] for stock in stocks] == ["A", "B"]
    assert [stock["book_sequence"] for stock in stocks] == [3, 4]
    assert [(stock["last_price"], stock["trade_sequence"]) for stock in stocks] == [
        (9, 2),
        (None, 0),
    ]
