"""A broker's orders: pages and filters while orders arrive, change, are stored and forgotten."""

import asyncio
from random import Random
from typing import Any

import pytest
from msgspec import to_builtins

from schemas.orders import OrderRecord
from schemas.units import rfc3339
from services.api.messages import ProblemError
from services.reader import parameters
from services.reader.orders import Orders
from services.reader.overlay import Span, page
from tests.support.growing_market import GrowingMarket
from tests.support.reader_api import ReaderApi
from tests.support.reader_outcomes import ALICE, BOB, CAROL, T0, batch, limit, oid, sweep
from tests.support.sizes import sized


@pytest.fixture
def api() -> ReaderApi:
    return ReaderApi()


def everything(market: GrowingMarket, broker_id: str) -> dict[str, OrderRecord]:
    """All orders of the broker so far, in their present state, from a second application."""
    market.store_all()
    records = market.api.stored.records.values()
    return {record.order_id: record for record in records if record.broker_id == broker_id}


def is_closed(order: dict[str, Any]) -> bool:
    return order["closed_reason"] is not None


FILTERS = ["", "&status=open", "&status=closed", "&side=ask", "&symbol={symbol}&status=closed"]


@pytest.mark.parametrize("seed", range(sized(1, 3)))
@pytest.mark.parametrize("sort", ["newest", "oldest"])
@pytest.mark.parametrize("filters", FILTERS)
def test_orders_in_pages_neither_skip_nor_repeat_while_the_market_goes_on(
    monkeypatch: pytest.MonkeyPatch, seed: int, sort: str, filters: str
) -> None:
    monkeypatch.setattr(parameters, "SCAN_MAX", 9)
    market = GrowingMarket(seed)
    market.step(40)
    broker_id = market.random.choice(market.brokers)
    symbol = market.random.choice(["PETR4.0", "PETR4.1"])
    more = filters.format(symbol=symbol)
    first = market.api.pages(f"/orders?limit=500{more}", "orders", broker_id)
    assert first, f"seed {seed}: no orders"
    found = market.api.pages(
        f"/orders?sort={sort}&limit=5{more}", "orders", broker_id, between=market.step
    )
    ids = [order["order_id"] for order in found]
    assert ids == sorted(set(ids), reverse=sort == "newest"), f"seed {seed}"
    now = everything(market, broker_id)
    # Only an open order changes what the filters see of it.
    kept = {
        order["order_id"]
        for order in first
        if "open" not in more or now[order["order_id"]].closed_reason is None
    }
    assert kept <= set(ids), f"seed {seed}"
    for order in filter(is_closed, found):
        assert order == to_builtins(now[order["order_id"]].summary()), f"seed {seed}"
    for order in found:
        assert f"&side={order['side']}" in more or "side" not in more
        assert order["symbol"] == symbol or "symbol" not in more
        assert order["status"] in more or "status" not in more


@pytest.mark.parametrize("stored", ["nothing", "the first half", "everything", "and forgotten"])
def test_orders_are_the_same_wherever_they_are(api: ReaderApi, stored: str) -> None:
    whole = sweep()
    api.reader.apply(whole)
    half = type(whole)(0, 0, whole.outcomes[:4])
    if stored == "the first half":
        api.stored.store(half)
    elif stored != "nothing":
        api.stored.store(whole)
    if stored == "and forgotten":
        api.forget()
        assert api.views.orders_in_memory() < 6
        assert list(api.views.orders_of(CAROL, Span(None, None, True, 2))) == []
    found = {broker: api.get("/orders", broker)["orders"] for broker in (ALICE, BOB, CAROL)}
    assert {broker: [o["order_id"] for o in orders] for broker, orders in found.items()} == {
        ALICE: [oid(5), oid(1)],
        BOB: [oid(6), oid(2)],
        CAROL: [oid(4), oid(3)],
    }
    states = [(o["status"], o["closed_reason"], o["filled_quantity"]) for o in found[CAROL]]
    assert states == [("closed", "cancelled", 0), ("closed", "filled", 200)]
    assert found[CAROL][1]["average_price"] == 1005


def test_open_orders_need_no_postgresql_and_others_are_503_without(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    api.stored.away = True
    assert [o["order_id"] for o in api.get("/orders?status=open", BOB)["orders"]] == [
        oid(6),
        oid(2),
    ]
    for query in ("", "?status=closed", "?client_order_id=c-1"):
        assert api.answer(f"/orders{query}", BOB).status == 503


def test_client_order_id_finds_all_orders_that_used_it(api: ReaderApi) -> None:
    one = limit(1, ALICE, "bid", 1, 10, client_order_id="a-1")
    other = limit(2, ALICE, "bid", 1, 10, client_order_id="a-1", symbol="VALE3")
    api.reader.apply(batch(one, other, limit(3, BOB, "bid", 1, 10, client_order_id="a-1", book=2)))
    found = api.get("/orders?client_order_id=a-1")["orders"]
    assert [(o["order_id"], o["symbol"]) for o in found] == [(oid(2), "VALE3"), (oid(1), "PETR4")]
    (found,) = api.get("/orders?client_order_id=a-1&symbol=PETR4")["orders"]
    assert found["order_id"] == oid(1)


@pytest.mark.parametrize("asked_at", range(0, 60, 10))
def test_name_finds_the_newest_order_in_memory(asked_at: int) -> None:
    """Whenever the first search was, and whatever was added and forgotten before and since."""
    orders, random = Orders(), Random(asked_at)
    held: dict[str, OrderRecord] = {}
    newest: dict[tuple[str, str, str | None], str] = {}
    for step in range(60):
        broker, symbol = random.choice((ALICE, BOB)), random.choice(("PETR4", "VALE3"))
        name = random.choice((None, "a-1", "a-2"))
        event = limit(step * 7 % 61, broker, "bid", 1, 10, symbol=symbol, client_order_id=name)
        record = held[event.order_id] = orders.accept(event, step)
        key = (broker, symbol, name)
        newest[key] = max(event.order_id, newest.get(key, ""))
        if random.random() < 0.6:
            record.closed_reason = "filled"
            orders.closed(record, 0, step)
        orders.forget(0, random.randrange(2 * step + 1) - step, step)
        held = {key: each for key, each in held.items() if orders.get(key) is each}
        for (broker, symbol, name), order_id in newest.items() if step >= asked_at else ():
            found = orders.named(broker, symbol, name or "none")
            if name is None:
                assert found is None
            elif order_id in held:
                assert found is held[order_id], step
            else:
                # PostgreSQL has the newest one; memory may have an older one.
                assert found is None or found is held.get(found.order_id)
    assert len(orders) == len(held) < 60


def test_order_of_a_name_is_the_first_of_the_list_also_after_it_left_memory(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    at_hand = [api.orders.named_at_hand(each, "PETR4", "c-1") for each in (BOB, ALICE)]
    assert [each and each.order_id for each in at_hand] == [None, oid(1)]
    api.stored.store(sweep())
    api.forget()
    assert api.orders.named_at_hand(CAROL, "PETR4", "c-3") is None
    (listed,) = api.get("/orders?client_order_id=c-3", CAROL)["orders"]
    stored = asyncio.run(api.orders.named(CAROL, "PETR4", "c-3"))
    assert stored is not None
    assert to_builtins(stored.summary()) == listed
    assert (listed["trades_count"], "trades" in listed) == (2, False)
    assert asyncio.run(api.orders.named(CAROL, "VALE3", "c-3")) is None
    api.stored.away = True
    with pytest.raises(ProblemError, match="cannot be read"):
        asyncio.run(api.orders.named(CAROL, "PETR4", "c-3"))


def test_client_order_id_is_unknown_only_at_the_end_of_the_log(api: ReaderApi) -> None:
    api.reader.apply(sweep())
    for partition in (0, 1):
        api.ends = {partition: 9}
        assert api.answer("/orders?client_order_id=none").status == 503
    api.ends = {0: 8}
    assert api.get("/orders?client_order_id=none") == {"orders": [], "next_cursor": None}
    # One that was found needs no other command.
    api.ends = {0: 9}
    assert len(api.get("/orders?client_order_id=c-1")["orders"]) == 1


def test_span_of_time_contains_its_start_and_not_its_end(api: ReaderApi) -> None:
    api.reader.apply(sweep())

    def between(start: int | None, end: int | None) -> list[str]:
        bounds = {"from": start, "to": end}
        query = "&".join(f"{name}={rfc3339(at)}" for name, at in bounds.items() if at is not None)
        return [order["order_id"] for order in api.get(f"/orders?{query}", CAROL)["orders"]]

    assert between(None, None) == [oid(4), oid(3)]
    assert between(T0 + 4, None) == [oid(4)]
    assert between(None, T0 + 4) == [oid(3)]
    assert between(T0 + 3, T0 + 5) == [oid(4), oid(3)]
    assert between(T0 + 5, None) == between(T0 + 5, T0 + 3) == []
    path = f"/orders?limit=1&from={rfc3339(T0 + 3)}&to={rfc3339(T0 + 5)}"
    for sort, ids in (("newest", [oid(4), oid(3)]), ("oldest", [oid(3), oid(4)])):
        found = api.pages(f"{path}&sort={sort}", "orders", CAROL)
        assert [order["order_id"] for order in found] == ids


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=501", ["/limit"]),
        ("status=done", ["/status"]),
        ("side=buy", ["/side"]),
        ("sort=", ["/sort"]),
        ("symbol=petr4", ["/symbol"]),
        ("client_order_id=a%20b", ["/client_order_id"]),
        ("from=yesterday", ["/from"]),
        ("from=2026-01-01T00:00:00", ["/from"]),
        ("to=1", ["/to"]),
        ("cursor=1", ["/cursor"]),
        ("start=2026-01-01T00:00:00Z", ["/start"]),
        ("colour=red&limit=0", ["/colour"]),
    ],
)
def test_orders_with_an_unacceptable_query_are_422(
    api: ReaderApi, query: str, pointers: list[str]
) -> None:
    assert api.faults(f"/orders?{query}") == pointers


def test_last_entry_of_a_full_page_has_the_state_of_memory() -> None:
    span = Span(None, None, newest_first=False, scan=2)
    memory = {"b": "new"}

    def within(part: Span) -> list[tuple[str, str]]:
        return [(key, state) for key, state in memory.items() if part.contains(key)]

    stored = [("a", "old"), ("b", "old")]
    first = page(span, stored, within, lambda _: True, 5)
    assert (first.entries, first.next_key) == (["old"], "a")
    rest = page(Span("a", None, False, 2), stored[1:], within, lambda _: True, 5)
    assert (rest.entries, rest.next_key) == (["new"], None)


def test_orders_of_a_broker_without_any_are_an_empty_list(api: ReaderApi) -> None:
    for query in ("", "?status=open", "?from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z"):
        assert api.get(f"/orders{query}") == {"orders": [], "next_cursor": None}
