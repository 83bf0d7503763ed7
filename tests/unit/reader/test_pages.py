"""Limits of answers whose length other brokers influence, and pages to the rest."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from schemas import ids
from schemas.orders import TRADES_SHOWN_MAX
from services.reader.balances import Balances
from services.reader.hot_parameters import PAGE_MAX
from services.reader.views import POSITIONS_MAX
from tests.support.reader_bench import ReaderBench
from tests.support.reader_outcomes import ALICE, BOB, T0, much_traded, oid

TRADES = 250
TRADE_IDS = [ids.trade_id(T0, 0, 1 + number, 1) for number in range(TRADES)]


@pytest.fixture
def bench() -> ReaderBench:
    made = ReaderBench()
    made.reader.apply(much_traded(TRADES))
    return made


def archived(bench: ReaderBench) -> ReaderBench:
    """The same order in the archive alone."""
    record = bench.views.order(oid(1))
    assert record is not None
    made = ReaderBench()
    newest = record.trades[-TRADES_SHOWN_MAX:]
    made.archive.orders[oid(1)] = structs.replace(record, trades=newest)
    made.archive.every[oid(1)] = record.trades
    return made


def partly_forgotten(bench: ReaderBench) -> ReaderBench:
    """The same open order, of which PostgreSQL has all trades but the newest 20."""
    record = bench.views.order(oid(1))
    assert record is not None
    bench.archive.every[oid(1)] = record.trades[:-20]
    bench.views.forget_stored(0, 1 + TRADES - 20)
    assert (record.older_trades, len(record.trades)) == (
        TRADES - TRADES_SHOWN_MAX,
        TRADES_SHOWN_MAX,
    )
    return bench


Place = Callable[[ReaderBench], ReaderBench]
PLACES: dict[str, Place] = {
    "in memory": lambda made: made,
    "in the archive": archived,
    "in both": partly_forgotten,
}
in_every_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


def body(bench: ReaderBench, path: str, **query: str) -> Any:
    return json.loads(bench.request(path, ALICE, **query).body)


@in_every_place
def test_order_shows_its_newest_trades_and_their_number(bench: ReaderBench, place: Place) -> None:
    order = body(place(bench), f"/orders/{oid(1)}")
    assert [trade["trade_id"] for trade in order["trades"]] == TRADE_IDS[-TRADES_SHOWN_MAX:]
    assert (order["trades_total"], order["filled_quantity"]) == (TRADES, TRADES)


@in_every_place
@pytest.mark.parametrize("limit", [None, 1, 83, 250, 500])
def test_pages_have_every_trade_once_newest_first(
    bench: ReaderBench, place: Place, limit: int | None
) -> None:
    reader = place(bench)
    query = {} if limit is None else {"limit": str(limit)}
    seen: list[str] = []
    while True:
        page = body(reader, f"/orders/{oid(1)}/trades", **query)
        assert len(page["trades"]) <= (limit or 100)
        seen += [trade["trade_id"] for trade in page["trades"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == TRADE_IDS[::-1]


def test_trades_of_another_broker_or_unknown_order_are_404(bench: ReaderBench) -> None:
    for order_id, broker in ((oid(1), BOB), (oid(999), ALICE), ("no-id", ALICE)):
        assert bench.refused(f"/orders/{order_id}/trades", broker).code == "order_not_found"


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ({"limit": "0"}, ["/limit"]),
        ({"limit": str(PAGE_MAX + 1)}, ["/limit"]),
        ({"limit": "x", "cursor": "y"}, ["/limit", "/cursor"]),
    ],
)
def test_invalid_page_is_422_with_every_fault(
    bench: ReaderBench, query: dict[str, str], pointers: list[str]
) -> None:
    for path in (f"/orders/{oid(1)}/trades", "/balance"):
        problem = bench.refused(path, ALICE, **query)
        assert (problem.status, [each.pointer for each in problem.errors or ()]) == (422, pointers)


def test_balance_has_positions_in_pages(bench: ReaderBench) -> None:
    symbols = [f"S{number:04}" for number in range(POSITIONS_MAX + 20)]
    for symbol in reversed(symbols):
        bench.views.restore_balance(BOB, symbol, 1, -10)
    query: dict[str, str] = {}
    pages: list[list[str]] = []
    while True:
        answer = json.loads(bench.request("/balance", BOB, **query).body)
        pages.append([each["symbol"] for each in answer["positions"]])
        assert answer["balance"] == -10 * (TRADES + len(symbols))
        if answer["next_cursor"] is None:
            break
        query["cursor"] = answer["next_cursor"]
    assert [len(page) for page in pages] == [POSITIONS_MAX, 21]
    assert list(itertools.chain(*pages)) == ["PETR4", *symbols]


def test_positions_stay_sorted_without_those_of_zero() -> None:
    balances = Balances()
    for symbol in ("C", "A", "B"):
        balances.add("x", symbol, 1, 0)
    assert [each.symbol for each in balances.positions("x")] == ["A", "B", "C"]
    balances.add("x", "B", -1, 0)
    balances.add("x", "D", 2, 0)
    balances.add("x", "A", 4, 0)
    assert [(each.symbol, each.quantity) for each in balances.positions("x")] == [
        ("A", 5),
        ("C", 1),
        ("D", 2),
    ]
    balances.add("x", "B", -3, 0)
    assert [each.symbol for each in balances.positions("x", after="A", limit=1)] == ["B"]
    assert balances.positions("y") == []
